"""The card reader in a vending machine: lines of its board are cut, doubled or late, and its bridge is killed."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from firmware_bridge import actuation_log
from firmware_bridge.drivers import mdb_cashless, mdb_vends
from firmware_bridge.drivers.interface import Answer, ValueFact, Wish
from firmware_bridge.drivers.mdb_cashless import MdbCashless
from firmware_bridge.drivers.mdb_vends import Asked
from firmware_bridge.transports.memory import memory_pipes
from firmware_bridge.wire import qibixx_route
from firmware_bridge.wire.mdb_cashless import State
from firmware_bridge.wire.qibixx import Status
from payment_core.commands import ApproveVend, BeginSession, DenyVend, Identify, make_command
from payment_core.events import CashSale, EventsLost, SessionEnded, VendRequested
from tests.support.driving import driving, happens
from tests.support.vend_bench import ALWAYS_IDLE, LEVEL_1, SESSIONS, Ledger, Machine, hurry

pytestmark = pytest.mark.long

YES = ApproveVend(100, 1)
A, B = "c,STATUS,VEND,1.00,1", "c,STATUS,VEND,3.50,7"
FENCE = "fence"
TORN = "c,VE\xff\xffSS"


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    hurry(monkeypatch)
    for name in ("AWAY_S", "START_S"):  # the board of this file answers no question: on a busy machine it would be away
        monkeypatch.setattr(mdb_cashless, name, 60.0)
    monkeypatch.setattr(mdb_vends, "SAME_S", 0.01)
    monkeypatch.setattr(mdb_cashless, "SAME_S", 0.01)


class Board:
    """What a board says, line by line, and what it was told."""

    def __init__(self, far, bridge) -> None:
        self._far, self.bridge, self.told = far, bridge, b""

    async def says(self, *lines: str) -> None:
        """Say lines in one go, let the driver take them, and wait until equal ones are others."""
        await self._far.write("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
        await self.taken()
        await asyncio.sleep(2 * mdb_vends.SAME_S)

    async def taken(self) -> None:
        """Wait until the driver has taken all that was said and wished: it obeys when it has done what it heard."""
        await happens(lambda: not self._far._outgoing.pending)
        await self.bridge.ask(Identify(), FENCE)

    async def hears(self) -> bytes:
        """Return all that the driver has written."""
        while True:
            try:
                async with asyncio.timeout(0.01):
                    self.told += await self._far.read()
            except TimeoutError:
                return self.told

    def requests(self) -> list[VendRequested]:
        return [wish for wish in self.bridge.wishes() if isinstance(wish, VendRequested)]

    def answers(self) -> list[Answer]:
        self.bridge.wishes()
        return [said for said in self.bridge.seen if isinstance(said, Answer) and said.command_id != FENCE]

    def facts(self) -> list[object]:
        self.bridge.wishes()
        return [said.body for said in self.bridge.seen if isinstance(said, ValueFact)]


@asynccontextmanager
async def board(vend=ALWAYS_IDLE, driver=MdbCashless, *, session=""):
    near, far = memory_pipes()
    async with driving(driver(near, vend)) as bridge:
        one = Board(far, bridge)
        await one.says("v,4,1", "c,STATUS,ENABLED")
        if session:
            bridge.send(BeginSession(500), session)
            await happens(bridge.inbox.empty)
            await one.says("c,STATUS,IDLE,5.00")
            assert one.answers()[-1].outcome == "done"
        yield one


async def approved(one: Board, command_id: str = "c1") -> None:
    """Let the machine ask, and the hub say yes."""
    await one.says(A)
    one.bridge.send(msgspec.structs.replace(YES, number=one.requests()[-1].number), command_id)
    await one.taken()


# ---- a result that nobody heard ----


async def pressed_again(*heard: str) -> list[str]:
    """Let an item fall, of which only this is heard, and the guest press again and take that back."""
    async with board(SESSIONS, session="s1") as one:
        await approved(one)
        await one.says(*heard)
        await one.says(A)
        await one.says("c,ERR,VEND 1")
        return [answer.outcome for answer in one.answers()[1:]]


def test_a_build_that_takes_the_second_press_for_the_first_is_caught(monkeypatch):
    monkeypatch.delitem(qibixx_route._ROUTES, (Status.IDLE, State.HANDED))
    monkeypatch.setattr(Asked, "is_again", lambda self, line, _now: line == self.line)
    for heard in (["c,STATUS,IDLE,4.00"], []):
        assert asyncio.run(pressed_again(*heard)) == ["failed"]


@pytest.mark.parametrize("lost", [(TORN, "c,STATUS,IDLE,4.00"), ("c,STATUS,IDLE,4.00",), (TORN,), ()])
def test_the_same_button_again_and_taken_back_is_no_refund_of_what_fell(lost):
    async def story():
        assert await pressed_again(*lost) == ["unknown"]
        async with board(SESSIONS, session="s1") as one:
            await approved(one)
            await one.says(*lost)
            await one.says(A)
            await one.says("c,ERR,VEND 1")
            assert len(one.requests()) == 1, "what is chosen in a session that is unsure is refused"
            assert b"C,STOP\n" in await one.hears()
            await one.says("c,STATUS,IDLE", "c,STATUS,ENABLED")
            assert SessionEnded("s1") in one.bridge.wishes()

    asyncio.run(story())


def test_a_level_1_session_that_ends_behind_a_torn_line_is_a_doubt():
    async def story():
        async with board(LEVEL_1, session="s1") as one:
            await approved(one)
            await one.says("c,ERR,VE\xff 3", "c,STATUS,ENABLED")
            assert one.answers()[-1].outcome == "unknown"

    asyncio.run(story())


@pytest.mark.parametrize("refusal", ['c,ERR,"VEND -3"', 'c,ERR,"VEND -2"', "c,ERR,VEND 1"])
@pytest.mark.parametrize(("torn", "outcome"), [(False, "failed"), (True, "unknown")])
def test_a_yes_that_was_not_taken_is_failed_at_once_unless_a_line_is_missing(refusal, torn, outcome):
    async def story():
        async with board() as one:
            await approved(one)
            await one.says(*([TORN] if torn else []), refusal)
            assert [answer.outcome for answer in one.answers()] == [outcome]

    asyncio.run(story())


def test_a_result_behind_a_new_request_is_not_told_of_the_vend_before():
    async def story():
        async with board() as one:
            await approved(one)
            await one.says("c,STATUS,IDLE", "c,STATUS,ENABLED", B, "c,VEND,SUCCESS")
            assert [(answer.command_id, answer.outcome) for answer in one.answers()] == [("c1", "unknown")]
            assert one.facts() == [EventsLost(1)]

    asyncio.run(story())


def test_a_result_behind_the_state_that_follows_it_still_ends_the_doubt():
    async def story():
        async with board() as one:
            await approved(one)
            await one.says("c,STATUS,IDLE", "c,VEND,SUCCESS", "c,VEND,SUCCESS")
            assert [answer.outcome for answer in one.answers()] == ["unknown", "done"]
            assert one.facts() == []

    asyncio.run(story())


class Cut:
    """Spoils or drops one line of a board: the `number`th that is no answer to `V`."""

    def __init__(self, number: int, *, whole: bool) -> None:
        self._left, self._whole, self.armed = number, whole, False

    def __call__(self, said: bytes) -> bytes:
        kept = b""
        if not self.armed:
            return said
        for line in said.splitlines(keepends=True):
            self._left -= not line.startswith(b"v,")
            kept += (
                line if self._left or line.startswith(b"v,") else b"" if self._whole else line[:4] + b"\xff" + line[5:]
            )
        return kept


def answered(bridge) -> set[str]:
    return {said.command_id for said in bridge.seen if isinstance(said, Answer)}


async def some_sales(cut: Cut) -> tuple[int, list[str], int]:
    """Let a guest press and press, and take one back; return what fell, how the approvals ended, what was flagged."""
    machine = Machine(msgspec.structs.replace(SESSIONS, result_s=0.25), many=True, vend_ms=20)  # type: ignore[arg-type]
    tick, feed = machine.simulator.tick, machine.simulator.feed
    machine.simulator.tick = lambda **now: cut(tick(**now))  # type: ignore[method-assign]
    machine.simulator.feed = lambda data, **now: cut(feed(data, **now))  # type: ignore[method-assign]
    approvals: list[str] = []
    async with machine.served() as bridge:
        cut.armed = True
        bridge.send(BeginSession(900), "s1")
        for turn in range(12):
            if machine["phase"] == "session":
                machine.say("choose 1")
            await asyncio.sleep(0.03)
            machine.say(*(["cancel"] if turn % 3 == 2 else []))
            for wish in bridge.wishes()[len(approvals) :]:
                approvals.append("")
                if isinstance(wish, VendRequested) and wish.session:
                    approvals[-1] = f"c{len(approvals)}"
                    bridge.send(ApproveVend(wish.amount, wish.item, wish.number), approvals[-1])
        names = set(filter(None, approvals))
        await happens(lambda: bridge.wishes() is None or names <= answered(bridge))
        ends = {said.command_id: said.outcome for said in bridge.seen if isinstance(said, Answer)}
        lost = [
            said.body.count for said in bridge.seen if isinstance(said, ValueFact) and isinstance(said.body, EventsLost)
        ]
    return machine["delivered"], [ends[one] for one in approvals if one], sum(lost)


async def each_line_cut() -> None:
    cuts = [Cut(number, whole=whole) for number in range(1, 16) for whole in (False, True)]
    for delivered, ends, flagged in await asyncio.gather(*(some_sales(cut) for cut in cuts)):
        assert ends.count("done") <= delivered <= ends.count("done") + ends.count("unknown") + flagged


def test_of_several_vends_with_any_one_line_cut_none_that_fell_is_paid_back():
    """VND-2: what fell is done, or a doubt; never a failure that gives the money back."""
    asyncio.run(each_line_cut())


class Trusting(MdbCashless):
    """A broken build: it believes that it hears every line."""

    async def _missed(self, outbox):
        pass


# ---- whose choice it is ----


async def a_choice_behind_the_end(*lines: str, driver=MdbCashless, rest: tuple[str, ...] = ()) -> list[str]:
    """Let A's session end, and B press; return the sessions of what the hub is asked."""
    async with board(driver=driver, session="s1") as one:
        await one.says(*lines)
        await one.says(*rest)
        assert len(one.requests()) <= 1
        return [request.session for request in one.requests()]


