"""Simulated arcade machines that count credit pulses as a coin switch input does, and play. One process, many of them.

`python -m firmware_bridge.simulators.game_machine --machines 12 --dir DIR` listens on DIR/machine-01.sock and so on.
Script lines, from standard input or a file: `machine-03 jam`; with one machine its name may be left out.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Protocol

import msgspec

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.name_lock import NameLock
from firmware_bridge.simulators.script import ScriptLine, milliseconds, read_script, script_line, script_lines
from firmware_bridge.wire.line_frames import AskFrame, Frame, FrameDecoder, LevelFrame, Noise, StatusFrame, encode_frame

SHORTEST_LOW_MS: Final = 20
"""A game samples its coin switch once per frame: less than this may fall between two samples."""
LONGEST_LOW_MS: Final = 500
"""A switch held longer is a stuck switch (or a wire in the slot): no game gives credit for it."""
SHORTEST_HIGH_MS: Final = 20
READ_LIMIT_BYTES: Final = 4_096
MAX_MACHINES: Final = 99
NS_PER_MS: Final = 1_000_000


class GameMachine:
    """One machine as a synchronous state machine; its counters outlive every client. Times are CLOCK_MONOTONIC ns."""

    verbs: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "jam": "the coin mechanism is blocked: `ready` goes idle, pulses count no more",
            "clear": "the mechanism works again",
            "play": "a guest presses start: one play for its credits, also while another runs",
        }
    )

    def __init__(self, *, pulses_per_credit: int = 1, credits_per_play: int = 1, play_ms: int = 3_000) -> None:
        self._pulses_per_credit = pulses_per_credit
        self._credits_per_play = credits_per_play
        self._play_ms = play_ms
        self._pulses = 0
        self._short_pulses = 0
        self._long_pulses = 0
        self._credits_played = 0
        self._plays = 0
        self._playing_until_ns = 0
        self._jammed_ns: int | None = None
        self._cleared_ns = 0
        self._low_since_ns: int | None = None
        self._last_end_ns = 0

    @property
    def jammed(self) -> bool:
        """Say whether coins are blocked now."""
        return self._jammed_ns is not None and self._jammed_ns > self._cleared_ns

    def level(self, level: Literal[0, 1], *, at_ns: int) -> None:
        """Take the level of the coin line as of `at_ns`."""
        if level == 0:
            if self._low_since_ns is None:
                self._low_since_ns = at_ns
            return
        if self._low_since_ns is None:
            return
        since_ns, self._low_since_ns = self._low_since_ns, None
        low_ms, high_ms = (at_ns - since_ns) / NS_PER_MS, (since_ns - self._last_end_ns) / NS_PER_MS
        if low_ms > LONGEST_LOW_MS:
            self._long_pulses += 1
        elif low_ms < SHORTEST_LOW_MS or high_ms < SHORTEST_HIGH_MS:
            self._short_pulses += 1
        elif not self._was_jammed(at_ns):
            self._pulses += 1
        self._last_end_ns = at_ns
        self._start_plays(at_ns)

    def command(self, words: list[str], *, now_ns: int) -> None:
        """Carry out one of `verbs`; ScriptError where a play has no credits."""
        match words:
            case ["jam"]:
                if not self.jammed:
                    self._jammed_ns = now_ns
            case ["clear"]:
                if self.jammed:
                    self._cleared_ns = now_ns
            case _:
                self._start_plays(now_ns)
                if self._credits_left() < self._credits_per_play:
                    message = f"play needs {self._credits_per_play} credits, the machine has {self._credits_left()}"
                    raise ScriptError(message)
                self._play(now_ns)

    def status(self, *, now_ns: int) -> dict[str, object]:
        """Return the counters for whoever audits from outside."""
        self._start_plays(now_ns)
        return {
            "credits_seen": self._pulses // self._pulses_per_credit,
            "pulses": self._pulses,
            "short_pulses": self._short_pulses,
            "long_pulses": self._long_pulses,
            "plays": self._plays,
            "credits_left": self._credits_left(),
            "jammed": self.jammed,
        }

    def _was_jammed(self, at_ns: int) -> bool:
        """Say whether a pulse that ended at `at_ns` met the last jam: its frame may arrive after the jam began."""
        if self._jammed_ns is None or at_ns < self._jammed_ns:
            return False
        return self.jammed or at_ns < self._cleared_ns

    def _credits_left(self) -> int:
        return self._pulses // self._pulses_per_credit - self._credits_played

    def _start_plays(self, now_ns: int) -> None:
        """Start what credits and time allow: plays that ended meanwhile made room for the next."""
        while self._credits_left() >= self._credits_per_play and now_ns >= self._playing_until_ns:
            self._play(max(self._playing_until_ns, self._last_end_ns))

    def _play(self, start_ns: int) -> None:
        self._credits_played += self._credits_per_play
        self._plays += 1
        self._playing_until_ns = max(self._playing_until_ns, start_ns + self._play_ms * NS_PER_MS)


class Booth:
    """One machine behind its socket. A line that is let go of floats to its idle level, high."""

    def __init__(self, machine: GameMachine) -> None:
        self.machine = machine
        self._writers: set[asyncio.StreamWriter] = set()

    def command(self, words: list[str]) -> None:
        """Carry out a verb and tell everybody connected how `ready` is now."""
        self.machine.command(words, now_ns=time.monotonic_ns())
        for writer in self._writers:
            writer.write(self._ready_frame())

    def check(self, words: list[str]) -> None:
        """Rehearse a script line; ScriptError where it is none."""
        if len(words) != 1 or words[0] not in self.machine.verbs:
            message = f"{' '.join(words)!r} is not a verb of a game machine: write {', '.join(self.machine.verbs)}"
            raise ScriptError(message)

    def status(self) -> dict[str, object]:
        """Return the machine's counters."""
        return self.machine.status(now_ns=time.monotonic_ns())

    async def run(self) -> None:
        """Do what it does by itself: nothing."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it hangs up."""
        decoder = FrameDecoder()
        self._writers.add(writer)
        drove = False
        # Python 3.11 tells the loop of a cancelled connection as of a fault; the end of the process is none.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            writer.write(self._ready_frame())
            while data := await reader.read(READ_LIMIT_BYTES):
                for frame in decoder.feed(data):
                    drove = drove or isinstance(frame, LevelFrame)
                    self._take(frame, writer)
                await writer.drain()
        if drove:
            self.machine.level(1, at_ns=time.monotonic_ns())
        self._writers.discard(writer)
        writer.close()

    def _take(self, frame: Frame | Noise, writer: asyncio.StreamWriter) -> None:
        match frame:
            case LevelFrame(line="coin"):
                self.machine.level(frame.level, at_ns=frame.at_ns)
            case AskFrame():
                writer.write(encode_frame(StatusFrame(self.status())))
            case _:
                pass

    def _ready_frame(self) -> bytes:
        """Active low: a machine that takes credits pulls `ready` to ground."""
        return encode_frame(LevelFrame("ready", 1 if self.machine.jammed else 0, time.monotonic_ns()))


