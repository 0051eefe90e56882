"""Runs one simulated device on lines at a socket NAME.sock, with a script, typed lines and its counters."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.simulators.game_machine import Served, checked_script, serve_machines
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.process import EXIT_DONE, EXIT_USAGE, STATUS_EVERY_MS, replace_counters
from firmware_bridge.simulators.script import read_script

COMMON_LINES: Final[Mapping[str, str]] = {
    "pause TIME": "in a script: wait before the next line, e.g. `pause 300ms` or `pause 2s`",
    "status": "print the counters as one JSON line on standard output",
    "quit": "end the simulator",
}


class WithCounters:
    """A device behind its socket that also tells its counters here: on a line, in a file."""

    def __init__(self, stand: Served, file: Path | None) -> None:
        """Take the device, and the file that always holds its counters."""
        self._stand: Final = stand
        self._file: Final = file
        self._written = b""

    def status(self) -> dict[str, object]:
        """Return the counters."""
        return self._stand.status()

    def check(self, words: list[str]) -> None:
        """Rehearse a script line; ScriptError where it is none."""
        if words not in (["status"], ["quit"]):
            self._stand.check(words)

    def command(self, words: list[str]) -> None:
        """Carry out a script line; ScriptError where it cannot."""
        match words:
            case ["status"]:
                self.print_status()
            case ["quit"]:
                signal.raise_signal(signal.SIGTERM)  # the way it ends from outside, too
            case _:
                self._stand.command(words)

    def print_status(self) -> None:
        """Print the counters as one line."""
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(msgspec.json.encode(self.status()).decode() + "\n")
            sys.stdout.flush()

    def write_status(self) -> None:
        """Replace the status file where the counters have changed."""
        text = msgspec.json.encode(self.status())
        if self._file is not None and text != self._written:
            self._written = text
            replace_counters(self._file, text)

    async def run(self) -> None:
        """Do what the device does by itself, and keep the file, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stand.run())
            while self._file is not None:
                self.write_status()
                await asyncio.sleep(STATUS_EVERY_MS / 1_000)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it hangs up."""
        await self._stand.serve(reader, writer)


def run_on_lines(stand: Served, *, link: Path, script: Path | None = None, status: Path | None = None) -> int:
    """Serve until Ctrl-C, SIGTERM or `quit` (0); 2 where script or status file cannot be used; ScriptError: no link."""
    if link.suffix != ".sock":
        message = f"{link}: a device on lines listens on a socket; name it NAME.sock"
        raise ScriptError(message)
    device = WithCounters(stand, status)
    stands = {link.stem: device}
    try:
        lines = checked_script(stands, read_script(script) if script else "", source=str(script))

        async def served() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, device.print_status)
            device.write_status()  # before there is a socket: who sees one finds the file
            await serve_machines(stands, link.parent, lines)

        asyncio.run(served())
        device.write_status()
    except (OSError, ScriptError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    device.print_status()
    return EXIT_DONE
