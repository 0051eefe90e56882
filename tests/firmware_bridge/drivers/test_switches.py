"""What is only switched, against a simulated board; time jumps."""

import asyncio
import contextlib
import random

import msgspec
import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.drivers.switches import Switches
from firmware_bridge.simulators.io_board import IoBoard
from firmware_bridge.transports.interface import TransportClosedError
from payment_core.commands import Identify, PulseCredit, SetLine
from tests.support.line_bench import BenchLines, in_no_time, living
from tests.support.sizes import count

CATALOG = load_catalog()
LOCK = CATALOG["door-lock"].io.outputs
ROOM = CATALOG["room-power"].io.outputs
LAMP = CATALOG["lamp-buzzer"].io.outputs
LIMIT_MS = LOCK["lock"].longest_ms


@contextlib.asynccontextmanager
async def board(outputs, *, driver=Switches):
    page = next(page.io for page in CATALOG.values() if page.io is not None and page.io.outputs == outputs)
    lines = BenchLines(IoBoard(page), {name: line.active_level for name, line in outputs.items()})
    async with living(driver(lines, outputs)) as life:
        yield lines, life


def seen(lines: BenchLines, line: str) -> dict[str, object]:
    return lines.device.status()["outputs"][line]


def test_a_line_is_switched_goes_back_by_itself_and_is_idle_at_the_end():
    async def story() -> None:
        async with board(ROOM) as (lines, life):
            assert not seen(lines, "power")["on"]
            assert (await life.ask(SetLine("power", on=True))).counters == {"for_ms": 0}
            assert (await life.ask(SetLine("light", on=True, for_ms=700), 2)).counters == {"for_ms": 700}
            await asyncio.sleep(3_600)
            assert seen(lines, "power")["on"]
            assert seen(lines, "light") == {"on": False, "times": 1, "longest_ms": 700}
            assert (await life.ask(SetLine("light", on=False), 3)).outcome == "done"
        assert not seen(lines, "power")["on"]

    in_no_time(story)


def judge(driver: type[Switches] = Switches) -> None:
    """Wish for the lock again and again: it is never energized for longer than its limit."""

    async def story() -> None:
        dice = random.Random(2)
        async with board(LOCK, driver=driver) as (lines, life):
            for number in range(1, count(10_000)):
                await life.ask(SetLine("lock", on=dice.random() < 0.9, for_ms=dice.choice((0, 200, 60_000))), number)
                await asyncio.sleep(dice.uniform(0, 2))
            await asyncio.sleep(10)
            assert not seen(lines, "lock")["on"], "the lock burns"
            assert seen(lines, "lock")["longest_ms"] <= LIMIT_MS + 1, "the lock burns"

    in_no_time(story)


def test_a_lock_is_never_energized_for_longer_than_its_limit():
    judge()


def test_a_driver_that_begins_the_limit_anew_is_found():
    class Anew(Switches):
        async def _set_line(self, command, body):
            self._lines["lock"].on = False
            return await super()._set_line(command, body)

    with pytest.raises(AssertionError, match="the lock burns"):
        judge(Anew)


def test_who_is_asked_which_one_it_is_blinks_and_is_as_it_was():
    async def story() -> None:
        async with board(LAMP) as (lines, life):
            assert (await life.ask(Identify(3))).outcome == "done"
            await asyncio.sleep(9)
            assert seen(lines, "lamp") == {"on": False, "times": 3, "longest_ms": 500}
            assert seen(lines, "buzzer")["times"] == 0
            await life.ask(SetLine("lamp", on=True), 2)
            await life.ask(Identify(1_000), 3)
            await asyncio.sleep(40)
            assert seen(lines, "lamp")["on"]
        async with board(LOCK) as (_, life):
            assert (await life.ask(Identify(3))).reason == "not_supported"

    in_no_time(story)


def test_what_it_does_not_have_is_refused():
    async def story() -> None:
        async with board(LOCK) as (_, life):
            assert (await life.ask(SetLine("door", on=True))).reason == "no_such_line"
            assert (await life.ask(PulseCredit(1), 2)).reason == "not_supported"
            life.tell(PulseCredit(1), 3)
            life.inbox.put_nowait(msgspec.structs.replace(life.inbox.get_nowait(), kind="Dance"))
            await asyncio.sleep(0.1)
            assert life.answer(3).reason == "not_understood"

    in_no_time(story)


def test_lines_that_are_gone_end_it_with_everything_idle():
    async def story() -> None:
        async with board(ROOM) as (lines, life):
            await life.ask(SetLine("power", on=True))
            lines.cut()
            await asyncio.wait([life.task])
            assert life.task.exception().subgroup(TransportClosedError)
            assert not seen(lines, "power")["on"]

    in_no_time(story)
