"""Runs a simulated serial device on a pseudo-terminal, with a script, lines from standard input and a status line."""

import contextlib
import copy
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, TextIO, runtime_checkable

import msgspec

from firmware_bridge.simulators.interface import ScriptError, Simulator
from firmware_bridge.simulators.pseudo_terminal import Pty
from firmware_bridge.simulators.script import ScriptLine, milliseconds, read_script, script_line, script_lines

TICK_MS: Final = 5
IDLE_MS: Final = 500
"""Longest sleep of a simulator that says itself when it wants to be called."""
STATUS_EVERY_MS: Final = 50
READ_LIMIT_BYTES: Final = 4096
UNREAD_LIMIT_BYTES: Final = 16_384
"""Bytes kept for a host that does not read; what comes after is lost, as on a real line."""
COMMANDS_LIMIT: Final = 1_000
LINE_LIMIT_BYTES: Final = 4096
EXIT_DONE, EXIT_USAGE, EXIT_INTERRUPTED = 0, 2, 130
COMMON_VERBS: Final[Mapping[str, str]] = {
    "pause TIME": "wait before the next line, e.g. `pause 300ms` or `pause 2s`",
    "unplug TIME": "the cable is out for so long; the device keeps its state",
    "status": "print the counters as one JSON line on standard output",
    "quit": "end the simulator",
}


@runtime_checkable
class Punctual(Protocol):
    """A simulator that knows when it next has something to do, so that an idle one costs no CPU."""

    def due_ms(self) -> int | None:
        """Return the time of the next tick that matters, or None while only the host or a script can change things."""


def run_simulator(
    simulator: Simulator,
    *,
    link: Path,
    script: Path | None = None,
    status: Path | None = None,
    commands_fd: int | None = 0,
    output: TextIO = sys.stdout,
    errors: TextIO = sys.stderr,
) -> int:
    """Run until Ctrl-C (130), SIGTERM or `quit` (0); 2 where the script is bad or the link cannot be made.

    `commands_fd` gives script lines, standard input by default, None for none; its end does not end the simulator.
    `status` is a file that always holds the counters, replaced as a whole. Signals are only heeded in the main thread.
    """
    try:
        lines = _checked_script(simulator, script) if script else []
        loop = _Loop(simulator, Pty(link), status=status, commands_fd=commands_fd, output=output, errors=errors)
        loop.queue.extend(lines)
    except (OSError, ScriptError) as error:
        print(error, file=errors, flush=True)
        return EXIT_USAGE
    with _signals(loop):  # before there is a link: who sees it may signal
        try:
            loop.pty.plug()
        except OSError as error:
            print(error, file=errors, flush=True)
            return EXIT_USAGE
        try:
            return loop.run()
        finally:
            loop.pty.close()
            loop.write_status()
            loop.print_status()


