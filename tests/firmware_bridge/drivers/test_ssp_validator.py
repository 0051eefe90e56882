"""The note validator's driver: a note in the box is credited once, whoever dies and whatever the line loses."""

import asyncio
import random
from functools import partial

import msgspec
import pytest

from firmware_bridge.drivers import ssp_line, ssp_validator
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition
from firmware_bridge.drivers.ssp_line import SspLine
from firmware_bridge.drivers.ssp_validator import SspValidator
from firmware_bridge.wire.ssp import Code, Packet, Setup, encode
from firmware_bridge.wire.ssp_credits import unpack
from firmware_bridge.wire.ssp_crypto import STEX
from payment_core.commands import Accept, Identify, make_command
from tests.support.note_bench import DEADLINE_S, MUST_SEAL, NO_ACK, NOTES, QUICK, SEALED, Till
from tests.support.sizes import count

KINDS = pytest.mark.parametrize(
    ("making", "acceptor"), [(QUICK, NOTES), (NO_ACK, NOTES), (MUST_SEAL, SEALED)], ids=["ack", "plain", "sealed"]
)
CODE_AT = 3
TRIES = 9


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(ssp_line, "ANSWER_TIMEOUT_S", 0.06)
    monkeypatch.setattr(ssp_line, "GAP_S", 0.02)
    monkeypatch.setattr(ssp_validator, "AWAY_S", 0.02)


def accept(number: int, *, on: bool):
    return make_command(Accept(on=on), command_id=f"a{number}", seq=0, boot_id="b", ttl_ms=99)


def lost_answers(*codes: int, times: int = 1, after: int = 0):
    """Return a line on which some answers to these commands are lost."""
    left = [after, times]

    def mangle(question: bytes, answer: bytes) -> bytes:
        if len(question) > CODE_AT and question[CODE_AT] in codes:
            if left[0]:
                left[0] -= 1
            elif left[1]:
                left[1] -= 1
                return b""
        return answer

    return mangle


@KINDS
def test_notes_are_credited_once_with_a_tally_that_rises(making, acceptor):
    async def story():
        till = Till(making, acceptor=acceptor)
        await till.life(lambda: len(till.credits) == 1, "note 3")
        await till.life(lambda: len(till.credits) == 2, "note 1")
        assert [credit.position for credit in till.credits] == [3, 1]
        assert till.credits[0].counter < till.credits[1].counter
        assert till.in_box + till.simulator._notes.status()["notes_given_back"] >= 1
        online = next(condition for condition in till.conditions if condition.state == "online")
        assert (online.serial, online.firmware) == ("4711003", "CNY 0333")
        assert till.lost == 0
        return till

    asyncio.run(story())


def test_an_inhibited_note_and_one_nobody_polls_for_come_back():
    async def story():
        till = Till()
        till.say("note 3")
        await till.life(lambda: till.given_back == 2, "note 5")
        assert till.credits == []

    asyncio.run(story())


def test_a_shut_gate_gives_notes_back_also_the_one_in_escrow(monkeypatch):
    monkeypatch.setattr(ssp_validator, "OUTBOX_ROOM", 300)  # so that it holds what comes

    async def story():
        for _ in range(TRIES):  # a driver that ends in the middle of a question leaves the note where it is
            till = Till()
            await till.life(lambda till=till: till.simulator._notes._place == "escrow", "note 3")
            if till.given_back == 1:
                break
        assert till.credits == []
        await till.life(lambda: till.given_back == 2, "note 1", commands=(accept(1, on=False),))
        assert till.answers == [Answer("a1", "done")]
        monkeypatch.setattr(ssp_validator, "OUTBOX_ROOM", 1)
        await till.life(lambda: len(till.credits) == 1, "note 1", commands=(accept(1, on=False), accept(2, on=True)))
        assert till.in_box == 1

    asyncio.run(story())


def test_a_note_is_held_while_there_is_no_room_to_tell_of_it_and_given_back_in_time(monkeypatch):
    monkeypatch.setattr(ssp_validator, "HOLD_S", 0.1)
    monkeypatch.setattr(ssp_validator, "OUTBOX_ROOM", 300)

    async def story():
        till = Till()
        await till.life(lambda: till.given_back == 1, "note 3")
        assert till.credits == []
        assert till.in_box == 0

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"country": "EUR"}, "other_currency: its channels are 1, 5, 10, 20, 50, 100 EUR"),
        ({"values": (5, 10, 20, 50)}, "other_values: its channels are 5, 10, 20, 50 CNY, each 100 minor units"),
        ({"newest_protocol": 5}, "protocol: the validator refuses SSP protocol 6"),
    ],
)
def test_a_validator_that_is_not_what_the_profile_says_takes_no_note(changes, why):
    async def story():
        till = Till(msgspec.structs.replace(QUICK, **changes))
        with pytest.raises(DriverError, match=why):
            await till.life(lambda: False)
        till.say("note 1")
        assert (till.in_box, till.given_back) == (0, 1)
        assert all(said.state != "online" for said in till.conditions)

    asyncio.run(story())


