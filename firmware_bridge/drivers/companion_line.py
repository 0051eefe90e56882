"""Questions to a companion board and its answers: one at a time. Every question may be repeated.

Several drivers may share a board's line: whoever asks holds the line's turn until the answer is there.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.transports.shared_port import turn_of
from firmware_bridge.wire.companion import BEFORE, Decoder, Frame, IAm, Kind, encode, pack_hello, parse_i_am

ANSWER_S: Final = 0.15
"""A board writes its log within it; 256 bytes at 115200 baud take 25 ms."""
GAP_S: Final = 0.05
"""A pause inside a frame longer than this means that the rest will not come."""
ATTEMPTS: Final = 2
_ANSWERS: Final[Mapping[int, frozenset[Kind]]] = {
    Kind.HELLO: frozenset({Kind.I_AM}),
    Kind.POLL: frozenset({Kind.EVENT, Kind.IDLE}),
    Kind.ACT: frozenset({Kind.RESULT}),
    Kind.GATE: frozenset({Kind.GATED}),
}


class CompanionLine:
    """The hub's end of the line. `version`: agreed with the board, 0 before."""

    def __init__(self, pipe: BytePipe) -> None:
        """Take an open pipe, inside a running event loop."""
        self.version = BEFORE
        self._pipe: Final = pipe
        self._turn: Final = turn_of(pipe)
        self._decoder: Final = Decoder()
        self._clock: Final = asyncio.get_running_loop().time

    @property
    def noise_bytes(self) -> int:
        """Return how many bytes were in no frame."""
        return self._decoder.noise_bytes

    async def meet(self) -> IAm | None:
        """Ask who is there and agree on a version; None where nobody answers."""
        frame = await self._exchange(Kind.HELLO, 0, pack_hello(), version=BEFORE)
        who = parse_i_am(frame.payload) if frame is not None and frame.kind == Kind.I_AM else None
        self.version = who.version if who is not None else BEFORE
        return who

    async def ask(self, kind: Kind, channel: int, payload: bytes = b"") -> Frame | None:
        """Return the answer, None where there is none. A board that started again refuses and has to be met again."""
        answer = await self._exchange(kind, channel, payload, version=self.version)
        if answer is not None and answer.kind == Kind.REFUSED and answer.version == BEFORE:
            self.version = BEFORE
        return answer

    async def _exchange(self, kind: Kind, channel: int, payload: bytes, *, version: int) -> Frame | None:
        async with self._turn:
            for _ in range(ATTEMPTS):
                question = Frame(version, kind, channel, payload)
                await self._pipe.write(encode(question))
                answer = await self._answer(question)
                if answer is not None:
                    return answer
        return None

    async def _answer(self, question: Frame) -> Frame | None:
        until = self._clock() + ANSWER_S
        while (left_s := until - self._clock()) > 0:
            try:
                async with asyncio.timeout(min(GAP_S, left_s)):
                    data = await self._pipe.read()
            except TimeoutError:
                found = self._decoder.silence()
            else:
                found = self._decoder.feed(data)
            for item in found:
                if isinstance(item, Frame) and _answers(item, question):
                    return item
        return None


def _answers(frame: Frame, question: Frame) -> bool:
    """Say whether a frame answers this question: no echo, no answer to one of another kind or on another channel."""
    fits = frame.version in {question.version, BEFORE} and frame.channel == question.channel
    return fits and (frame.kind == Kind.REFUSED or frame.kind in _ANSWERS[question.kind])
