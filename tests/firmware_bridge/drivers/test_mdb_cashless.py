"""The card reader in a vending machine: a yes is said once and ends once, and what nobody can say is a doubt."""

import asyncio
import random

import msgspec
import pytest

from firmware_bridge.drivers import mdb_cashless
from firmware_bridge.drivers.interface import Answer, Condition, ValueFact, Wish
from firmware_bridge.drivers.mdb_cashless import MdbCashless
from firmware_bridge.transports.memory import memory_pipes
from firmware_bridge.wire.mdb_cashless import Vend
from payment_core.commands import ApproveVend, BeginSession, DenyVend, EndSession, Identify, make_command
from payment_core.events import CashSale, EventsLost, SessionEnded, VendRequested
from tests.support.driving import driving, happens
from tests.support.in_memory import in_memory
from tests.support.sizes import count
from tests.support.vend_bench import ALWAYS_IDLE, LEVEL_1, SESSIONS, Machine, hurry, killed_somewhere

YES = ApproveVend(100, 1)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    hurry(monkeypatch)


def played(story) -> None:
    asyncio.run(story())


def asked(bridge):
    """Return the next request of the machine."""
    return bridge.until(lambda item: isinstance(item, Wish) and isinstance(item.body, VendRequested))


def yes(bridge, body=YES):
    """Return a yes to the newest question."""
    requests = [wish for wish in bridge.wishes() if isinstance(wish, VendRequested)]
    return msgspec.structs.replace(body, number=requests[-1].number)


def facts(bridge) -> list[object]:
    while not bridge.outbox.empty():
        bridge.seen.append(bridge.outbox.get_nowait())
    return [item.body for item in bridge.seen if isinstance(item, ValueFact)]


def test_people_choose_first_and_the_item_falls_once():
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            machine.say("choose 1")
            request = (await asked(bridge)).body
            assert request == VendRequested(100, 1, number=request.number)
            assert await bridge.ask(yes(bridge)) == Answer("c1", "done", amount=1)
            await happens(lambda: machine["phase"] == "ready")
        assert (machine["delivered"], machine["approvals"], machine["amount"]) == (1, 1, 100)

    played(story)


def test_a_session_with_several_vends():
    async def story():
        machine = Machine(SESSIONS, many=True)
        async with machine.served() as bridge:
            assert (await bridge.ask(BeginSession(500), "s1")).outcome == "done"
            for number, command_id in ((1, "a"), (2, "b")):
                machine.say(f"choose {number}")
                request = (await asked(bridge)).body
                assert (request.amount, request.item, request.session) == (50 * (number + 1), number, "s1")
                answer = await bridge.ask(ApproveVend(request.amount, number, request.number), command_id)
                assert answer.outcome == "done"
                await happens(lambda: machine["phase"] == "session")
            assert (await bridge.ask(EndSession(), "e")).outcome == "done"
            assert await bridge.until(lambda item: isinstance(item, Wish) and item.body == SessionEnded("s1"))
            assert (await bridge.ask(BeginSession(9), "s2")).outcome == "done"
        assert machine["delivered"] == 2

    played(story)


def test_funds_are_shown_and_nothing_dearer_can_be_chosen():
    async def story():
        machine = Machine(SESSIONS)
        async with machine.served() as bridge:
            await bridge.ask(BeginSession(100), "s1")
            machine.say("choose 2", "choose 1")
            assert (await asked(bridge)).body.item == 1

    played(story)


def test_what_does_not_fall_is_failed_and_refunds_itself():
    async def story():
        machine = Machine()
        machine.say("jam on")
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            assert await bridge.ask(yes(bridge)) == Answer("c1", "failed", reason="failure")
        assert (machine["delivered"], machine["failed"]) == (0, 1)

    played(story)