def test_a_choice_is_never_one_of_a_session_that_ended_before_it():
    assert asyncio.run(a_choice_behind_the_end("c,STATUS,ENABLED", B)) == [""]


@pytest.mark.parametrize("torn", ["c,STAT\xffUS,ENABL", "c,STATUS,ENABLE", "\xff\xfe"])
def test_a_choice_behind_a_torn_line_is_refused(torn):
    async def story():
        async with board(session="s1") as one:
            await one.says(torn)
            await one.says(B)
            assert one.requests() == []
            assert (await one.hears()).count(b"C,STOP\n") == 2, "the session is ended, and the choice denied"
            await one.says("c,STATUS,IDLE", "c,STATUS,ENABLED", B)
            assert [request.session for request in one.requests()] == [""], "a card pays it"

    asyncio.run(story())


def test_a_session_that_is_not_there_any_more_ends():
    async def story():
        async with board(session="s1") as one:
            await one.says("c,STAT\xffUS,ENABL")
            await one.says('c,ERR,"STOP -3"')
            assert SessionEnded("s1") in one.bridge.wishes()

    asyncio.run(story())


def test_what_was_asked_when_a_line_was_torn_is_denied():
    async def story():
        async with board() as one:
            await one.says(A)
            await one.says("c,ERR,VE\xff 1")
            assert (await one.bridge.ask(YES)).reason == "not_asked"
            assert SessionEnded("") in one.bridge.wishes()
            assert b"C,VEND" not in await one.hears()

    asyncio.run(story())


