"""A simulated device at the other end of a pipe in memory, in the event loop of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from firmware_bridge.simulators.interface import Simulator
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.memory import MemoryPipe, memory_pipes

TICK_S = 0.002
Mangle = Callable[[bytes, bytes], bytes]
"""What becomes of a device's answer on the line, given the question."""


def unharmed(_question: bytes, answer: bytes) -> bytes:
    """Let every answer pass."""
    return answer


def now_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1_000)


@contextlib.asynccontextmanager
async def in_memory(simulator: Simulator, *, mangle: Mangle = unharmed) -> AsyncIterator[MemoryPipe]:
    """Serve the device until the block ends; the pipe is the host's end. Bytes reach it as they are written."""
    near, far = memory_pipes()

    async def hear() -> None:
        while True:
            question = await far.read()
            answer = mangle(question, simulator.feed(question, now_ms=now_ms()))
            if answer:
                await far.write(answer)

    async def tick() -> None:
        while True:
            said = simulator.tick(now_ms=now_ms())
            if said:
                await far.write(said)
            await asyncio.sleep(TICK_S)

    async def served(work: Callable[[], object]) -> None:
        with contextlib.suppress(TransportClosedError):
            await work()  # type: ignore[misc]

    tasks = [asyncio.create_task(served(work)) for work in (hear, tick)]
    try:
        yield near
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