def test_mutant_a_driver_that_believes_any_value_is_seen(monkeypatch):
    monkeypatch.setattr(Setup, "misfit", lambda *_: "")
    monkeypatch.setattr("tests.support.note_bench.DEADLINE_S", 0.5)
    with pytest.raises(AssertionError):
        test_a_validator_that_is_not_what_the_profile_says_takes_no_note({"country": "EUR"}, "other_currency")


def test_other_wishes_are_refused():
    async def story():
        till = Till()
        odd = make_command(Identify(), command_id="i", seq=0, boot_id="b", ttl_ms=9)
        await till.life(lambda: len(till.answers) == 1, commands=(odd,))
        assert till.answers == [Answer("i", "refused", reason="not_supported")]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("line", "reason"),
    [("fraud 2", "fraud"), ("full", "full"), ("jam", "unsafe_jam"), ("box out", "cashbox_removed")],
)
def test_what_somebody_should_look_at_is_a_fault(line, reason):
    async def story():
        till = Till()
        await till.life(lambda: any((said.state, said.reason) == ("fault", reason) for said in till.conditions), line)
        assert till.credits == []

    asyncio.run(story())


# ---- a credit is told once ----


async def heard_twice(driver: type[SspValidator] = SspValidator) -> Till:
    """The answer with the credit is lost on the line, and the poll said again."""
    till = Till(NO_ACK, driver=driver)

    lost = []

    def lose_the_credit(_question: bytes, answer: bytes) -> bytes:
        if b"\xee" in answer and not lost:
            lost.append(answer)
            return b""
        return answer

    await till.life(lambda: till.in_box == 1 and till.simulator._notes._events == [], "note 3", mangle=lose_the_credit)
    await till.life(lambda: till.conditions[-1].state == "online")
    return till


def test_a_poll_said_again_carries_the_same_bit_and_its_credit_is_not_lost():
    till = asyncio.run(heard_twice())
    assert [credit.position for credit in till.credits] == [3]


class Hasty(SspValidator):
    """A broken build: what was not answered is asked as a new question."""

    async def _poll(self, outbox) -> None:
        self._line._outstanding = None
        self._line.sequence = not self._line.sequence if self._failed_asks else self._line.sequence
        await super()._poll(outbox)


def test_mutant_a_poll_said_again_with_another_bit_loses_the_credit(monkeypatch):
    monkeypatch.setattr(ssp_line, "TRIES", 1)
    ask = SspLine.ask

    async def ask_once(self, data, *, tries=1):
        return await ask(self, data, tries=tries)

    monkeypatch.setattr(SspLine, "ask", ask_once)
    assert [credit.position for credit in asyncio.run(heard_twice()).credits] == [3]
    till = asyncio.run(heard_twice(Hasty))
    assert (till.credits, till.in_box) == ([], 1)


class Careless(SspValidator):
    """A broken build: it forgets with each start what it had written of the last answer."""

    def __init__(self, pipe, acceptor, *, last_counter) -> None:
        super().__init__(pipe, acceptor, last_counter=last_counter)
        self._tally = self._tally.settled()


async def died_behind_the_write(making, driver: type[SspValidator] = SspValidator) -> Till:
    """The note is on the disk, the validator was not told, and the bridge dies."""
    till = Till(making, driver=driver)
    deaf = lost_answers(Code.EVENT_ACK, Code.LAST_REJECT, times=0)
    await till.life(lambda: till.conditions[-1:] and till.conditions[-1].state == "online")
    heard = till.simulator.feed

    def feed(data: bytes, *, now_ms: int) -> bytes:
        is_word = len(data) > CODE_AT and data[CODE_AT] in {Code.EVENT_ACK, Code.LAST_REJECT}
        return b"" if is_word and till.credits else heard(data, now_ms=now_ms)

    till.simulator.feed = feed
    await till.life(lambda: len(till.credits) == 1, "note 3", kill_after_s=DEADLINE_S, mangle=deaf)
    till.simulator.feed = heard
    await till.life(lambda: till.counter is not None and unpack(till.counter).told == 0)
    return till


@pytest.mark.parametrize("making", [QUICK, NO_ACK], ids=["ack", "plain"])
def test_killed_between_the_write_and_the_acknowledgement_the_note_counts_once(making):
    till = asyncio.run(died_behind_the_write(making))
    assert len(till.credits) == till.in_box == 1


@pytest.mark.parametrize("making", [QUICK, NO_ACK], ids=["ack", "plain"])
def test_mutant_a_repeated_answer_is_credited_again(making):
    till = asyncio.run(died_behind_the_write(making, Careless))
    assert (len(till.credits), till.in_box) == (2, 1)


def at_peace(till: Till) -> bool:
    """Say whether everything that the validator had to say is written."""
    notes = till.simulator._notes
    waits = notes._events or notes._unacknowledged or notes._place != "none"
    return not waits and till.counter is not None and unpack(till.counter).told == 0