class Served(Protocol):
    """Whatever stands behind a socket."""

    def command(self, words: list[str]) -> None:
        """Carry out a script line; ScriptError where it cannot."""

    def check(self, words: list[str]) -> None:
        """Rehearse a script line; ScriptError where it is none."""

    def status(self) -> dict[str, object]:
        """Return the counters for whoever audits from outside."""

    async def run(self) -> None:
        """Do what it does by itself until cancelled."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it hangs up."""


def aimed(booths: Mapping[str, Served], words: tuple[str, ...]) -> tuple[Served, list[str]]:
    """Return whom a line is for and its verb; ScriptError where there is no such machine or verb."""
    booth = booths.get(words[0])
    rest = list(words[1:])
    if booth is None and len(booths) == 1:
        booth, rest = next(iter(booths.values())), list(words)
    if booth is None:
        message = f"{words[0]!r} is not a machine here: write one of {', '.join(booths)}"
        raise ScriptError(message)
    booth.check(rest)
    return booth, rest


def checked_script(booths: Mapping[str, Served], text: str, *, source: str) -> list[ScriptLine]:
    """Return a script's lines; ScriptError names the first that cannot be carried out."""
    lines = script_lines(text, source=source)
    for line in lines:
        try:
            if _pause_ms(line.words) is None:
                aimed(booths, line.words)
        except ScriptError as error:
            message = f"{line.place}: {error}"
            raise ScriptError(message) from error
    return lines


