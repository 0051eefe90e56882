"""What can go wrong on the line of a simulated device, by script: wrong bytes, silence, doubled, cut, late."""

import string
from collections import deque
from collections.abc import Mapping
from typing import Final

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.script import milliseconds, whole_number

MOST_FRAMES: Final = 100
SECOND_COPY_MS: Final = 20
"""Late enough to come behind the next question."""
MOST_NOISE_DIGITS: Final = 16_384
FAULT_VERBS: Final[Mapping[str, str]] = {
    "silence TIME": "no answer for so long, e.g. `silence 800ms`",
    "drop COUNT": "the next COUNT answers are lost on the line",
    "spoil COUNT": "the next COUNT answers have one wrong byte, their last",
    "double COUNT": "the next COUNT answers come twice",
    "cut COUNT": "of the next COUNT answers only the first half comes",
    "late TIME": "the next answer comes so late, and everything behind it",
    "drip TIME": "from now on bytes come one by one, so far apart; `drip 0ms` ends it",
    "echo on|off": "the adapter sends back what the host says",
    "noise HEX": "these bytes appear on the line, e.g. `noise 00ff13`",
}


class LineFaults:
    """The way out of a device: what it says is kept until it is due, changed as the script asked."""

    def __init__(self, *, echo: bool = False) -> None:
        """Start with a good line; `echo`: with an adapter that sends back what the host says."""
        self._later: deque[tuple[int, bytes]] = deque()
        self._silent_until_ms = 0
        self._echo = echo
        self._dropped = self._spoiled = self._doubled = self._cut = 0
        self._late_ms = self._drip_ms = 0

    def heard(self, data: bytes, *, now_ms: int) -> None:
        """The host said something: an adapter that echoes sends it back."""
        if self._echo:
            self._later.append((now_ms, data))

    def say(self, frame: bytes, *, now_ms: int, takes_ms: int = 0) -> None:
        """Answer with a frame; it is on the line `takes_ms` after the one before."""
        if self.is_silent(now_ms=now_ms):
            return
        if self._dropped:
            self._dropped -= 1
            return
        if self._spoiled:
            self._spoiled -= 1
            frame = frame[:-1] + bytes([frame[-1] ^ 0xFF])
        if self._cut:
            self._cut -= 1
            frame = frame[: len(frame) // 2]
        late_ms, self._late_ms = self._late_ms, 0
        at_ms = max(now_ms, self._later[-1][0] if self._later else 0) + late_ms + takes_ms
        if self._doubled:
            self._doubled -= 1
            self._later += [(at_ms, frame), (at_ms + SECOND_COPY_MS, frame)]
            return
        if not self._drip_ms:
            self._later.append((at_ms, frame))
            return
        for number, byte in enumerate(frame, 1):
            self._later.append((at_ms + number * self._drip_ms, bytes([byte])))

    def is_silent(self, *, now_ms: int) -> bool:
        """Say whether nothing is answered now; a device that is off hears nothing either."""
        return now_ms < self._silent_until_ms

    def silence(self, *, until_ms: int) -> None:
        """Answer nothing until then."""
        self._silent_until_ms = until_ms

    def due(self, *, now_ms: int) -> bytes:
        """Take what is due by now."""
        sent = b""
        while self._later and self._later[0][0] <= now_ms:
            sent += self._later.popleft()[1]
        return sent

    def next_ms(self) -> int | None:
        """Return when something is due next."""
        return self._later[0][0] if self._later else None

    def hush(self) -> None:
        """Forget what was not said yet: the device lost its power."""
        self._later.clear()

    def command(self, words: list[str], *, now_ms: int) -> bool:
        """Carry out a script line that is in `FAULT_VERBS`; return whether it was one."""
        match words:
            case ["silence", time]:
                self.silence(until_ms=now_ms + milliseconds(time))
            case ["drop", count]:
                self._dropped = whole_number(count, lowest=0, highest=MOST_FRAMES)
            case ["spoil", count]:
                self._spoiled = whole_number(count, lowest=0, highest=MOST_FRAMES)
            case ["double", count]:
                self._doubled = whole_number(count, lowest=0, highest=MOST_FRAMES)
            case ["cut", count]:
                self._cut = whole_number(count, lowest=0, highest=MOST_FRAMES)
            case ["late", time]:
                self._late_ms = milliseconds(time)
            case ["drip", time]:
                self._drip_ms = milliseconds(time)
            case ["echo", "on" | "off" as echo]:
                self._echo = echo == "on"
            case ["noise", digits]:
                self._later.append((now_ms, noise_bytes(digits)))
            case _:
                return False
        return True


def noise_bytes(digits: str) -> bytes:
    """Return the bytes of a word in hex; ScriptError where it is none."""
    if len(digits) > MOST_NOISE_DIGITS or len(digits) % 2 or not set(digits) <= set(string.hexdigits):
        message = f"{digits[:20]!r} is not a row of hexadecimal bytes: write e.g. `noise 00ff13`"
        raise ScriptError(message)
    return bytes.fromhex(digits)


def unknown_line(words: list[str], verbs: Mapping[str, str], *, device: str) -> ScriptError:
    """Return the fault for a line that a device does not understand; it lists those that it does."""
    usages = ", ".join(f"`{usage}`" for usage in verbs)
    return ScriptError(f"{' '.join(words)!r} is not a line of {device}; there are {usages}")
