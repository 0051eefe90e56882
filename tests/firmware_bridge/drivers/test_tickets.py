"""Ticket dispensers and parallel hoppers, against the simulated one; time jumps.

VND-2: over many random interruptions nothing leaves that was neither answered nor flagged, and nothing is resumed.
"""

import asyncio
import contextlib
import random

import msgspec
import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.drivers.interface import Condition
from firmware_bridge.drivers.tickets import TicketDispenser
from firmware_bridge.simulators.ticket_dispenser import COINS_OUT, MOTION, Motion, TicketDispenserSimulator
from firmware_bridge.transports.interface import TransportClosedError
from payment_core.commands import Accept, Dispense, Identify
from payment_core.events import EventsLost
from tests.support.line_bench import BenchLines, Life, in_no_time, living, now_ns
from tests.support.sizes import count

CATALOG = load_catalog()
TICKETS = CATALOG["ticket-dl1275"].tickets
HOPPER = CATALOG["parallel-hopper"].tickets
JAM_S = TICKETS.jam_ms / 1_000
WANTED = 5


def wires(device: TicketDispenserSimulator, settings=TICKETS) -> BenchLines:
    active = {"run": settings.run_level, "notch": settings.notch_level, "error": settings.error_level}
    return BenchLines(device, active)


@contextlib.asynccontextmanager
async def dispenser(settings=TICKETS, motion: Motion = MOTION, *, loaded: int = 100, device=None):
    device = device or TicketDispenserSimulator(settings, motion, loaded=loaded)
    lines = wires(device, settings)
    async with living(TicketDispenser(lines, settings, has_error=settings is HOPPER)) as life:
        yield lines, life


def out(lines: BenchLines) -> int:
    return int(str(lines.device.status()["tickets_out"]))


def lost(life: Life) -> int:
    return sum(body.count for body in life.bodies if isinstance(body, EventsLost))


async def ends(life: Life, body: Dispense | Accept, number: int = 1) -> tuple[str, int, str]:
    answer = await life.ask(body, number)
    return answer.outcome, answer.amount, answer.reason


@pytest.mark.parametrize(("settings", "motion"), [(TICKETS, MOTION), (HOPPER, COINS_OUT)])
def test_what_is_wanted_comes_out_and_no_more_though_it_stands_on_a_notch_at_first(settings, motion):
    async def story() -> None:
        async with dispenser(settings, motion) as (lines, life):
            assert lines.device.levels()["notch"] == 0
            for number, wanted in enumerate((1, 3, 10), 1):
                assert await ends(life, Dispense(wanted), number) == ("done", wanted, "")
            assert out(lines) == 14
            assert life.states == [("online", "")]

    in_no_time(story)


def test_what_comes_more_than_was_wanted_is_told_as_lost():
    async def story() -> None:
        async with dispenser(motion=Motion(coast_ms=150)) as (lines, life):
            assert await ends(life, Dispense(2)) == ("done", 2, "")
            assert out(lines) == 3
            assert life.bodies == [EventsLost(1)]  # no guest's
            assert life.states == [("online", "")]

    in_no_time(story)


def test_empty_gives_what_was_there_and_refuses_until_somebody_has_mended_it():
    async def story() -> None:
        async with dispenser(loaded=2) as (lines, life):
            begun = asyncio.get_running_loop().time()
            assert await ends(life, Dispense(5)) == ("done", 2, "empty_or_jam")
            assert asyncio.get_running_loop().time() - begun < JAM_S + 1
            assert await ends(life, Dispense(1), 2) == ("failed", 0, "empty_or_jam")
            assert life.states == [("online", ""), ("fault", "empty_or_jam")]
            lines.say("load 10")
            lines.say("feed")  # by hand: nobody's
            await asyncio.sleep(1)
            assert life.states[-1] == ("online", "")
            assert await ends(life, Dispense(1), 3) == ("done", 1, "")
            lines.say("jam")
            assert await ends(life, Dispense(1), 4) == ("failed", 0, "empty_or_jam")
            lines.say("clear")
            assert await ends(life, Accept(on=True), 5) == ("done", 0, "")
            assert await ends(life, Dispense(1), 6) == ("done", 1, "")

    in_no_time(story)


