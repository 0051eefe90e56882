"""Questions and answers over an MDB board that is the master: it asks the bus, and acknowledges what it hears there.

An answer does not say whose it is. So what comes unasked is dropped, and where an answer is late the board is asked for
its version: it works in order, and what comes before the version still belongs to the question.
"""

import asyncio
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire.qibixx import MASTER_ON, VERSION, Decoder, FromBus, Line, Other, Version, to_bus

ANSWER_S: Final = 0.5
FENCE_S: Final = 1.2
"""A board waits up to 1 s for a slow device (F,RESPTIMEOUT)."""
DRAIN_S: Final = 0.001


class MdbLine:
    """The host's end. `version` is None while no board answers."""

    def __init__(self, pipe: BytePipe) -> None:
        self._pipe: Final = pipe
        self._decoder: Final = Decoder()
        self._clock: Final = asyncio.get_running_loop().time
        self.version: Version | None = None

    @property
    def noise_bytes(self) -> int:
        """Return how much was thrown away so far."""
        return self._decoder.noise_bytes

    async def look(self) -> bool:
        """Ask for the version and make the board the master; False where nobody answers."""
        await self._drain()
        await self._pipe.write(VERSION)
        self.version = next((line for line in await self._until(Version, ANSWER_S) if isinstance(line, Version)), None)
        if self.version is None:
            return False
        await self._pipe.write(MASTER_ON)
        await self._until(Other, ANSWER_S)
        return True

    async def ask(self, block: bytes) -> bytes | None:
        """Return what a device on the bus answers, empty for a lone ACK; None where it said nothing, or NAK."""
        await self._drain()
        await self._pipe.write(to_bus(block))
        answer = _first(await self._until(FromBus, ANSWER_S))
        if answer is None:
            await self._pipe.write(VERSION)
            lines = await self._until(Version, FENCE_S)
            answer = _first(lines)
            self.version = next((line for line in lines if isinstance(line, Version)), None)
        return answer.data if answer is not None and answer.acked else None

    async def _until(self, wanted: type[Line], most_s: float) -> list[Line]:
        """Return what comes up to the first line that is wanted, with all that came with it."""
        lines: list[Line] = []
        until = self._clock() + most_s
        while self._clock() < until and not any(isinstance(line, wanted) for line in lines):
            lines += await self._hear(until - self._clock())
        return lines

    async def _hear(self, most_s: float) -> list[Line]:
        try:
            async with asyncio.timeout(max(0.0, most_s)):
                return self._decoder.feed(await self._pipe.read())
        except TimeoutError:
            self._decoder.silence()
            return []

    async def _drain(self) -> None:
        """Drop what came unasked: an answer that came twice is no second coin."""
        while await self._hear(DRAIN_S):
            pass


def _first(lines: list[Line]) -> FromBus | None:
    return next((line for line in lines if isinstance(line, FromBus)), None)
