"""Questions and answers on a ccTalk line: one at a time, with a deadline and one retry; the own echo is skipped.

Several slaves may share a line: whoever asks holds the line's turn until the answer is there or the line is silent.
"""

import asyncio
import contextlib
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.transports.shared_port import turn_of
from firmware_bridge.wire.cctalk import (
    ACK,
    BROADCAST,
    BUSY,
    BYTE_GAP_MS,
    HOST,
    NAK,
    Checksum,
    Decoder,
    Frame,
    Header,
    Noise,
    encode,
)

ANSWER_TIMEOUT_MS: Final = 250
"""Slow acceptors need up to 90 ms after a reset; 16 bytes at 9600 baud take 17 ms."""
ATTEMPTS: Final = 2
SETTLE_MS: Final = 500
"""Longest wait for a babbling line to fall silent before the next question."""
LOOK_TIMEOUT_MS: Final = 120
LOOK_EVERY_S: Final = 0.5
"""A slave that is away is looked for with one short question, so that the others on its line are asked in time."""
MOST_SLAVES: Final = 32
"""More addresses than this in one answer are noise."""
ADDRESS_STEP_MS: Final = 4
"""To header 253 each slave answers with its address byte, this often times its address later (part 2)."""


class CctalkLine:
    """The host's end of the line to one device. `noise_bytes`: thrown away so far; `echo`: the host hears itself."""

    def __init__(self, pipe: BytePipe, *, checksum: Checksum, address: int) -> None:
        self._pipe: Final = pipe
        self._checksum: Final[Checksum] = checksum
        self._address: Final = address
        self._turn: Final = turn_of(pipe)
        self._decoder = Decoder(checksum)
        self.noise_bytes = 0
        self.echo = False

    async def ask(self, header: int, data: bytes = b"", *, attempts: int = ATTEMPTS) -> bytes | None:
        """Return the data of the device's ACK; None for NAK, BUSY or no answer. For questions that may be repeated."""
        answer = await self.exchange(header, data, attempts=attempts)
        return answer.data if answer is not None and answer.header == ACK else None

    async def look(self, header: int) -> bytes | None:
        """Ask a device that may be away: once, and not for long."""
        answer = await self.exchange(header, attempts=1, timeout_ms=LOOK_TIMEOUT_MS)
        return answer.data if answer is not None and answer.header == ACK else None

    async def exchange(
        self, header: int, data: bytes = b"", *, attempts: int = 1, timeout_ms: int = ANSWER_TIMEOUT_MS
    ) -> Frame | None:
        """Return the device's answer of any kind, None where there is none; said once unless `attempts` says more."""
        source = None if self._checksum == "crc" else HOST
        question = Frame(self._address, source, header, data)
        async with self._turn:
            self._count(self._decoder.silence())  # what was left of another's answer, or of the last one
            for attempt in range(attempts):
                if attempt:
                    await self._settle()
                await self._pipe.write(encode(question, checksum=self._checksum))
                answer = await self._answer(question, timeout_ms)
                if answer is not None:
                    return answer
            await self._settle()
        return None

    async def _answer(self, question: Frame, timeout_ms: int) -> Frame | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_ms / 1000
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
        return self._count(found)

    def _count(self, found: list[Frame | Noise]) -> list[Frame]:
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


async def find_slaves(pipe: BytePipe, *, checksum: Checksum) -> list[int]:
    """Return the addresses on a line: all are asked at once (header 253), and whoever answered is asked by name.

    Takes a good second. Two slaves with one address are seen as one, or as none.
    """
    source = None if checksum == "crc" else HOST
    question = encode(Frame(BROADCAST, source, Header.ADDRESS_POLL), checksum=checksum)
    heard = bytearray()
    async with turn_of(pipe):
        await pipe.write(question)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((ADDRESS_STEP_MS * 256 + BYTE_GAP_MS) / 1000):
                while True:
                    heard += await pipe.read()
    named = sorted(set(heard.removeprefix(question)) - {BROADCAST, HOST})
    lines = {address: CctalkLine(pipe, checksum=checksum, address=address) for address in named[:MOST_SLAVES]}
    return [address for address, line in lines.items() if await line.look(Header.SIMPLE_POLL) is not None]