def test_a_relay_that_sticks_is_told_with_every_piece_and_found():
    async def story() -> None:
        async with dispenser(loaded=20) as (lines, life):
            assert await ends(life, Dispense(2)) == ("done", 2, "")
            lines.say("stick")
            await asyncio.sleep(5)
            assert out(lines) == 20
            assert lost(life) == 18
            assert life.states == [("online", ""), ("fault", "runs_on")]
            assert await ends(life, Dispense(1), 2) == ("failed", 0, "runs_on")
            lines.say("clear")
            lines.say("load 9")
            lines.say("feed")  # a piece by hand says nothing about the relay
            await asyncio.sleep(1)
            assert await ends(life, Dispense(1), 3) == ("failed", 0, "runs_on")
            assert await ends(life, Accept(on=True), 4) == ("done", 0, "")
            assert await ends(life, Dispense(1), 5) == ("done", 1, "")

    in_no_time(story)


def test_a_piece_now_and_then_is_told_and_is_no_motor_that_runs():
    async def story() -> None:
        async with dispenser() as (lines, life):
            for _ in range(4):
                lines.say("feed")
                await asyncio.sleep(6)
            assert lost(life) == 4
            assert life.states == [("online", "")]

    in_no_time(story)


def test_pieces_by_themselves_are_told_by_a_driver_that_ends_as_well():
    async def story() -> None:
        async with dispenser() as (lines, life):
            for _ in range(256):
                life.outbox.put_nowait(Condition("online"))  # the bridge is slow
                if life.outbox.full():
                    break
            lines.say("feed")
            await asyncio.sleep(1)
            life.outbox.get_nowait()
            life.task.cancel()
            await asyncio.wait([life.task])
            assert lost(life) == 1

    in_no_time(story)


def test_error_bursts_stop_a_hopper_and_are_told_by_their_number():
    async def story() -> None:
        async with dispenser(HOPPER, COINS_OUT) as (lines, life):
            life.tell(Dispense(9))
            await asyncio.sleep(0.5)
            lines.say("error 3")
            await asyncio.sleep(2)
            answer = life.answer()
            assert (answer.outcome, answer.amount) == ("done", out(lines))
            assert life.states[-1] == ("fault", "error_3")
            assert await ends(life, Dispense(1), 2) == ("failed", 0, "error_3")
            await asyncio.sleep(6)  # it is not told any more
            assert life.states[-1] == ("online", "")
            assert await ends(life, Dispense(1), 3) == ("done", 1, "")

    in_no_time(story)


def test_a_fault_that_goes_on_being_told_does_not_lapse():
    async def story() -> None:
        async with dispenser(HOPPER, COINS_OUT) as (lines, life):
            for _ in range(4):
                lines.say("error 1")
                await asyncio.sleep(4)
            assert life.states == [("online", ""), ("fault", "error_1")]

    in_no_time(story)


@pytest.mark.parametrize("width_ms", [4, 8, 12, 300])
def test_spikes_on_the_error_line_are_no_fault(width_ms):
    async def story() -> None:
        async with dispenser(HOPPER, COINS_OUT) as (lines, life):
            life.tell(Dispense(9))
            for _ in range(2):
                lines.say(f"spike {width_ms}ms")
                await asyncio.sleep(1)
            await asyncio.sleep(1)
            answer = life.answer()
            assert (answer.outcome, answer.amount, answer.reason) == ("done", 9, "")
            assert life.states == [("online", "")]

    in_no_time(story)


def test_what_it_cannot_do_is_refused_and_the_motor_stays_off():
    async def story() -> None:
        async with dispenser() as (lines, life):
            for number, (body, reason) in enumerate(
                ((Dispense(0), "bad_amount"), (Dispense(101), "bad_amount"), (Identify(), "not_supported")), 1
            ):
                assert await ends(life, body, number) == ("refused", 0, reason)
            life.tell(Dispense(1), 9)
            life.inbox.put_nowait(msgspec.structs.replace(life.inbox.get_nowait(), body=msgspec.Raw(b"{}")))
            await asyncio.sleep(0.1)
            assert life.answer(9).reason == "not_understood"
            assert out(lines) == 0

    in_no_time(story)


def test_a_stuck_sensor_is_a_jam_with_nothing_counted():
    async def story() -> None:
        async with dispenser() as (lines, life):
            lines.say("jam")
            assert await ends(life, Dispense(2)) == ("failed", 0, "empty_or_jam")
        assert out(lines) == 0

    in_no_time(story)