def test_no_is_told_and_the_session_goes_on_to_its_end():
    async def story():
        machine = Machine(SESSIONS)
        async with machine.served() as bridge:
            await bridge.ask(BeginSession(500), "s1")
            machine.say("choose 1")
            await asked(bridge)
            assert (await bridge.ask(DenyVend(), "d")).outcome == "done"
            assert (await bridge.ask(DenyVend(), "e")).outcome == "failed"
            await bridge.until(lambda item: isinstance(item, Wish) and item.body == SessionEnded("s1"))
        assert (machine["delivered"], machine["denied"]) == (0, 1)

    played(story)


def test_a_request_taken_back_can_not_be_approved_any_more():
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            machine.say("cancel")
            await happens(lambda: machine["phase"] == "ready")
            answer = await bridge.ask(yes(bridge))
            assert (answer.outcome, answer.amount) in {("refused", 0), ("failed", 0)}
        assert (machine["delivered"], machine["cancelled"]) == (0, 1)

    played(story)


def test_of_a_cancel_and_a_yes_at_the_same_time_one_wins_and_both_sides_agree():
    async def story(dice):
        machine = Machine()
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            bridge.send(yes(bridge))
            await asyncio.sleep(dice.uniform(0, 0.006))
            machine.say("cancel")
            answer = await bridge.answer()
            await happens(lambda: machine["phase"] == "ready")
            assert {"done": 1, "failed": 0, "refused": 0}[answer.outcome] == machine["delivered"]

    for seed in range(count(300)):
        dice = random.Random(seed)
        asyncio.run(story(dice))


@pytest.mark.parametrize("body", [ApproveVend(101, 1), ApproveVend(100, 2)])
def test_a_yes_to_something_else_is_refused(body):
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            assert (await bridge.ask(body, "early")).outcome == "refused"
            machine.say("choose 1")
            await asked(bridge)
            assert (await bridge.ask(yes(bridge, body))).outcome == "refused"
        assert machine["approvals"] == 0

    played(story)


def test_sales_for_cash_are_told_as_value():
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            machine.say("cash 3")
            said = await bridge.until(lambda item: isinstance(item, ValueFact))
            assert said.body == CashSale(200, 3)

    played(story)


@pytest.mark.parametrize("trouble", ["power 100ms", "reset"])
def test_a_machine_that_loses_its_power_or_resets_in_mid_vend_is_a_doubt(trouble):
    async def story():
        machine = Machine(vend_ms=60)
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            bridge.send(yes(bridge))
            await happens(lambda: machine["phase"] == "dispensing")
            machine.say(trouble)
            assert (await bridge.answer()).outcome == "unknown"
            await bridge.condition("online")

    played(story)


@pytest.mark.parametrize(("vend", "outcome"), [(SESSIONS, "unknown"), (LEVEL_1, "done")])
def test_a_session_that_ends_without_a_result_is_what_the_profile_says(vend, outcome):
    async def story():
        machine = Machine(vend, says_result=False)
        async with machine.served() as bridge:
            await bridge.ask(BeginSession(500), "s1")
            machine.say("choose 1")
            await asked(bridge)
            assert (await bridge.ask(yes(bridge))).outcome == outcome

    played(story)


def test_a_result_that_comes_late_ends_the_doubt():
    async def story():
        machine = Machine(vend_ms=150)
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            bridge.send(yes(bridge))
            await happens(lambda: machine["phase"] == "dispensing")
        unfinished = (make_command(YES, command_id="c1", seq=1, boot_id="b", ttl_ms=9),)
        async with (
            in_memory(machine.simulator) as pipe,
            driving(MdbCashless(pipe, machine.vend, unfinished=unfinished)) as bridge,
        ):
            assert await bridge.answer() == Answer("c1", "done", amount=1)
        assert machine["approvals"] == machine["delivered"] == 1

    played(story)


