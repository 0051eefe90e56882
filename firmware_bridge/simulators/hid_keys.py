"""A simulated USB device that types: the kernel's records on a pseudo-terminal instead of an input device."""

from collections.abc import Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire.hid_keys import typed

DEVICE_GAP_MS: Final = 2
PERSON_GAP_MS: Final = 120


class HidKeysSimulator:
    """A `Simulator` of a scanner or card reader; what the host says means nothing to it."""

    verbs: ClassVar[Mapping[str, str]] = {
        "scan TEXT": "the device types a code or a card's number and Enter, e.g. `scan 0004123456`",
        "person TEXT": "a person types this on it, as slowly as people do",
    }

    def __init__(self) -> None:
        self._later = bytearray()
        self._typed = {"scan": 0, "person": 0}

    def feed(self, _data: bytes, *, now_ms: int) -> bytes:  # noqa: ARG002 - a Simulator has a clock
        """Take bytes from the host: there are none."""
        return b""

    def tick(self, *, now_ms: int) -> bytes:  # noqa: ARG002 - as above
        """Send what was typed since."""
        said = bytes(self._later)
        self._later.clear()
        return said

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line."""
        if len(words) < 2 or words[0] not in self._typed:  # noqa: PLR2004 - the verb and its text
            message = f"{' '.join(words)!r} is no line of a device that types; it understands: {', '.join(self.verbs)}"
            raise ScriptError(message)
        gap_ms = DEVICE_GAP_MS if words[0] == "scan" else PERSON_GAP_MS
        try:
            self._later += typed(" ".join(words[1:]), gap_ms=gap_ms, start_us=now_ms * 1_000)
        except ValueError as error:
            raise ScriptError(str(error)) from error
        self._typed[words[0]] += 1
        return 0

    def status(self) -> dict[str, object]:
        """Count what was typed, by whom."""
        return dict(self._typed)
