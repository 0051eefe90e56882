import asyncio
import contextlib
import random
import time
from typing import ClassVar

import msgspec
import pytest

from device_profiles.schema import Pulse
from firmware_bridge.drivers import coin_line
from firmware_bridge.drivers.coin_line import CoinLine
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition
from firmware_bridge.simulators.game_machine import GameMachine
from firmware_bridge.transports.interface import Edge, TransportClosedError
from payment_core.commands import Identify, PulseCredit, make_command
from tests.support.line_bench import BenchLines, in_no_time, living, now_ns
from tests.support.sizes import count

CUT = TransportClosedError("cut")
PULSE = Pulse(width_ms=2, gap_ms=2)


class Lines:
    """Lines in memory: notes levels, and is cut after `cut_after` of them."""

    def __init__(self, *, cut_after: int | None = None) -> None:
        self.levels: list[tuple[str, bool]] = []
        self.changed = asyncio.Event()
        self.edges: asyncio.Queue[Edge | None] = asyncio.Queue()
        self.closed = False
        self._cut_after = cut_after

    async def set(self, line: str, *, active: bool) -> None:
        if self._cut_after is not None and len(self.levels) >= self._cut_after:
            raise CUT
        self.levels.append((line, active))
        self.changed.set()

    async def edge(self) -> Edge:
        edge = await self.edges.get()
        if edge is None:
            raise CUT
        return edge

    def close(self) -> None:
        self.closed = True

    def ready(self, *, active: bool) -> None:
        self.edges.put_nowait(Edge("ready", active, time.monotonic_ns()))


@contextlib.asynccontextmanager
async def running(lines: Lines, *, pulse: Pulse = PULSE, has_ready: bool = False, has_meter: bool = False):
    inbox: asyncio.Queue = asyncio.Queue()
    outbox: asyncio.Queue = asyncio.Queue()
    task = asyncio.ensure_future(CoinLine(lines, pulse, has_ready=has_ready, has_meter=has_meter).run(inbox, outbox))
    try:
        yield inbox, outbox, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await task
        assert lines.closed


def credit(count: int):
    return make_command(PulseCredit(count), command_id="a", seq=1, boot_id="b", ttl_ms=100)


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_credit_is_its_profile_s_pulses_and_the_line_begins_idle():
    async def story() -> None:
        lines = Lines()
        async with running(lines, pulse=msgspec.structs.replace(PULSE, pulses_per_credit=2)) as (inbox, outbox, _):
            assert await outbox.get() == Condition("online")
            await inbox.put(credit(2))
            assert await outbox.get() == Answer("a", "done", amount=2)
        assert lines.levels == [("coin", False), *[("coin", True), ("coin", False)] * 4]

    run(story)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (credit(0), "bad_amount"),
        (credit(101), "bad_amount"),
        (make_command(Identify(), command_id="a", seq=1, boot_id="b", ttl_ms=1), "not_supported"),
        (msgspec.structs.replace(credit(1), kind="Dance"), "not_understood"),
        (msgspec.structs.replace(credit(1), body=msgspec.Raw(b"{}")), "not_understood"),
    ],
)
def test_what_it_cannot_do_is_refused_without_a_pulse(command, reason):
    async def story() -> None:
        lines = Lines()
        async with running(lines) as (inbox, outbox, _):
            await outbox.get()
            await inbox.put(command)
            assert await outbox.get() == Answer("a", "refused", reason=reason)
        assert lines.levels == []

    run(story)


@pytest.mark.parametrize(
    ("cut_after", "answer"),
    [
        (0, Answer("a", "failed", reason="line_closed")),
        (1, Answer("a", "unknown", amount=0, reason="line_closed")),
        (2, Answer("a", "unknown", amount=0, reason="line_closed")),
        (3, Answer("a", "unknown", amount=1, reason="line_closed")),
        (5, Answer("a", "unknown", amount=2, reason="line_closed")),
    ],
)
def test_a_cut_line_is_failed_before_the_first_pulse_and_unknown_after(cut_after, answer):
    async def story() -> None:
        async with running(Lines(cut_after=cut_after)) as (inbox, outbox, task):
            await outbox.get()
            await inbox.put(credit(3))
            assert await outbox.get() == answer
            with pytest.raises(ExceptionGroup) as ended:
                await task
            assert ended.group_contains(TransportClosedError)

    run(story)


def test_lines_that_vanish_between_commands_end_the_driver_and_a_train_is_unknown():
    async def story() -> None:
        lines = Lines()
        async with running(lines, pulse=Pulse(width_ms=60_000, gap_ms=1)) as (inbox, outbox, task):
            await outbox.get()
            await inbox.put(credit(1))
            while ("coin", True) not in lines.levels:
                lines.changed.clear()
                await lines.changed.wait()
            lines.edges.put_nowait(None)
            assert await outbox.get() == Answer("a", "unknown", amount=0, reason="stopped")
            with pytest.raises(ExceptionGroup):
                await task

    run(story)