class Keeps(MdbCashless):
    """A broken build: a session ends behind what was heard with its end."""

    async def _step(self, step, outbox):
        session = self._session
        await super()._step(step, outbox)
        self._session = session


@pytest.mark.parametrize(("driver", "lines"), [(Keeps, ("c,STATUS,ENABLED", B)), (Trusting, ("c,STAT\xffUS", B))])
def test_a_build_that_charges_a_choice_to_who_has_left_is_caught(driver, lines):
    assert asyncio.run(a_choice_behind_the_end(*lines, driver=driver)) == ["s1"]


# ---- yes and no to which question ----


async def late_yes() -> bytes:
    """A gives up and goes, B presses the same button; then A's yes arrives. Return what the board hears."""
    async with board(session="s1") as one:
        await one.says(A)
        mine = msgspec.structs.replace(YES, number=one.requests()[-1].number)
        await one.says("c,ERR,VEND 1", "c,STATUS,ENABLED")
        await one.says(A)
        (of_a, of_b) = one.requests()
        assert (of_a.session, of_b.session) == ("s1", "")
        assert (await one.bridge.ask(DenyVend(mine.number), "no")).outcome == "failed"
        one.bridge.send(mine)
        await one.taken()
        return await one.hears()


def test_a_late_yes_is_none_to_the_next_question():
    assert b"C,VEND" not in asyncio.run(late_yes())


def test_a_build_that_does_not_look_at_the_number_is_caught(monkeypatch):
    monkeypatch.setattr(Asked, "fits", lambda _self, body: isinstance(body, ApproveVend) and body.amount == 100)
    assert b"C,VEND" in asyncio.run(late_yes())


