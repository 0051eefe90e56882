"""Questions to a fingerprint module and its answers: one at a time, with a deadline and one repetition.

Answers name no question. So what came before a question is thrown away, an answer has the size its question asks for,
and whatever else comes is a stray: who needs several answers that belong together begins anew where `strays` has moved.
Packets with images or templates are strays too: they are dropped here, unread (BIO-1).
"""

import asyncio
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire.zfm import Ask, Decoder, Packet, PacketKind, Ready, Reply, question, read_reply

ANSWER_TIMEOUT_S: Final = 1.0
"""A search through 1,000 fingers takes up to 1 s in the oldest modules (R305 data sheet)."""
LONGEST_ANSWER_S: Final = 4.0
"""The whole wait for one answer while bytes keep coming."""
GAP_S: Final = 0.1
"""A pause inside a packet longer than this means that the rest will not come."""
SETTLE_S: Final = 0.5
"""Longest wait for a babbling line to fall silent."""
DRAIN_S: Final = 0.001
ATTEMPTS: Final = 2


class ZfmLine:
    """The host's end of the line. `strays`: packets that answered nothing.

    `doubts`: how often another module may have come in its place: one said that it got power, or one did not answer.
    """

    def __init__(self, pipe: BytePipe) -> None:
        """Take an open pipe."""
        self._pipe: Final = pipe
        self._decoder: Final = Decoder()
        self._clock: Final = asyncio.get_running_loop().time
        self.strays = 0
        self.doubts = 0

    @property
    def noise_bytes(self) -> int:
        """Return how many bytes were in no packet so far."""
        return self._decoder.noise_bytes

    async def ask(self, ask: Ask, data: bytes = b"", *, attempts: int = ATTEMPTS, matters: bool = True) -> Reply | None:
        """Return the answer, None where none came.

        `attempts` 1: for questions that must not be repeated, nor asked of who may have come a moment before.
        Where it `matters`, silence is a doubt.
        """
        for attempt in range(attempts):
            if attempt:
                await self._settle()
            doubts = self.doubts
            await self._hear(DRAIN_S)
            if attempts == 1 and self.doubts != doubts:
                return None
            await self._pipe.write(question(ask, data))
            reply = await self._reply(ask)
            if reply is not None:
                return reply
            self.doubts += matters
        await self._settle()
        return None

    async def _reply(self, ask: Ask) -> Reply | None:
        """Return the first packet that can be the answer."""
        began = heard = self._clock()
        while self._clock() - heard < ANSWER_TIMEOUT_S and self._clock() - began < LONGEST_ANSWER_S:
            doubts, noise = self.doubts, self.noise_bytes
            packets = await self._hear(GAP_S, keep=ask)
            if packets:
                return packets[0]
            if self.doubts != doubts:
                return None
            if self._decoder.pending or self.noise_bytes != noise:
                heard = self._clock()
        return None

    async def _hear(self, wait_s: float, *, keep: Ask | None = None) -> list[Reply]:
        """Return the answers to `keep` among the packets of the next bytes; all others are strays."""
        try:
            async with asyncio.timeout(wait_s):
                data = await self._pipe.read()
        except TimeoutError:
            found = self._decoder.silence() if wait_s >= GAP_S else []
        else:
            found = self._decoder.feed(data)
        # A COMMAND is the host's own echo, which some adapters send back.
        packets = [item for item in found if isinstance(item, Packet) and item.kind is not PacketKind.COMMAND]
        replies = [reply for packet in packets if keep is not None and (reply := read_reply(keep, packet)) is not None]
        self.doubts += sum(isinstance(item, Ready) for item in found)
        self.strays += len(packets) - min(1, len(replies))
        return replies

    async def _settle(self) -> None:
        """Wait until the line is silent, so that a late answer is not taken for the next one."""
        deadline = self._clock() + SETTLE_S
        heard = True
        while heard and self._clock() < deadline:
            before = self._clock()
            await self._hear(GAP_S)
            heard = self._clock() - before < GAP_S
