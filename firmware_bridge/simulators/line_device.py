"""What every simulated device on lines promises, and the stand that serves one on a socket (transports/line_socket.py).

A change carries the time at which it is due, not the time at which it is sent: a busy computer makes no pulse longer.
"""

import asyncio
import contextlib
import copy
import heapq
import time
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Protocol

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire.line_frames import AskFrame, Frame, FrameDecoder, LevelFrame, Noise, StatusFrame, encode_frame

NS_PER_MS: Final = 1_000_000
READ_LIMIT_BYTES: Final = 4_096
MOST_CHANGES: Final = 10_000
Volts = Literal[0, 1]
"""The electrical level of a line."""


def volts_of(active_level: str, *, active: bool) -> Volts:
    """Return the level of a line that is active or not."""
    return 1 if active == (active_level == "high") else 0


class LineDevice(Protocol):
    """A device on lines as a synchronous state machine; times are ns of CLOCK_MONOTONIC."""

    verbs: ClassVar[Mapping[str, str]]
    """Script lines this device understands, as in interface.Simulator."""
    idle: Mapping[str, Volts]
    """The lines that the host drives, with the level to which they float while nobody does."""

    def levels(self) -> dict[str, Volts]:
        """Return the lines that the host reads, as they are now."""

    def level(self, line: str, level: Volts, *, at_ns: int) -> None:
        """Take the level of a line that the host drives."""

    def tick(self, *, now_ns: int) -> list[LevelFrame]:
        """Go on to now; return the changes since the last tick, in order."""

    def due_ns(self) -> int | None:
        """Return when the next change is due, None while only the host or a script can bring one."""

    def command(self, words: list[str], *, now_ns: int) -> None:
        """Carry out one script line; ScriptError where it is none of `verbs`."""

    def status(self) -> dict[str, object]:
        """Return the counters for whoever audits from outside."""


class Waves:
    """Changes to come on the lines that a device drives, each at its time."""

    def __init__(self, active_levels: Mapping[str, str]) -> None:
        """Take the lines with their active level; all are idle."""
        self._active_levels: Final = dict(active_levels)
        self._changes: list[tuple[int, int, str, bool]] = []
        self._number = 0
        self.active = dict.fromkeys(active_levels, False)

    def add(self, line: str, *, active: bool, at_ns: int) -> None:
        """Let a line change then; ScriptError where too much is to come."""
        if len(self._changes) >= MOST_CHANGES:
            message = f"more than {MOST_CHANGES} changes are still to come: wait before the next line"
            raise ScriptError(message)
        self._number += 1
        heapq.heappush(self._changes, (at_ns, self._number, line, active))

    def pulse(self, line: str, *, at_ns: int, width_ms: int) -> int:
        """Let a line be active for so long; return when that is over."""
        end_ns = at_ns + width_ms * NS_PER_MS
        self.add(line, active=True, at_ns=at_ns)
        self.add(line, active=False, at_ns=end_ns)
        return end_ns

    def due_ns(self) -> int | None:
        """Return when the next change is due."""
        return self._changes[0][0] if self._changes else None

    def tick(self, now_ns: int) -> list[LevelFrame]:
        """Take the changes that are due."""
        frames = []
        while self._changes and self._changes[0][0] <= now_ns:
            at_ns, _, line, active = heapq.heappop(self._changes)
            if self.active[line] != active:
                self.active[line] = active
                frames.append(LevelFrame(line, volts_of(self._active_levels[line], active=active), at_ns))
        return frames

    def levels(self) -> dict[str, Volts]:
        """Return every line's level now."""
        return {line: volts_of(self._active_levels[line], active=active) for line, active in self.active.items()}


class Stand:
    """One device behind its socket; its counters outlive every client."""

    def __init__(self, device: LineDevice) -> None:
        self._device: Final = device
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Event()

    def command(self, words: list[str]) -> None:
        """Carry out a script line; ScriptError where it is none."""
        self._device.command(words, now_ns=time.monotonic_ns())
        self._news.set()

    def check(self, words: list[str]) -> None:
        """Rehearse a script line; ScriptError where it is none."""
        copy.deepcopy(self._device).command(words, now_ns=time.monotonic_ns())

    def status(self) -> dict[str, object]:
        """Return the device's counters as of now."""
        self._tell()
        return self._device.status()

    async def run(self) -> None:
        """Send what changes, until cancelled."""
        while True:
            self._news.clear()
            self._tell()
            due_ns = self._device.due_ns()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due_ns is None else max(0, due_ns - time.monotonic_ns()) / 1e9):
                    await self._news.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it hangs up; its lines float then."""
        decoder = FrameDecoder()
        drove: set[str] = set()
        # Python 3.11 tells the loop of a cancelled connection as of a fault; the end of the process is none.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            self._tell()
            self._writers.add(writer)
            for line, level in self._device.levels().items():
                writer.write(encode_frame(LevelFrame(line, level, time.monotonic_ns())))
            while data := await reader.read(READ_LIMIT_BYTES):
                for frame in decoder.feed(data):
                    self._take(frame, writer, drove)
                await writer.drain()
        for line in drove:
            self._device.level(line, self._device.idle[line], at_ns=time.monotonic_ns())
        self._news.set()
        self._writers.discard(writer)
        writer.close()

    def _take(self, frame: Frame | Noise, writer: asyncio.StreamWriter, drove: set[str]) -> None:
        match frame:
            case LevelFrame(line=line) if line in self._device.idle:
                drove.add(line)
                self._device.level(line, frame.level, at_ns=frame.at_ns)
                self._news.set()
            case AskFrame():
                writer.write(encode_frame(StatusFrame(self.status())))
            case _:
                pass

    def _tell(self) -> None:
        for frame in self._device.tick(now_ns=time.monotonic_ns()):
            for writer in self._writers:
                writer.write(encode_frame(frame))
