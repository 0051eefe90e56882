"""Commands to a face module and its replies: one at a time; images that come are dropped as they come (BIO-1)."""

import asyncio
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire import hlk_fm22x as fm
from firmware_bridge.wire.hlk_fm22x import Decoder, Frame, ImageDropped, NoteId, Reply

ANSWER_S: Final = 2.0
"""Longest wait for anything but a scan; the module deletes and lists within it (ESPHome waits 3 s)."""
GAP_S: Final = 0.1
"""A pause inside a frame longer than this means that the rest will not come."""


class HlkLine:
    """The host's end of the line.

    `restarts`: how often the module said that it is ready. `strays`: replies nobody waited for. `images`: dropped.
    `face_state`: how the face stood in the last note, None where there was none since it was set so. `demo_told`: a
    reply says that somebody switched the demo mode.
    """

    def __init__(self, pipe: BytePipe) -> None:
        """Take an open pipe."""
        self._pipe: Final = pipe
        self._decoder: Final = Decoder()
        self._clock: Final = asyncio.get_running_loop().time
        self._misfits = 0
        self.restarts = self.strays = self.images = 0
        self.face_state: int | None = None
        self.demo_told = False

    @property
    def noise_bytes(self) -> int:
        """Return how many bytes were in no frame, or in one that cannot be, so far."""
        return self._decoder.noise_bytes + self._misfits

    async def send(self, frame: Frame) -> None:
        """Say a command whose reply `hear` will bring."""
        await self._pipe.write(fm.encode(frame))

    async def ask(self, frame: Frame) -> Reply | None:
        """Say a command and return its reply; None where none came, or the module restarted meanwhile."""
        restarts, until = self.restarts, self._clock() + ANSWER_S
        await self.send(frame)
        while self._clock() < until and self.restarts == restarts:
            replies = await self.hear(min(GAP_S, ANSWER_S))
            fitting = [reply for reply in replies if reply.command == frame.message]
            self.strays += len(replies) - min(1, len(fitting))
            if fitting:
                return fitting[0]
        return None

    async def hear(self, wait_s: float) -> list[Reply]:
        """Return the replies in the next bytes; notes change what this object says."""
        try:
            async with asyncio.timeout(wait_s):
                data = await self._pipe.read()
        except TimeoutError:
            found = self._decoder.silence() if wait_s >= GAP_S else []
        else:
            found = self._decoder.feed(data)
        return [reply for item in found if (reply := self._understood(item)) is not None]

    def _understood(self, item: Frame | ImageDropped) -> Reply | None:
        if isinstance(item, ImageDropped):
            self.images += 1
            return None
        said = fm.understand(item)
        if said is None:
            self._misfits += len(fm.encode(item))
            return None
        if isinstance(said, Reply):
            self.demo_told = self.demo_told or said.command == fm.DEMO_MODE
            return said
        self.restarts += said.note == NoteId.READY
        state = fm.read_face_state(said)
        self.face_state = self.face_state if state is None else state
        return None
