"""Several simulated ccTalk slaves on one line: all hear the host, each answers for itself."""

from collections.abc import Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.interface import ScriptError, Simulator
from firmware_bridge.simulators.script import whole_number


class CctalkBusSimulator:
    """A `Simulator` of slaves by address; make them without echo of their own. `echo`: the host hears itself, once."""

    verbs: ClassVar[Mapping[str, str]] = {"ADDRESS LINE": "a line of the slave there, e.g. `2 coin 3` or `3 jam 1`"}

    def __init__(self, slaves: Mapping[int, Simulator], *, echo: bool = False) -> None:
        self._slaves: Final = dict(slaves)
        self._echo = echo

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return the echo, where there is one, and what the slaves say."""
        said = [slave.feed(data, now_ms=now_ms) for slave in self._slaves.values()]
        return (data if self._echo else b"") + b"".join(said)

    def tick(self, *, now_ms: int) -> bytes:
        """Return what the slaves say by themselves."""
        return b"".join(slave.tick(now_ms=now_ms) for slave in self._slaves.values())

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Hand a line to the slave that it names."""
        address = whole_number(words[0], lowest=2, highest=255)
        if address not in self._slaves or len(words) == 1:
            there = ", ".join(map(str, self._slaves))
            message = f"{' '.join(words)!r} is no line for a slave on this bus: begin with one of {there}"
            raise ScriptError(message)
        return self._slaves[address].command(words[1:], now_ms=now_ms)

    def status(self) -> dict[str, object]:
        """Return each slave's counters by its address."""
        return {str(address): slave.status() for address, slave in self._slaves.items()}
