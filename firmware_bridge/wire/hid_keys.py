"""Scanners and card readers that type: the kernel's input events, read as keys of a US keyboard and put into lines.

The bytes are `struct input_event` as /dev/input/eventN gives them: two times of the machine's word size (seconds,
microseconds), type, code and value. Key codes are those of linux/input-event-codes.h.
"""

import re
import struct
from typing import Final

import msgspec

RECORD: Final = struct.Struct("@llHHi")
"""24 bytes on a 64-bit machine, 16 on a 32-bit one."""
HUMAN_GAP_MS: Final = 30
"""A person's next key comes later than this; a scanner's or reader's comes within a few ms."""
MAX_LINE: Final = 512
SILENCE_MS: Final = 500
"""A line whose Enter has not come by then will not be ended."""

_EV_SYN, _EV_KEY, _SYN_DROPPED = 0, 1, 3
_UP, _DOWN = 0, 1
_SHIFTS: Final = (42, 54)
_ENTERS: Final = (28, 96)
_ROWS: Final = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),
    (98, "/", "/"),
    (55, "*", "*"),
)
_PLAIN: Final = {first + at: key for first, keys, _ in _ROWS for at, key in enumerate(keys)}
_SHIFTED: Final = {first + at: key for first, _, keys in _ROWS for at, key in enumerate(keys)}

_DECIMAL: Final = re.compile(r"[0-9]{10}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{8}")
_LARGEST: Final = 0xFFFFFFFF


class Line(msgspec.Struct, frozen=True):
    """What was typed before Enter by a device; never empty."""

    text: str


class Decoder:
    """Records in any cutting of the stream; returns lines, never raises. `noise_bytes`: records thrown away, in bytes.

    A line with a key that no code holds, one typed as slowly as a person types, one that is too long and one in which
    the kernel lost events are all noise.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._keys: list[str] = []
        self._spoiled = False
        self._shift: set[int] = set()
        self._last_us: int | None = None
        self.noise_bytes = 0

    @property
    def pending(self) -> bool:
        """Say whether a line waits for its Enter, so that a pause of `SILENCE_MS` matters."""
        return bool(self._buffer or self._keys) or self._spoiled

    def feed(self, data: bytes) -> list[Line]:
        """Take bytes as they came; return the lines that were ended."""
        self._buffer += data
        whole = len(self._buffer) // RECORD.size * RECORD.size
        records = bytes(self._buffer[:whole])
        del self._buffer[:whole]
        found: list[Line] = []
        for seconds, micros, type_, code, value in RECORD.iter_unpack(records):
            if type_ == _EV_SYN and code == _SYN_DROPPED:
                self._spoiled = True
                self._shift.clear()
            elif type_ == _EV_KEY and code in _SHIFTS:
                (self._shift.discard if value == _UP else self._shift.add)(code)
            elif type_ == _EV_KEY and value == _DOWN:
                self._press(code, seconds * 1_000_000 + micros, found)
        return found

    def silence(self) -> list[Line]:
        """Nothing was typed for `SILENCE_MS`: give up the line, and half a record, which the kernel never gives."""
        self.noise_bytes += len(self._buffer)
        self._buffer.clear()
        self._give_up()
        return []

    def _press(self, code: int, at_us: int, found: list[Line]) -> None:
        slow = self._last_us is not None and not 0 <= at_us - self._last_us < HUMAN_GAP_MS * 1_000
        self._spoiled = self._spoiled or slow
        self._last_us = at_us
        if code in _ENTERS:
            if self._spoiled or not self._keys:
                self.noise_bytes += RECORD.size
                self._give_up()
            else:
                found.append(Line("".join(self._keys)))
                self._keys.clear()
                self._last_us = None
            return
        key = (_SHIFTED if self._shift else _PLAIN).get(code)
        if key is None or len(self._keys) >= MAX_LINE:
            self._spoiled = True
            self.noise_bytes += RECORD.size
        else:
            self._keys.append(key)

    def _give_up(self) -> None:
        self.noise_bytes += len(self._keys) * RECORD.size
        self._keys.clear()
        self._spoiled = False
        self._last_us = None


def card_uid(text: str) -> bytes | None:
    """Return the four bytes behind what a card reader types: ten decimal digits, or eight of hex; None for others.

    Such readers cut the seven bytes of most cards to four: two cards can type the same.
    """
    if _DECIMAL.fullmatch(text) and int(text) <= _LARGEST:
        return int(text).to_bytes(4, "big")
    return bytes.fromhex(text) if _HEX.fullmatch(text) else None


def keys_of(text: str) -> list[tuple[int, bool]]:
    """Return the key codes that type a text, each with whether shift is held; ValueError for what no key holds."""
    plain = {key: code for code, key in reversed(_PLAIN.items())}
    shifted = {key: code for code, key in reversed(_SHIFTED.items())}
    keys: list[tuple[int, bool]] = []
    for letter in text:
        if letter in plain:
            keys.append((plain[letter], False))
        elif letter in shifted:
            keys.append((shifted[letter], True))
        else:
            message = f"a US keyboard has no key for {letter!r}"
            raise ValueError(message)
    return keys


def typed(text: str, *, gap_ms: int = 2, start_us: int = 0) -> bytes:
    """Return the records of a device that types a text and Enter: presses, releases and the kernel's marks."""
    records = bytearray()
    at_us = start_us

    def put(type_: int, code: int, value: int) -> None:
        records.extend(RECORD.pack(at_us // 1_000_000, at_us % 1_000_000, type_, code, value))

    for code, shift in [*keys_of(text), (_ENTERS[0], False)]:
        for key in (_SHIFTS[0], code) if shift else (code,):
            put(_EV_KEY, key, _DOWN)
        put(_EV_SYN, 0, 0)
        for key in (code, _SHIFTS[0]) if shift else (code,):
            put(_EV_KEY, key, _UP)
        put(_EV_SYN, 0, 0)
        at_us += gap_ms * 1_000
    return bytes(records)