def test_questions_of_two_drivers_have_other_numbers():
    async def story():
        async with board() as one, board() as other:
            await one.says(A)
            await other.says(A)
            assert one.requests()[0].number != other.requests()[0].number

    asyncio.run(story())


@pytest.mark.parametrize("price", ["0.00", "655.35", "6553.50"])
def test_a_price_that_the_machine_does_not_know_is_told_no(price):
    async def story():
        async with board() as one:
            await one.says(f"c,STATUS,VEND,{price},1")
            assert (one.requests(), await one.hears()) == ([], one.told)
            assert b"C,STOP\n" in one.told

    asyncio.run(story())


def test_a_question_given_up_before_any_card_is_told():
    async def story():
        async with board() as one:
            await one.says(A)
            await one.says("c,ERR,VEND 1", "c,STATUS,IDLE", "c,STATUS,ENABLED")
            assert one.bridge.wishes()[-1] == SessionEnded("")
            await approved(one)
            await one.says("c,VEND,SUCCESS", "c,STATUS,IDLE", "c,STATUS,ENABLED")
            assert one.bridge.wishes().count(SessionEnded("")) == 1, "one that was answered is not given up"

    asyncio.run(story())


def test_a_sale_for_cash_told_twice_at_once_is_one():
    async def story():
        async with board() as one:
            await one.says("c,CASHSALE,2.00,3", "c,CASHSALE,2.00,3")
            await one.says("c,CASHSALE,2.00,3")
            assert one.facts() == [CashSale(200, 3)] * 2

    asyncio.run(story())


# ---- a bridge killed in mid-vend ----


async def killed_in_mid_vend(folder, *, board_off: bool = False, waits: bool = True) -> tuple[Machine, Ledger]:
    """Kill the bridge while the item is on its way, and start it as it starts in a venue: over its own logs."""
    machine, ledger = Machine(vend_ms=600), Ledger(folder)
    async with machine.served(unfinished=ledger.start()) as bridge:
        machine.say("choose 1")
        request = await bridge.until(lambda said: isinstance(said, Wish))
        ledger.approve(request.body, bridge)
        await happens(lambda: machine["phase"] == "dispensing")
    ledger.die()
    machine.say(*(["board 10ms"] if board_off else []))
    async with machine.served(unfinished=ledger.start()) as bridge:
        ledger.hear(bridge)
        until = asyncio.get_running_loop().time() + 20.0
        while ledger.outcomes["v0"] == ["unknown"] and asyncio.get_running_loop().time() < until and waits:
            await asyncio.sleep(0.01)
            ledger.hear(bridge)
    ledger.die()
    return machine, ledger


def test_a_bridge_killed_in_mid_vend_reads_the_result_from_the_board(tmp_path):
    """VND-3: the board is not switched off before it has told, and what it tells ends the doubt."""
    machine, ledger = asyncio.run(killed_in_mid_vend(tmp_path))
    assert (machine["delivered"], machine["approvals"]) == (1, 1)
    assert ledger.outcomes == {"v0": ["unknown", "done"]}


def test_a_board_that_lost_its_power_too_cannot_tell_and_says_so_at_once(tmp_path):
    _machine, ledger = asyncio.run(killed_in_mid_vend(tmp_path, board_off=True))
    assert ledger.outcomes == {"v0": ["unknown", "unknown"]}


def test_a_build_whose_log_forgets_what_it_approved_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(actuation_log, "_note", lambda _command: "")
    machine, ledger = asyncio.run(killed_in_mid_vend(tmp_path, waits=False))
    assert (machine["resets"], ledger.outcomes) == (2, {"v0": ["unknown"]}), "the board was put off in mid-vend"


def test_of_all_that_was_begun_each_ends_also_where_the_board_says_nothing():
    """Else a hub waits for a device that never tells."""

    async def story():
        near, far = memory_pipes()
        begun = tuple(make_command(YES, command_id=name, seq=1, boot_id="b", ttl_ms=0) for name in ("c1", "c2"))
        vend = msgspec.structs.replace(ALWAYS_IDLE, result_s=0.05)  # type: ignore[arg-type]
        async with driving(MdbCashless(near, vend, unfinished=begun)) as bridge:
            assert (await bridge.answer("c1")).reason == "not_told"
            await far.write(b"v,4,1\r\n")
            assert await bridge.answer("c2") == Answer("c2", "unknown", reason="no_result")

    asyncio.run(story())