def replace_counters(file: Path, text: bytes) -> None:
    """Replace a status file as a whole, so that a reader never sees half of one; OSError where it cannot be."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_bytes(text + b"\n")
    fresh.replace(file)


def _checked_script(simulator: Simulator, path: Path) -> list[ScriptLine]:
    """Return the lines after a rehearsal on a copy of the device; ScriptError names the first bad line."""
    lines = script_lines(read_script(path), source=str(path))
    rehearsal = copy.deepcopy(simulator)
    now_ms = _now_ms()
    for line in lines:
        try:
            now_ms += _common_pause_ms(line.words)
            rehearsal.tick(now_ms=now_ms)
            if not _is_common(line.words):
                now_ms += rehearsal.command(list(line.words), now_ms=now_ms)
        except ScriptError as error:
            message = f"{line.place}: {error}"
            raise ScriptError(message) from error
    return lines


def _is_common(words: tuple[str, ...]) -> bool:
    return any(words[0] == usage.split()[0] for usage in COMMON_VERBS)


def _common_pause_ms(words: tuple[str, ...]) -> int:
    """Return how long a line of everybody's waits; ScriptError where its time is missing or wrong."""
    if words[0] not in {"pause", "unplug"}:
        return 0
    if len(words) != 2:  # noqa: PLR2004 - the verb and its time
        message = f"{words[0]} needs one time, e.g. `{words[0]} 300ms`"
        raise ScriptError(message)
    return milliseconds(words[1])


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class _Loop:
    """One select loop over the terminal, the lines and the signals."""

    def __init__(
        self,
        simulator: Simulator,
        pty: Pty,
        *,
        status: Path | None,
        commands_fd: int | None,
        output: TextIO,
        errors: TextIO,
    ) -> None:
        self.pty = pty
        self.queue: deque[ScriptLine] = deque()
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        self._simulator = simulator
        self._status_path = status
        self._status_text = b""
        self._status_at_ms = 0
        self._commands_fd = commands_fd
        self._typed = b""
        self._typed_lines = 0
        self._output = output
        self._errors = errors
        self._unread = bytearray()
        self._next_line_ms = 0
        self._replug_ms: int | None = None
        self._exit: int | None = None

    def run(self) -> int:
        """Serve until something sets the exit code."""
        while self._exit is None:
            readable = self._wait()
            now_ms = _now_ms()
            if self.wake_read in readable:
                self._heed_signals()
            if self._commands_fd in readable:
                self._take_typed()
            if self._replug_ms is not None and now_ms >= self._replug_ms:
                self._replug_ms = None
                self.pty.plug()
            if self.pty.plugged and self.pty.master in readable:
                self._send(self._simulator.feed(os.read(self.pty.master, READ_LIMIT_BYTES), now_ms=now_ms))
            self._run_lines(now_ms)
            self._send(self._simulator.tick(now_ms=_now_ms()))
            if now_ms - self._status_at_ms >= STATUS_EVERY_MS:
                self._status_at_ms = now_ms
                self.write_status()
        return self._exit

    def write_status(self) -> None:
        """Replace the status file where the counters have changed."""
        text = msgspec.json.encode(self._simulator.status())
        if self._status_path is None or text == self._status_text:
            return
        self._status_text = text
        replace_counters(self._status_path, text)

    def print_status(self) -> None:
        """Print the counters as one line."""
        with contextlib.suppress(BrokenPipeError):
            print(msgspec.json.encode(self._simulator.status()).decode(), file=self._output, flush=True)

    def _wait(self) -> list[int]:
        reading = [self.wake_read]
        if self.pty.plugged:
            reading.append(self.pty.master)
        if self._commands_fd is not None and len(self.queue) < COMMANDS_LIMIT:
            reading.append(self._commands_fd)
        writing = [self.pty.master] if self._unread and self.pty.plugged else []
        readable, writable, _ = select.select(reading, writing, [], self._sleep_ms() / 1000)
        if writable:
            self._send(b"")
        return readable

    def _sleep_ms(self) -> int:
        if not isinstance(self._simulator, Punctual):
            return TICK_MS
        now_ms = _now_ms()
        dues = [now_ms + IDLE_MS]
        due_ms = self._simulator.due_ms()
        if due_ms is not None:
            dues.append(due_ms)
        if self.queue:
            dues.append(self._next_line_ms)
        if self._replug_ms is not None:
            dues.append(self._replug_ms)
        if self._status_path is not None:
            dues.append(now_ms + STATUS_EVERY_MS)
        return max(0, min(dues) - now_ms)

    def _send(self, data: bytes) -> None:
        self._unread += data
        if not self._unread:
            return
        if self.pty.plugged:
            with contextlib.suppress(BlockingIOError):
                del self._unread[: os.write(self.pty.master, self._unread)]
            del self._unread[UNREAD_LIMIT_BYTES:]
        else:
            self._unread.clear()

    def _heed_signals(self) -> None:
        for number in os.read(self.wake_read, READ_LIMIT_BYTES):
            match number:
                case signal.SIGUSR1:
                    self.print_status()
                case signal.SIGINT:
                    self._exit = EXIT_INTERRUPTED
                case signal.SIGTERM:
                    self._exit = EXIT_DONE
                case _:
                    pass  # a signal somebody else asked for

    def _take_typed(self) -> None:
        assert self._commands_fd is not None
        try:
            data = os.read(self._commands_fd, READ_LIMIT_BYTES)
        except OSError:  # a terminal that went away, a background job without one
            data = b""
        if not data:
            self._commands_fd = None
        *whole, self._typed = (self._typed + data).split(b"\n") if data else [self._typed, b""]
        self._typed = self._typed[:LINE_LIMIT_BYTES]
        for text in whole:
            self._typed_lines += 1
            line = script_line(text.decode(errors="replace"), source="stdin", number=self._typed_lines)
            if line is not None:
                self.queue.append(line)

    def _run_lines(self, now_ms: int) -> None:
        while self.queue and self._next_line_ms <= now_ms and self._exit is None:
            line = self.queue.popleft()
            try:
                self._next_line_ms = now_ms + self._carry_out(line.words, now_ms)
            except ScriptError as error:
                print(f"{line.place}: {error}", file=self._errors, flush=True)

    def _carry_out(self, words: tuple[str, ...], now_ms: int) -> int:
        pause_ms = _common_pause_ms(words)
        match words:
            case ("pause", *_):
                pass
            case ("unplug", *_):
                self.pty.unplug()
                self._unread.clear()
                self._replug_ms = now_ms + pause_ms
            case ("status",):
                self.print_status()
            case ("quit",):
                self._exit = EXIT_DONE
            case _:
                pause_ms = self._simulator.command(list(words), now_ms=now_ms)
        return pause_ms


@contextlib.contextmanager
def _signals(loop: _Loop) -> Iterator[None]:
    """Let the loop hear SIGINT, SIGTERM and SIGUSR1 while it runs in the main thread."""
    heard = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    if threading.current_thread() is not threading.main_thread():
        yield
    else:
        before = {number: signal.signal(number, _noted) for number in heard}
        old_fd = signal.set_wakeup_fd(loop.wake_write)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
    os.close(loop.wake_read)
    os.close(loop.wake_write)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor has the number."""
