"""A simulated serial scanner of the GM65 kind: settings in memory and flash, and codes that people hold up to it."""

from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.line_faults import FAULT_VERBS, noise_bytes, unknown_line
from firmware_bridge.simulators.script import milliseconds
from firmware_bridge.wire.gm65 import (
    BAUD,
    GAP_MS,
    MODE_BITS,
    MODES,
    SETTINGS,
    TAIL,
    TAIL_IS_CR,
    TRIGGER,
    Answer,
    Command,
    CommandDecoder,
    Type,
    encode_answer,
)

ZONE_BYTES: Final = 0x100
MANUAL: Final = 0xD4
"""As delivered: it reads when its button is pressed; sound, light and aim on."""
BAUD_9600: Final = b"\x39\x01"
FIRMWARE: Final = 0x87
FIRMWARE_AT: Final = 0xE2
INDUCTION: Final = 0x03
SINGLE_READ_MS: Final = 5_000
"""How long a trigger lets it look."""
AGAIN_MS: Final = 1_000
"""A code that stays in view is read again after this, in continuous mode."""
_TAILS: Final = {0x00: b"", 0x01: b"\r", 0x20: b"", 0x21: b"\r\n", 0x40: b"", 0x41: b"\t", 0x60: b"", 0x61: b""}


class Gm65Simulator:
    """A `Simulator`. What was written to its settings and not saved is lost with its power."""

    verbs: ClassVar[Mapping[str, str]] = {
        "show TEXT": "a code is held up and taken away; read once, where the scanner is looking",
        "hold TIME TEXT": "a code stays in view for so long and is read again and again, e.g. `hold 5s VM1:00`",
        "between TEXT": "this code is read while the next answer is sent: the answer stands in the middle of it",
        "wrong": "the next answer has a wrong checksum",
        "reset": "power is lost and comes back: settings as they were saved",
        **{usage: FAULT_VERBS[usage] for usage in ("silence TIME", "noise HEX")},
    }

    def __init__(self) -> None:
        self._flash = bytearray(ZONE_BYTES)
        self._flash[SETTINGS] = MANUAL
        self._flash[BAUD : BAUD + 2] = BAUD_9600
        self._flash[TAIL] = TAIL_IS_CR
        self._flash[FIRMWARE_AT] = FIRMWARE
        self._zone = bytearray(self._flash)
        self._decoder = CommandDecoder()
        self._heard_at_ms = 0
        self._silent_until_ms = 0
        self._looks_until_ms = 0
        self._held: tuple[str, int, int] | None = None
        self._between = ""
        self._wrong = False
        self._later: deque[bytes] = deque()
        self._counts = {"shown": 0, "read": 0, "writes": 0, "saves": 0, "triggers": 0}

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return the answers."""
        commands = self._decoder.silence() if now_ms - self._heard_at_ms > GAP_MS else []
        self._heard_at_ms = now_ms
        commands += self._decoder.feed(data)
        return b"".join(self._answer(command, now_ms) for command in commands)

    def tick(self, *, now_ms: int) -> bytes:
        """Send what was read since, and read again what stays in view."""
        if self._held is not None:
            text, until_ms, next_ms = self._held
            if now_ms >= until_ms:
                self._held = None
            elif now_ms >= next_ms and self._looks(now_ms):
                self._held = (text, until_ms, now_ms + AGAIN_MS)
                self._see(text, now_ms)
        said = b"".join(self._later)
        self._later.clear()
        return said

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line."""
        match words:
            case ["show", first, *rest]:
                self._counts["shown"] += 1
                self._see(" ".join([first, *rest]), now_ms)
            case ["hold", time, first, *rest]:
                self._counts["shown"] += 1
                self._held = (" ".join([first, *rest]), now_ms + milliseconds(time), now_ms)
            case ["between", first, *rest]:
                self._counts["shown"] += 1
                self._between = " ".join([first, *rest])
            case ["wrong"]:
                self._wrong = True
            case ["reset"]:
                self._zone = bytearray(self._flash)
                self._looks_until_ms = 0
            case ["silence", time]:
                self._silent_until_ms = now_ms + milliseconds(time)
            case ["noise", digits]:
                self._later.append(noise_bytes(digits))
            case _:
                raise unknown_line(words, self.verbs, device="a scanner")
        return 0

    def status(self) -> dict[str, object]:
        """Count what people showed and what was read, and tell the settings that matter."""
        return {
            **self._counts,
            "settings": self._zone[SETTINGS],
            "saved": self._flash[SETTINGS],
            "tail": self._zone[TAIL],
        }

    def _looks(self, now_ms: int) -> bool:
        mode = self._zone[SETTINGS] & MODE_BITS
        return mode in (MODES["continuous"], INDUCTION) or (mode == MODES["command"] and now_ms < self._looks_until_ms)

    def _see(self, text: str, now_ms: int) -> None:
        if self._looks(now_ms):
            self._looks_until_ms = 0
            self._counts["read"] += 1
            self._later.append(text.encode() + self._tail())

    def _tail(self) -> bytes:
        return _TAILS[self._zone[TAIL] & 0x61]

    def _answer(self, command: Command, now_ms: int) -> bytes:
        if now_ms < self._silent_until_ms:
            return b""
        answer = encode_answer(Answer(self._carry_out(command, now_ms)))
        if self._wrong:
            self._wrong = False
            answer = answer[:-1] + bytes([answer[-1] ^ 0xFF])
        if self._between:
            text, self._between = self._between.encode() + self._tail(), ""
            self._counts["read"] += 1
            half = len(text) // 2
            return text[:half] + answer + text[half:]
        return answer

    def _carry_out(self, command: Command, now_ms: int) -> bytes:
        address = command.address
        if command.type == Type.READ:
            count = command.data[0] if command.data else 0
            return bytes(self._zone[address : address + count])
        if command.type == Type.SAVE:
            self._counts["saves"] += 1
            self._flash[:] = self._zone
        elif address == TRIGGER:
            self._counts["triggers"] += 1
            self._looks_until_ms = now_ms + SINGLE_READ_MS
        elif address + len(command.data) <= ZONE_BYTES:
            self._counts["writes"] += 1
            self._zone[address : address + len(command.data)] = command.data
        return b"\0"