def test_the_end_of_the_socket_and_of_the_bridge_in_the_middle_are_unknown_with_what_was_seen():
    async def story() -> None:
        async with dispenser() as (lines, life):
            life.tell(Dispense(9))
            await asyncio.sleep(0.33)
            lines.cut()
            await asyncio.wait([life.task])
            answer = life.answer()
            assert (answer.outcome, answer.amount, answer.reason) == ("unknown", out(lines), "line_closed")
            assert life.task.exception().subgroup(TransportClosedError)
        async with dispenser() as (lines, life):
            life.tell(Dispense(9))
            await asyncio.sleep(0.33)
            life.task.cancel()
            await asyncio.wait([life.task])
            answer = life.answer()
            assert (answer.outcome, answer.amount, answer.reason) == ("unknown", out(lines), "stopped")
            assert lines.device.status()["running"] is False

    in_no_time(story)


class Resuming(TicketDispenser):
    """A broken driver: it gives what the life before could not say it gave."""

    owed = 0

    async def run(self, inbox, outbox) -> None:
        owed, Resuming.owed = Resuming.owed, 0
        if owed:
            life = Life.__new__(Life)
            life.inbox = inbox
            life.tell(Dispense(owed), 99)
        await super().run(inbox, outbox)

    def _interrupted(self, command, run):
        Resuming.owed = max(0, WANTED - run.pieces)
        return super()._interrupted(command, run)


async def one_sale(dice: random.Random, driver: type[TicketDispenser]) -> None:
    """Sell some tickets through one accident, and then let another bridge serve the device."""
    motion = Motion(piece_ms=dice.randint(60, 150), notch_ms=dice.randint(15, 40), coast_ms=dice.choice((0, 10, 120)))
    device = TicketDispenserSimulator(TICKETS, motion, loaded=dice.choice((3, 100)))
    accident = dice.choice(("none", "cut", "kill", "stop", "jam", "glitch 3ms", "stick"))
    async with living(driver(lines := wires(device), TICKETS, has_error=False)) as life:
        life.tell(Dispense(WANTED))
        await asyncio.sleep(dice.uniform(0, 0.8))
        match accident:
            case "cut":
                lines.cut()
            case "kill" | "stop":
                life.task.cancel()
            case "none":
                pass
            case _:
                lines.say(accident)
        await asyncio.sleep(9)
        if accident == "stick":
            lines.say("clear")
            await asyncio.sleep(1)
        answer = None if accident == "kill" else life.answer()  # who is killed says nothing: the log says unknown
        strays = lost(life)
    device.tick(now_ns=now_ns())  # it runs on, though nobody looks
    left = out(lines)
    async with living(driver(lines := wires(device), TICKETS, has_error=False)) as life:
        await asyncio.sleep(20)
    assert out(lines) == left, "given without being asked"
    told = strays + (0 if answer is None else answer.amount)
    assert told <= left, "answered what never came"
    flagged = answer is None or answer.outcome == "unknown"
    assert flagged or told == left, "given, and neither answered nor flagged"
    assert answer is None or answer.amount <= WANTED, "a guest is charged for what nobody wanted"
    assert left <= WANTED + 2 or accident == "stick", "more than wanted and the motor's way to its end"


def judge(driver: type[TicketDispenser] = TicketDispenser) -> None:
    dice = random.Random(4)

    async def story() -> None:
        for _ in range(count(10_000)):
            await one_sale(dice, driver)

    in_no_time(story)


def test_what_leaves_is_answered_or_flagged_and_never_resumed():
    judge()


def test_a_driver_that_resumes_is_found():
    with pytest.raises(AssertionError, match="given without being asked"):
        judge(Resuming)


def test_a_driver_that_forgets_what_comes_after_the_stop_is_found():
    class Hasty(TicketDispenser):
        def _piece(self, at_ns) -> None:
            if self._run is None or self._run.pieces < WANTED:
                super()._piece(at_ns)

    with pytest.raises(AssertionError, match="neither answered nor flagged"):
        judge(Hasty)


def test_a_driver_that_forgets_what_comes_by_itself_is_found():
    class Deaf(TicketDispenser):
        def _piece(self, at_ns) -> None:
            if self._run is not None:
                super()._piece(at_ns)

    with pytest.raises(AssertionError, match="neither answered nor flagged"):
        judge(Deaf)
