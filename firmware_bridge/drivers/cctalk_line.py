"""Questions and answers on a ccTalk line: one at a time, with a deadline and one retry; the own echo is skipped."""

import asyncio
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire.cctalk import (
    ACK,
    BUSY,
    BYTE_GAP_MS,
    HOST,
    NAK,
    Checksum,
    Decoder,
    Frame,
    Noise,
    encode,
)

ANSWER_TIMEOUT_MS: Final = 250
"""Slow acceptors need up to 90 ms after a reset; 16 bytes at 9600 baud take 17 ms."""
ATTEMPTS: Final = 2
SETTLE_MS: Final = 500
"""Longest wait for a babbling line to fall silent before the next question."""


class CctalkLine:
    """The host's end of the line to one device. `noise_bytes`: thrown away so far; `echo`: the host hears itself."""

    def __init__(self, pipe: BytePipe, *, checksum: Checksum, address: int) -> None:
        self._pipe: Final = pipe
        self._checksum: Final[Checksum] = checksum
        self._address: Final = address
        self._decoder = Decoder(checksum)
        self.noise_bytes = 0
        self.echo = False

    async def ask(self, header: int, data: bytes = b"", *, attempts: int = ATTEMPTS) -> bytes | None:
        """Return the data of the device's ACK; None for NAK, BUSY or no answer. For questions that may be repeated."""
        source = None if self._checksum == "crc" else HOST
        question = Frame(self._address, source, header, data)
        for attempt in range(attempts):
            if attempt:
                await self._settle()
            await self._pipe.write(encode(question, checksum=self._checksum))
            answer = await self._answer(question)
            if answer is not None:
                return answer.data if answer.header == ACK else None
        await self._settle()
        return None

    async def _answer(self, question: Frame) -> Frame | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + ANSWER_TIMEOUT_MS / 1000
        while clock() < deadline:
            answers = [frame for frame in await self._hear() if self._is_answer(frame, question)]
            if answers:
                return answers[-1]
        return None

    async def _hear(self) -> list[Frame]:
        """Return the frames that the next bytes, or a silence of `BYTE_GAP_MS`, make whole."""
        try:
            async with asyncio.timeout(BYTE_GAP_MS / 1000):
                data = await self._pipe.read()
        except TimeoutError:
            found = self._decoder.silence()
        else:
            found = self._decoder.feed(data)
        self.noise_bytes += sum(len(noise.data) for noise in found if isinstance(noise, Noise))
        return [frame for frame in found if isinstance(frame, Frame)]

    def _is_answer(self, frame: Frame, question: Frame) -> bool:
        self.echo = self.echo or frame == question
        from_device = frame.destination == HOST and frame.source in {None, self._address}
        return from_device and frame.header in {ACK, NAK, BUSY}

    async def _settle(self) -> None:
        """Wait until the line is silent, so that a late answer is not taken for the next one."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + SETTLE_MS / 1000
        heard = True
        while heard and clock() < deadline:
            before = clock()
            await self._hear()
            heard = clock() - before < BYTE_GAP_MS / 1000
