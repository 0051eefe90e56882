"""What every simulated device promises, so that one process loop (process.py) runs them all on a pty."""

from collections.abc import Mapping
from typing import ClassVar, Protocol


class ScriptError(Exception):
    """A line of a script or of standard input cannot be carried out; the text says what was expected."""


class Simulator(Protocol):
    """A device on a serial line as a synchronous state machine; time is milliseconds of a monotonic clock."""

    verbs: ClassVar[Mapping[str, str]]
    """Script lines this device understands: usage -> one line of help, e.g. `coin N` -> ...; `pause` is everybody's."""

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return bytes to send back (may be empty)."""

    def tick(self, *, now_ms: int) -> bytes:
        """Called every 5 ms, or when its `due_ms` says (process.Punctual); returns bytes to send by itself, if any."""

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; returns how many ms the script waits before the next. ScriptError if unknown."""

    def status(self) -> dict[str, object]:
        """Counters for whoever audits the simulation from outside, JSON-able: e.g. {"coins_inserted": 3}."""