def test_a_machine_that_is_not_ready_gets_no_pulse_and_its_condition_is_told():
    async def story() -> None:
        lines = Lines()
        async with running(lines, has_ready=True) as (inbox, outbox, _):
            lines.ready(active=False)
            assert await outbox.get() == Condition("fault", reason="machine_not_ready")
            await inbox.put(credit(1))
            assert await outbox.get() == Answer("a", "failed", reason="machine_not_ready")
            assert lines.levels == []
            lines.ready(active=False)
            lines.ready(active=True)
            assert await outbox.get() == Condition("online")
            await inbox.put(credit(1))
            assert await outbox.get() == Answer("a", "done", amount=1)

    run(story)


def test_a_jam_in_mid_train_is_unknown_with_what_was_given_before():
    async def story() -> None:
        lines = Lines()
        async with running(lines, has_ready=True, pulse=Pulse(width_ms=5, gap_ms=5)) as (inbox, outbox, _):
            lines.ready(active=True)
            assert await outbox.get() == Condition("online")
            await inbox.put(credit(9))
            while len(lines.levels) < 6:  # idle, two pulses, and the third has begun
                lines.changed.clear()
                await lines.changed.wait()
            lines.ready(active=False)
            assert await outbox.get() == Condition("fault", reason="machine_not_ready")
            assert await outbox.get() == Answer("a", "unknown", amount=2, reason="machine_not_ready")

    run(story)


def test_a_wired_ready_that_never_says_its_level_is_a_fault(monkeypatch):
    monkeypatch.setattr(coin_line, "FIRST_LEVEL_S", 0.01)

    async def story() -> None:
        async with running(Lines(), has_ready=True) as (_, _outbox, task):
            with pytest.raises(ExceptionGroup) as ended:
                await task
            assert ended.group_contains(DriverError, match="Is it wired")

    run(story)


def test_the_counter_beside_the_coin_line_gets_the_same_pulses():
    async def story() -> None:
        lines = Lines()
        async with running(lines, has_meter=True) as (inbox, outbox, _):
            await outbox.get()
            await inbox.put(credit(2))
            assert await outbox.get() == Answer("a", "done", amount=2)
        coin, meter = ([active for line, active in lines.levels if line == name] for name in ("coin", "meter"))
        assert coin == meter == [False, True, False, True, False]

    run(story)


class Machine:
    """A game machine as a device on lines."""

    idle: ClassVar = {"coin": 1}

    def __init__(self) -> None:
        self.machine = GameMachine()
        self.pulses = 0
        self.low = False

    def levels(self):
        return {"ready": 0}

    def level(self, _line, level, *, at_ns):
        self.machine.level(level, at_ns=at_ns)
        self.pulses += level == 0 and not self.low
        self.low = level == 0

    def tick(self, *, now_ns):
        self.machine.status(now_ns=now_ns)
        return []

    def due_ns(self):
        return None


WANTED = 4


class Resuming(CoinLine):
    """A broken driver: it gives what the life before could not."""

    owed: ClassVar[list[int]] = []

    async def run(self, inbox, outbox) -> None:
        if self.owed:
            inbox.put_nowait(credit(self.owed.pop()))
        await super().run(inbox, outbox)

    def _interrupted(self, command, train, *, reason):
        if train.begun:
            self.owed.append(max(1, WANTED - len(train.ends_ns)))
        return super()._interrupted(command, train, reason=reason)


def judge(driver=CoinLine) -> None:
    """VND-2: cut, stop or kill trains at random; pulses are answered or flagged, and a train never goes on."""
    dice, page = random.Random(9), Pulse(width_ms=50, gap_ms=50)

    async def one() -> None:
        machine = Machine()
        active = {"coin": "low", "ready": "low"}
        accident = dice.choice(("none", "cut", "kill", "stop"))
        async with living(driver(lines := BenchLines(machine, active), page, has_ready=True)) as life:
            life.tell(PulseCredit(WANTED))
            await asyncio.sleep(dice.uniform(0, 0.5))
            if accident == "cut":
                lines.cut()
            elif accident != "none":
                life.task.cancel()
            await asyncio.sleep(5)
            answer = None if accident == "kill" else life.answer()
        given = machine.pulses
        async with living(driver(BenchLines(machine, active), page, has_ready=True)):
            await asyncio.sleep(5)
        assert machine.pulses == given, "a train went on"
        assert given <= WANTED
        flagged = answer is None or answer.outcome == "unknown"
        assert flagged or answer.amount == given == machine.machine.status(now_ns=now_ns())["credits_seen"]
        assert answer is None or answer.amount <= given

    async def story() -> None:
        for _ in range(count(10_000)):
            await one()

    in_no_time(story)


def test_what_was_pulsed_is_answered_or_flagged_and_never_resumed():
    judge()


def test_a_driver_that_resumes_is_found():
    with pytest.raises(AssertionError, match="a train went on"):
        judge(Resuming)
