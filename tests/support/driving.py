"""A driver under test with its two queues."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from firmware_bridge.drivers.interface import Answer, Condition, Driver, Observation, Wish
from firmware_bridge.transports.interface import TransportError
from payment_core.commands import CommandBody, make_command

DEADLINE_S = 20


class Driving:
    """What a running driver is told and says. `seen`: everything it said so far."""

    def __init__(self, driver: Driver) -> None:
        self.inbox = asyncio.Queue(64)
        self.outbox = asyncio.Queue(256)
        self.seen: list[Observation] = []
        self.task = asyncio.get_running_loop().create_task(driver.run(self.inbox, self.outbox))

    async def until(self, wanted: Callable[[Observation], bool]) -> Observation:
        """Return the next observation that is wanted."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                self.seen.append(await self.outbox.get())
                if wanted(self.seen[-1]):
                    return self.seen[-1]

    async def condition(self, state: str) -> Condition:
        """Return the next condition with this state."""
        return await self.until(lambda item: isinstance(item, Condition) and item.state == state)

    async def wish(self) -> msgspec.Struct:
        """Return the body of the next wish."""
        return (await self.until(lambda item: isinstance(item, Wish))).body

    def send(self, body: CommandBody, command_id: str = "c1") -> None:
        """Give a command and do not wait."""
        self.inbox.put_nowait(make_command(body, command_id=command_id, seq=0, boot_id="b", ttl_ms=9_000))

    async def answer(self, command_id: str = "c1") -> Answer:
        """Return the answer to a command."""
        return await self.until(lambda item: isinstance(item, Answer) and item.command_id == command_id)

    async def ask(self, body: CommandBody, command_id: str = "c1") -> Answer:
        """Give a command and return its answer."""
        self.send(body, command_id)
        return await self.answer(command_id)

    def wishes(self) -> list[msgspec.Struct]:
        """Return the bodies of all wishes that were seen or lie in the outbox."""
        while not self.outbox.empty():
            self.seen.append(self.outbox.get_nowait())
        return [item.body for item in self.seen if isinstance(item, Wish)]


async def happens(look: Callable[[], object]) -> None:
    """Wait until `look` sees something true."""
    deadline = time.monotonic() + DEADLINE_S
    while not look():
        assert time.monotonic() < deadline, look
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def driving(driver: Driver) -> AsyncIterator[Driving]:
    """Run a driver until the block ends."""
    running = Driving(driver)
    try:
        yield running
    finally:
        running.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, TransportError):
            await running.task
