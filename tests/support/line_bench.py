"""A driver of lines against a simulated device, in a time of its own: hours of pulses within milliseconds."""

import asyncio
import contextlib
import selectors
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from firmware_bridge.drivers.interface import Answer, Condition, Driver, Observation, ValueFact, Wish
from firmware_bridge.simulators.line_device import LineDevice, volts_of
from firmware_bridge.transports.interface import Edge, TransportClosedError
from payment_core.commands import CommandBody, make_command

T = TypeVar("T")
START_S = 1_000.0
MOST_TURNS = 10_000
LONGEST_S = 10_000_000


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: time goes on to when the loop wants to be woken."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START_S
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing is due"
            self.now += timeout
            self._turns = 0 if timeout > 0 else self._turns + 1
            assert self._turns < MOST_TURNS, "somebody turns in circles, and no time goes on"
        return ready


def in_no_time(story: Callable[[], Awaitable[T]]) -> T:
    """Run a story in a loop whose clock jumps from one due time to the next."""
    selector = _Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(asyncio.wait_for(story(), LONGEST_S))


def now_ns() -> int:
    return round(asyncio.get_running_loop().time() * 1_000_000_000)


class BenchLines:
    """A `LinePipe` to a simulated device. `cut` is the end of the socket: outputs float, and everybody hears of it."""

    def __init__(self, device: LineDevice, active: Mapping[str, str]) -> None:
        self.device = device
        self._active = dict(active)
        self._edges: deque[Edge] = deque()
        self._is_cut = self._closed = False
        self._news = asyncio.Event()
        for line, level in device.levels().items():
            self._edge(line, level, now_ns())

    async def set(self, line: str, *, active: bool) -> None:
        self._refuse_cut()
        self.device.level(line, volts_of(self._active[line], active=active), at_ns=now_ns())
        self._news.set()

    async def edge(self) -> Edge:
        while True:
            self._refuse_cut()
            for frame in self.device.tick(now_ns=now_ns()):
                self._edge(frame.line, frame.level, frame.at_ns)
            if self._edges:
                return self._edges.popleft()
            self._news.clear()
            due_ns = self.device.due_ns()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if due_ns is None else due_ns / 1_000_000_000):
                    await self._news.wait()

    def close(self) -> None:
        self._closed = True
        self._float()

    def cut(self) -> None:
        self._is_cut = True
        self._float()
        self._news.set()

    def say(self, line: str) -> None:
        """Carry out a script line at the device."""
        self.device.command(line.split(), now_ns=now_ns())
        self._news.set()

    def _edge(self, line: str, level: int, at_ns: int) -> None:
        if line in self._active:
            self._edges.append(Edge(line, level == volts_of(self._active[line], active=True), at_ns))

    def _float(self) -> None:
        for line, level in self.device.idle.items():
            self.device.level(line, level, at_ns=now_ns())

    def _refuse_cut(self) -> None:
        if self._is_cut or self._closed:
            message = "cut"
            raise TransportClosedError(message)


class Life:
    """One life of a driver: what it is told and says."""

    def __init__(self, driver: Driver) -> None:
        self.inbox: asyncio.Queue = asyncio.Queue(64)
        self.outbox: asyncio.Queue[Observation] = asyncio.Queue(256)
        self.task = asyncio.ensure_future(driver.run(self.inbox, self.outbox))
        self._said: list[Observation] = []

    def tell(self, body: CommandBody, number: int = 1) -> None:
        self.inbox.put_nowait(make_command(body, command_id=str(number), seq=number, boot_id="b", ttl_ms=9_000))

    async def ask(self, body: CommandBody, number: int = 1) -> Answer:
        self.tell(body, number)
        while (answer := self.answer(number)) is None:
            self._said.append(await self.outbox.get())
        return answer

    @property
    def said(self) -> list[Observation]:
        while not self.outbox.empty():
            self._said.append(self.outbox.get_nowait())
        return self._said

    def answer(self, number: int = 1) -> Answer | None:
        found = [said for said in self.said if isinstance(said, Answer) and said.command_id == str(number)]
        assert len(found) <= 1, "answered twice"
        return found[0] if found else None

    @property
    def bodies(self) -> list[object]:
        return [said.body for said in self.said if isinstance(said, ValueFact | Wish)]

    @property
    def states(self) -> list[tuple[str, str]]:
        """Return the conditions in turn, each once."""
        told = [(said.state, said.reason) for said in self.said if isinstance(said, Condition)]
        return [state for number, state in enumerate(told) if number == 0 or state != told[number - 1]]


@contextlib.asynccontextmanager
async def living(driver: Driver) -> AsyncIterator[Life]:
    """Run a driver until the block ends."""
    life = Life(driver)
    try:
        await asyncio.sleep(0.001)
        yield life
    finally:
        life.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup, TransportClosedError):
            await life.task
