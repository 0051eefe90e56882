"""Devices that follow the script of a golden case: one on a pseudo-terminal, one on a line socket."""

import asyncio
import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal

from device_profiles.golden_cases import Golden, Step, frame_bytes, frame_pattern, line_step, said
from device_profiles.schema import Lines
from firmware_bridge.simulators.pseudo_terminal import Pty
from firmware_bridge.wire.line_frames import FrameDecoder, LevelFrame, encode_frame

READ_LIMIT_BYTES: Final = 4_096
HEARD_LIMIT_BYTES: Final = 1 << 20
"""A driver that says more than this in one case has run wild; what it says then is not looked at."""
UNMATCHED_LIMIT_BYTES: Final = 4_096
CHANGES_LIMIT: Final = 10_000
LOOK_S: Final = 0.01
NS_PER_MS: Final = 1_000_000
SETTLE_S: Final = 0.05
"""A device that answers nothing speaks so long after its port was opened."""


class ScriptedSerial:
    """A device that answers by the book. `heard`: all that the driver has sent."""

    def __init__(self, case: Golden, link: Path) -> None:
        """Plug it in at `link`; needs a running event loop."""
        self.heard = bytearray()
        self._case: Final = case
        self._unmatched = bytearray()
        self._replies: Final = [
            (frame_pattern(question), deque(map(frame_bytes, answers))) for question, answers in case.replies.items()
        ]
        self._asked = asyncio.Event()
        self._pty: Final = Pty(link)
        self._pty.plug()
        asyncio.get_running_loop().add_reader(self._pty.master, self._read)

    async def perform(self) -> None:
        """Say what the device says by itself."""
        if self._replies:
            await self._asked.wait()
        await asyncio.sleep(SETTLE_S)
        for text in self._case.says:
            piece = said(text)
            if isinstance(piece, Step):
                await asyncio.sleep(piece.wait_ms / 1_000)
            else:
                os.write(self._pty.master, piece)

    def close(self) -> None:
        """Unplug it."""
        asyncio.get_running_loop().remove_reader(self._pty.master)
        self._pty.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            data = os.read(self._pty.master, READ_LIMIT_BYTES)
            if len(self.heard) < HEARD_LIMIT_BYTES:
                self.heard += data
            self._unmatched += data
            while self._answer_next():
                pass
            del self._unmatched[:-UNMATCHED_LIMIT_BYTES]

    def _answer_next(self) -> bool:
        """Answer the first question that was not answered yet; False where there is none."""
        hits = [(hit, answers) for pattern, answers in self._replies if (hit := pattern.search(self._unmatched))]
        if not hits:
            return False
        hit, answers = min(hits, key=lambda found: (found[0].start(), -len(found[0][0])))
        del self._unmatched[: hit.end()]
        answer = answers.popleft() if len(answers) > 1 else answers[0] if answers else b""
        os.write(self._pty.master, answer)
        self._asked.set()
        return True


class ScriptedLines:
    """A device on a line socket. `changes`: every change of an output that the driver made, such as `coin low`."""

    def __init__(self, case: Golden, lines: Lines) -> None:
        self.changes: list[str] = []
        self.there = asyncio.Event()
        """Set when the device is said to be there: edges begin."""
        self._steps: Final = [line_step(text) for text in case.edges]
        self._inputs: Final = _first_levels(self._steps, lines)
        self._outputs: Final[dict[str, str]] = _idle_levels(case)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, place: Path) -> None:
        """Listen on a socket."""
        self._server = await asyncio.start_unix_server(self._serve, place)

    async def perform(self) -> None:
        """Move the inputs as the case says."""
        await self.there.wait()
        for step in self._steps:
            if step.when:
                await until(partial(self._is, step))
            elif not step.line:
                await asyncio.sleep(step.wait_ms / 1_000)
            elif step.level:
                began_ns = time.monotonic_ns()
                self._set(step.line, step.level, began_ns)
                if step.wait_ms:
                    # As wide as it is written, however late a busy computer lets us say so.
                    await asyncio.sleep(step.wait_ms / 1_000)
                    self._set(step.line, _other(step.level), began_ns + step.wait_ms * NS_PER_MS)

    def close(self) -> None:
        """Hang up."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()

    def _is(self, step: Step) -> bool:
        return self._outputs.get(step.line) == step.level

    def _set(self, line: str, level: Literal["low", "high"], at_ns: int) -> None:
        if self._inputs.get(line) == level:
            return
        self._inputs[line] = level
        for writer in self._writers:
            writer.write(_level_frame(line, level, at_ns))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = FrameDecoder()
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            for line, level in self._inputs.items():
                writer.write(_level_frame(line, level, time.monotonic_ns()))
            while data := await reader.read(READ_LIMIT_BYTES):
                for frame in decoder.feed(data):
                    if isinstance(frame, LevelFrame):
                        self._take(frame)
        self._writers.discard(writer)
        writer.close()

    def _take(self, frame: LevelFrame) -> None:
        level = "high" if frame.level else "low"
        known = self._outputs.setdefault(frame.line, level)
        if known != level and len(self.changes) < CHANGES_LIMIT:
            self._outputs[frame.line] = level
            self.changes.append(f"{frame.line} {level}")


async def until(look: Callable[[], bool]) -> None:
    """Wait until `look` is true; what it looks at is changed by several others."""
    while not look():  # noqa: ASYNC110 - one look for all of them
        await asyncio.sleep(LOOK_S)


def times_seen(heard: bytes, frame: str) -> int:
    """Return how often a frame stands in what was heard."""
    return sum(1 for _ in frame_pattern(frame).finditer(heard))


def first_unseen(heard: bytes, frames: tuple[str, ...]) -> str:
    """Return the first of `frames` that does not stand in its order in what was heard, or nothing."""
    at = 0
    for frame in frames:
        hit: re.Match[bytes] | None = frame_pattern(frame).search(heard, at)
        if hit is None:
            return frame
        at = hit.end()
    return ""


def _first_levels(steps: list[Step], lines: Lines) -> dict[str, Literal["low", "high"]]:
    """Return how the inputs are at the start: as told at the front, else idle before a pulse, else pulled up."""
    levels: dict[str, Literal["low", "high"]] = {}
    while steps and steps[0].line in lines.inputs and steps[0].level and not (steps[0].wait_ms or steps[0].when):
        step = steps.pop(0)
        levels[step.line] = "low" if step.level == "low" else "high"
    for line in lines.inputs:
        pulses = [step for step in steps if step.line == line and step.wait_ms]
        levels.setdefault(line, "low" if pulses and pulses[0].level == "high" else "high")
    return levels


def _idle_levels(case: Golden) -> dict[str, str]:
    """Return how the outputs are before the case: the other way than their first change."""
    levels: dict[str, str] = {}
    for change in map(line_step, case.levels):
        assert change.level
        levels.setdefault(change.line, _other(change.level))
    return levels


def _other(level: Literal["low", "high"]) -> Literal["low", "high"]:
    return "high" if level == "low" else "low"


def _level_frame(line: str, level: Literal["low", "high"], at_ns: int) -> bytes:
    return encode_frame(LevelFrame(line, 1 if level == "high" else 0, at_ns))