@pytest.mark.slow
@pytest.mark.parametrize(("vend_ms", "end"), [(30, "unknown"), (1_200, "done")])
def test_a_board_that_falls_silent_is_offline_and_its_vend_waits_for_what_it_says_when_it_is_back(
    monkeypatch, vend_ms, end
):
    monkeypatch.setattr(mdb_cashless, "AWAY_S", 0.2)

    async def story():
        machine = Machine(msgspec.structs.replace(ALWAYS_IDLE, result_s=2), vend_ms=vend_ms)
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            bridge.send(yes(bridge))
            await happens(lambda: machine["phase"] == "dispensing")
            machine.say("silence 600ms")
            assert (await bridge.condition("offline")).reason.startswith("no answer from the MDB board")
            assert not [item for item in bridge.seen if isinstance(item, Answer)]
            assert (await bridge.answer()).outcome == end
            await bridge.condition("online")
            assert facts(bridge) == []
        assert machine["delivered"] == 1

    played(story)


def test_no_result_in_time_is_a_doubt_and_nothing_is_said_twice():
    async def story():
        machine = Machine(msgspec.structs.replace(ALWAYS_IDLE, result_s=5))
        machine.vend = msgspec.structs.replace(machine.vend, result_s=0)  # below what a profile may say
        machine.say("hold on")
        async with machine.served() as bridge:
            machine.say("choose 1")
            await asked(bridge)
            assert (await bridge.ask(yes(bridge))).outcome == "unknown"
            await bridge.condition("online")
        assert machine["approvals"] <= 1

    played(story)


@pytest.mark.parametrize("fault", ["double 50", "echo on", "drip 1ms", "noise 00ff13ff", "late 30ms"])
def test_a_bad_line_costs_no_money(fault):
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            machine.say(fault)
            machine.say("choose 1")
            await asked(bridge)
            assert await bridge.ask(yes(bridge)) == Answer("c1", "done", amount=1)
            await happens(lambda: machine["phase"] == "ready")
            await asyncio.sleep(0.04)
            assert facts(bridge) == []
        assert machine["approvals"] == machine["delivered"] == 1

    played(story)


def test_an_item_that_nobody_approved_is_written_down():
    async def story():
        near, far = memory_pipes()
        async with driving(MdbCashless(near, ALWAYS_IDLE)) as bridge:
            await far.write(b"v,4,1\r\nc,STATUS,ENABLED\r\nc,VEND,SUCCESS\r\n")
            said = await bridge.until(lambda item: isinstance(item, ValueFact))
            assert said.body == EventsLost(1)

    played(story)


def test_a_machine_that_does_not_know_its_price_is_told_no():
    async def story():
        near, far = memory_pipes()
        async with driving(MdbCashless(near, ALWAYS_IDLE)) as bridge:
            await far.write(b"v,4,1\r\nc,STATUS,ENABLED\r\nc,STATUS,VEND,0.00,1\r\n")
            heard = b""
            while b"C,STOP\n" not in heard:
                heard += await far.read()
            assert bridge.wishes() == []

    played(story)


@pytest.mark.slow
def test_a_machine_off_its_bus_or_disabled_is_a_fault_before_anybody_pays():
    async def story():
        machine = Machine()
        machine.say("power 50ms")
        async with machine.served() as bridge:
            machine.say("power 200ms")
            await bridge.until(lambda item: isinstance(item, Condition) and item.reason == "machine_off")
            assert (await bridge.ask(BeginSession(500), "s")).outcome == "done"  # it waited for the machine
            assert (await bridge.ask(BeginSession(5), "t")).reason == "machine_busy"
            machine.say("power 9s")
            await bridge.condition("fault")
            assert (await bridge.ask(BeginSession(5), "u")).reason == "no_session"
            first = [item.reason for item in bridge.seen if isinstance(item, Condition)]
        assert {"machine_unknown", "machine_off", "machine_disabled", ""} >= set(first)

    played(story)