async def killed_somewhere(dice: random.Random, making) -> Till:
    """Notes, and a bridge that dies again and again; without acknowledgement it hears out what it died over."""
    till = Till(making)
    await till.life(lambda: till.conditions[-1:] and till.conditions[-1].state == "online")
    for _ in range(dice.randint(2, 5)):
        note = f"note {dice.randint(1, 4)}"
        lose = lost_answers(*Code, times=dice.choice((0, 0, 1, 2)), after=dice.randint(0, 12))
        await till.life(
            lambda: False, note, kill_after_s=dice.uniform(0.01, 0.2), write_s=dice.choice((0.0, 0.02)), mangle=lose
        )
        if making.acknowledges and dice.random() < 0.3:
            till.say("power 1ms")
        if not making.acknowledges:
            await till.life(partial(at_peace, till))
    await till.life(lambda: till.simulator._notes._place == "none" and till.conditions[-1].state == "online")
    await till.life(partial(at_peace, till))
    return till


@pytest.mark.slow
@pytest.mark.parametrize("making", [QUICK, NO_ACK], ids=["ack", "plain"])
def test_killed_anywhere_what_is_in_the_box_is_what_was_credited(making):
    notes = 0
    for seed in range(count(100)):
        till = asyncio.run(killed_somewhere(random.Random(seed), making))
        assert len(till.credits) == till.in_box, (seed, till.credits, till.simulator.status())
        assert till.lost == 0, seed
        notes += till.in_box
    assert notes


@pytest.mark.parametrize("moment", ["reading", "escrow", "stacking", "none"])
@KINDS
def test_power_lost_with_a_note_on_its_way_credits_what_ends_in_the_box(making, acceptor, moment):
    async def story():
        # It stacks for long enough to lose its power meanwhile: later a validator without EVENT_ACK says nothing of it.
        till = Till(msgspec.structs.replace(making, stack_ms=2_000), acceptor=acceptor)
        await till.life(lambda: till.conditions[-1:] and till.conditions[-1].state == "online")
        wanted = (lambda: till.credits != []) if moment == "none" else (lambda: till.simulator._notes._place == moment)
        await till.life(wanted, "note 3", kill_after_s=DEADLINE_S)
        till.say("power 5ms")
        await till.life(
            lambda: (
                till.simulator._notes.enabled
                and not till.simulator._notes._events
                and not till.simulator._notes._unacknowledged
            )
        )
        assert len(till.credits) == till.in_box
        assert till.in_box == (moment in {"stacking", "none"})

    asyncio.run(story())


def mute_at_the_credit():
    """Return a line that goes dead when the credit is told."""
    dead = []

    def mangle(_question: bytes, answer: bytes) -> bytes:
        dead.extend([1] if b"\xee" in answer else [])
        return b"" if dead else answer

    return mangle


def test_a_first_contact_credits_nothing_and_tells_what_waited():
    async def story():
        till = Till()
        await till.life(lambda: till.conditions[-1:] and till.conditions[-1].state == "online")
        await till.life(
            lambda: till.simulator._notes._place == "stacking",
            "note 3",
            kill_after_s=DEADLINE_S,
            mangle=mute_at_the_credit(),
        )
        till.counter = None  # the log was lost
        await till.life(lambda: till.counter is not None and till.lost + len(till.credits) == 1)
        assert (till.credits, till.lost) == ([], 1)

    asyncio.run(story())


# ---- eSSP ----


@pytest.mark.parametrize("making", [QUICK, NO_ACK], ids=["ack", "plain"])
def test_who_is_there_is_told_before_any_fact(making):
    async def story():
        till = Till(making)
        await till.life(lambda: till.conditions[-1:] and till.conditions[-1].state == "online")
        assert [condition.serial for condition in till.conditions[:1]] == ["4711003"]
        await till.life(
            lambda: till.simulator._notes._place == "stacking",
            "note 3",
            kill_after_s=DEADLINE_S,
            mangle=mute_at_the_credit(),
        )
        till.said.clear()
        await till.life(lambda: len(till.credits) == 1)
        assert isinstance(till.said[0], Condition)
        assert till.said[0].serial == "4711003"

    asyncio.run(story())


def test_another_key_understands_nothing():
    async def story():
        till = Till(MUST_SEAL, acceptor=msgspec.structs.replace(SEALED, fixed_key="00" * 8))
        await till.life(lambda: till.conditions[-1:] != [])
        assert till.conditions[0].state == "offline"

    asyncio.run(story())


def test_a_count_that_is_off_is_silence_and_ends_in_a_new_key():
    async def story():
        till = Till(MUST_SEAL, acceptor=SEALED)
        await till.life(lambda: len(till.credits) == 1, "note 3")
        await till.life(lambda: len(till.credits) == 2, "skew 3", "note 1", "note 1")
        assert till.in_box >= 1

    asyncio.run(story())


def test_in_encrypted_mode_a_credit_in_the_clear_is_none():
    async def story():
        till = Till(MUST_SEAL, acceptor=SEALED)

        def forge(question: bytes, answer: bytes) -> bytes:
            forged = encode(Packet(0, sequence=bool(question[1] & 0x80), data=b"\xf0\xee\x03"))
            return (forged if question[CODE_AT] == STEX else b"") + answer

        await till.life(lambda: len(till.conditions) > 0)
        await till.life(lambda: till.given_back > 0, "note 2", mangle=forge)
        assert till.credits == []

    asyncio.run(story())