async def run_script(booths: Mapping[str, Served], lines: Iterable[ScriptLine]) -> None:
    """Carry out script lines; everybody's `pause 300ms` waits."""
    for line in lines:
        pause_ms = _pause_ms(line.words)
        if pause_ms is None:
            carry_out(booths, line)
        else:
            await asyncio.sleep(pause_ms / 1_000)


def carry_out(booths: Mapping[str, Served], line: ScriptLine) -> None:
    """Carry out one line; what is wrong with it is said on standard error, for the machines go on."""
    try:
        booth, words = aimed(booths, line.words)
        booth.command(words)
    except ScriptError as error:
        sys.stderr.write(f"{line.place}: {error}\n")
        sys.stderr.flush()


def _pause_ms(words: tuple[str, ...]) -> int | None:
    return milliseconds(words[1]) if words[0] == "pause" and len(words) == 2 else None  # noqa: PLR2004 - verb and time


async def _typed_lines(booths: Mapping[str, Served]) -> None:
    """Read verbs from standard input until it ends; a file or /dev/null cannot be waited for and is not read."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        return
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    with contextlib.closing(transport):
        number = 0
        while text := await reader.readline():
            number += 1
            line = script_line(text.decode(errors="replace"), source="stdin", number=number)
            if line is not None:
                carry_out(booths, line)


async def serve_machines(booths: Mapping[str, Served], folder: Path, script: list[ScriptLine]) -> None:
    """Listen until SIGTERM, SIGINT or cancelled; prints one JSON line when every socket is there."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        places = [folder / f"{name}.sock" for name in booths]
        for place, booth in zip(places, booths.values(), strict=True):
            lock = NameLock(place)
            stack.callback(lock.release)
            place.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(booth.serve, place)
            stack.callback(place.unlink, missing_ok=True)
            stack.callback(server.close)
        sys.stdout.write(msgspec.json.encode({"listening": [str(place) for place in places]}).decode() + "\n")
        sys.stdout.flush()
        async with asyncio.TaskGroup() as group:
            works = (_typed_lines(booths), run_script(booths, script), *(booth.run() for booth in booths.values()))
            tasks = [group.create_task(work) for work in works]
            await stop.wait()
            for task in tasks:
                task.cancel()


def main(arguments: list[str] | None = None) -> int:
    """Run the process; 2 where arguments or script are wrong."""
    parser = argparse.ArgumentParser(prog="game_machine", description="simulated arcade machines on line sockets")
    parser.add_argument("--machines", type=int, default=1, help=f"how many, 1 to {MAX_MACHINES}")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the sockets machine-01.sock, ...")
    parser.add_argument("--pulses-per-credit", type=int, default=1)
    parser.add_argument("--credits-per-play", type=int, default=1)
    parser.add_argument("--play-ms", type=int, default=3_000)
    parser.add_argument("--script", type=Path, help="file of lines such as `machine-03 jam` and `pause 300ms`")
    options = parser.parse_args(arguments)
    counts = (options.machines, options.pulses_per_credit, options.credits_per_play)
    if min(counts) < 1 or options.machines > MAX_MACHINES or options.play_ms < 0:
        parser.error(f"counts begin at 1, a play lasts 0 ms or more, and there are at most {MAX_MACHINES} machines")
    booths = {
        f"machine-{number:02d}": Booth(
            GameMachine(
                pulses_per_credit=options.pulses_per_credit,
                credits_per_play=options.credits_per_play,
                play_ms=options.play_ms,
            )
        )
        for number in range(1, options.machines + 1)
    }
    try:
        text = read_script(options.script) if options.script else ""
        script = checked_script(booths, text, source=str(options.script))
        asyncio.run(serve_machines(booths, options.dir, script))
    except (OSError, ScriptError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