def test_a_board_that_lost_its_power_gets_its_settings_again():
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            machine.say("board 20ms")
            await bridge.condition("fault")
            await bridge.condition("online")
            machine.say("choose 1")
            await asked(bridge)

    played(story)


def test_a_request_that_nobody_decides_is_denied_and_a_session_does_not_last_for_ever(monkeypatch):
    monkeypatch.setattr(mdb_cashless, "DECIDE_S", 0.02)
    monkeypatch.setattr(mdb_cashless, "SESSION_S", 0.02)

    async def story():
        machine = Machine(SESSIONS)
        async with machine.served() as bridge:
            await bridge.ask(BeginSession(500), "s1")
            await bridge.until(lambda item: isinstance(item, Wish) and item.body == SessionEnded("s1"))
            await happens(lambda: machine["phase"] == "ready")
            monkeypatch.setattr(mdb_cashless, "SESSION_S", 5)
            await bridge.ask(BeginSession(500), "s2")
            machine.say("choose 1")
            await happens(lambda: machine["denied"] == 1)

    played(story)


def test_other_wishes_are_refused_and_ends_without_a_session_are_done():
    async def story():
        machine = Machine()
        async with machine.served() as bridge:
            assert (await bridge.ask(Identify(), "i")).reason == "not_supported"
            assert (await bridge.ask(EndSession(), "e")).outcome == "done"

    played(story)


# ---- VND-2, VND-3: whoever dies between yes and the result ----


class Blind(MdbCashless):
    """A broken build: a yes without a result is said again at every upkeep and at every start."""

    async def _upkeep(self) -> None:
        if self._yes is not None and self._yes.end in {None, Vend.UNKNOWN}:
            await self._pipe.write(b"C,VEND,1.00\nC,VEND,1.50\nC,VEND,2.00\n")
        await super()._upkeep()


def judge(machine: Machine, ledger) -> None:
    delivered = machine["delivered"]
    assert delivered <= len(ledger.commands), "more fell than was paid for"
    assert machine["approvals"] <= len(ledger.commands), "a yes was said twice"
    assert ledger.ends("done") <= delivered
    assert delivered <= ledger.ends("done") + ledger.ends("unknown") + ledger.flagged, "something fell unseen"
    for outcomes in ledger.outcomes.values():
        assert len([one for one in outcomes if one != "unknown"]) <= 1, outcomes


@pytest.mark.slow
def test_killed_between_yes_and_result_everything_is_settled_once_or_flagged(tmp_path):
    for seed in range(count(200)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        machine, ledger = asyncio.run(killed_somewhere(random.Random(seed), folder))
        judge(machine, ledger)


async def asked_again(driver: type[MdbCashless], *, until=None) -> Machine:
    """The bridge dies behind its yes; the guest presses again, and walks away soon, or when something is so."""
    machine = Machine(vend_ms=5)
    async with machine.served() as bridge:
        machine.say("choose 1")
        await asked(bridge)
        bridge.send(yes(bridge))
        await happens(lambda: machine["approvals"])
    unfinished = (make_command(YES, command_id="c1", seq=1, boot_id="b", ttl_ms=9),)
    machine.say("board 10ms")
    async with machine.served(driver=driver, unfinished=unfinished) as bridge:
        machine.say("choose 1")
        await (asyncio.sleep(0.15) if until is None else happens(lambda: until(machine)))
        assert bridge is not None
    return machine


def test_a_yes_is_never_said_again():
    machine = asyncio.run(asked_again(MdbCashless))
    assert machine["approvals"] == 1


def test_mutant_a_yes_that_is_said_again_gives_away_an_item(monkeypatch):
    request = MdbCashless._request

    async def remembers(self, line, outbox):
        yes = self._yes
        await request(self, line, outbox)
        self._yes = yes

    monkeypatch.setattr(Blind, "_request", remembers)
    machine = asyncio.run(asked_again(Blind, until=lambda machine: machine["approvals"] > 1))
    assert machine["approvals"] > 1
