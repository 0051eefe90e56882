"""Frames of companion boards (docs/wire/companion.md), as the hub says and hears them.

7E; escaped (7D, byte xor 20): version, kind, channel, payload, CRC-16 (1021, start FFFF, high byte first); 7E.
The hub asks, the board answers each question once. Every question may be asked again, and an answer says by itself
what it is about, so one that comes late does no harm. Our own protocol; the board's side of it is written
apart, in firmware_bridge/companion.
"""

import binascii
import struct
from enum import IntEnum
from typing import Final

import msgspec

FLAG: Final = 0x7E
ESCAPE: Final = 0x7D
TURN: Final = 0x20
LONGEST: Final = 256
"""Bytes between two flags when nothing is escaped."""
SHORTEST: Final = 5
MAX_PAYLOAD: Final = LONGEST - SHORTEST
BEFORE: Final = 0
"""The version of Hello and IAm: it never changes."""
VERSIONS: Final = (1, 1)
"""The lowest and the highest version of the protocol that this release speaks."""
BOOT_BYTES: Final = 16
SERIAL_BYTES: Final = 8
LONGEST_ID: Final = 36
FIRST: Final = 2
"""The number of a board's first channel, as on a ccTalk bus; 0 is the board itself."""
_I_AM: Final = struct.Struct(f">BBB{BOOT_BYTES}s{SERIAL_BYTES}sB")
_ACT: Final = struct.Struct(f">{BOOT_BYTES}sQHH")
_RESULT: Final = struct.Struct(">BHB")
_EVENT: Final = struct.Struct(">IIIIB")
_PAIR: Final = struct.Struct(">II")
OUTCOMES: Final = ("running", "done", "failed", "refused", "unknown")


class Kind(IntEnum):
    """Questions, and from 81 hex on answers."""

    HELLO = 0x01
    POLL = 0x02
    ACT = 0x03
    GATE = 0x04
    SAY = 0x05
    I_AM = 0x81
    EVENT = 0x82
    IDLE = 0x83
    RESULT = 0x84
    HEARD = 0x85
    GATED = 0x86
    REFUSED = 0x8F


class Channel(IntEnum):
    """What a channel of a board is."""

    OUTPUT = 1
    COINS = 2
    READER = 3
    WORDS = 4


class What(IntEnum):
    """What an event tells."""

    COIN = 1
    LINE = 2


class Frame(msgspec.Struct, frozen=True):
    """One message. kind: of `Kind`, or one that this release does not know."""

    version: int
    kind: int
    channel: int
    payload: bytes = b""


class Noise(msgspec.Struct, frozen=True):
    """Bytes thrown away because they are no frame."""

    data: bytes


class IAm(msgspec.Struct, frozen=True):
    """A board's answer to hello. version: agreed, 0 where there is none in common; channels: what each one is."""

    version: int
    versions: tuple[int, int]
    boot: bytes
    serial: str
    channels: tuple[int, ...]
    firmware: str


class Act(msgspec.Struct, frozen=True):
    """Give `credits`, once for this id; `ttl_ms` 0 only asks. boot: of the board; seq rises for ever."""

    command_id: str
    boot: bytes
    seq: int
    ttl_ms: int
    credits: int


class Result(msgspec.Struct, frozen=True):
    """What became of a command. outcome: of `OUTCOMES`."""

    command_id: str
    outcome: str
    amount: int
    reason: str


class Told(msgspec.Struct, frozen=True):
    """An event: its place, the newest there is, how old it is, and its bytes. Told until it is booked."""

    epoch: int
    number: int
    newest: int
    age_ms: int
    what: int
    body: bytes


class Idle(msgspec.Struct, frozen=True):
    """No event that is not booked. fault: one word, or nothing."""

    epoch: int
    newest: int
    fault: str


class Word(msgspec.Struct, frozen=True):
    """Nine bits of an MDB line: `mode` is the ninth, which marks an address, or the last byte of an answer."""

    mode: bool
    byte: int


def crc16(data: bytes) -> int:
    """Return the checksum of a frame's bytes; over them and their checksum it is 0."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame; ValueError where the payload is too long for one."""
    if len(frame.payload) > MAX_PAYLOAD:
        message = f"a companion frame carries at most {MAX_PAYLOAD} bytes, got {len(frame.payload)}"
        raise ValueError(message)
    body = bytes([frame.version, frame.kind, frame.channel]) + frame.payload
    body += crc16(body).to_bytes(2, "big")
    escaped = b"".join(bytes([ESCAPE, byte ^ TURN]) if byte in {FLAG, ESCAPE} else bytes([byte]) for byte in body)
    return bytes([FLAG]) + escaped + bytes([FLAG])


class Decoder:
    """Collects bytes of one line and returns frames and noise; never raises on what the line said."""

    def __init__(self) -> None:
        self.noise_bytes = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame | Noise]:
        """Take bytes as they came; return what became whole."""
        found: list[Frame | Noise] = []
        self._buffer += data
        while (end := self._buffer.find(FLAG)) >= 0:
            piece = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if piece:
                found.append(self._known(piece))
        if len(self._buffer) > 2 * LONGEST:
            found.append(self._known(bytes(self._buffer)))
            self._buffer.clear()
        return found

    def silence(self) -> list[Frame | Noise]:
        """The line said nothing for a while: what is unfinished is given up."""
        piece = bytes(self._buffer)
        self._buffer.clear()
        return [self._known(piece)] if piece else []

    def _known(self, piece: bytes) -> Frame | Noise:
        body = _unescaped(piece)
        if SHORTEST <= len(body) <= LONGEST and crc16(body) == 0:
            return Frame(body[0], body[1], body[2], body[3:-2])
        self.noise_bytes += len(piece)
        return Noise(piece)


def _unescaped(piece: bytes) -> bytes:
    """Return the bytes of a frame; nothing where an escape stands at the end."""
    head, *rest = piece.split(bytes([ESCAPE]))
    if not all(rest):
        return b""
    return head + b"".join(bytes([part[0] ^ TURN]) + part[1:] for part in rest)


def pack_hello(versions: tuple[int, int] = VERSIONS) -> bytes:
    """Return the payload of HELLO."""
    return bytes(versions)


def pack_poll(epoch: int, booked: int) -> bytes:
    """Return the payload of POLL: everything of `epoch` up to the number `booked` is kept here."""
    return _PAIR.pack(epoch, booked)


def pack_act(act: Act) -> bytes:
    """Return the payload of ACT; ValueError where the id is too long or no ASCII."""
    if not act.command_id.isascii() or not 0 < len(act.command_id) <= LONGEST_ID:
        message = f"an id has 1 to {LONGEST_ID} ASCII characters, got {act.command_id!r}"
        raise ValueError(message)
    return _ACT.pack(act.boot, act.seq, act.ttl_ms, act.credits) + act.command_id.encode()


def pack_words(words: list[Word]) -> bytes:
    """Return the payload of SAY and of HEARD: two bytes for each word, its ninth bit first."""
    return b"".join(bytes([word.mode, word.byte]) for word in words)


def parse_i_am(payload: bytes) -> IAm | None:
    """Return who answers; None where it is too short. What a newer board adds at the end is left out."""
    if len(payload) < _I_AM.size:
        return None
    version, lowest, highest, boot, serial, count = _I_AM.unpack_from(payload)
    kinds, rest = payload[_I_AM.size : _I_AM.size + count], payload[_I_AM.size + count :]
    if len(kinds) < count or not rest or len(rest) < 1 + rest[0]:
        return None
    return IAm(version, (lowest, highest), boot, serial.hex(), tuple(kinds), _text(rest[1 : 1 + rest[0]]))


def parse_result(payload: bytes) -> Result | None:
    """Return what became of a command; None where that is no result."""
    if len(payload) < _RESULT.size:
        return None
    outcome, amount, length = _RESULT.unpack_from(payload)
    name, reason = payload[_RESULT.size : _RESULT.size + length], payload[_RESULT.size + length :]
    if outcome >= len(OUTCOMES) or len(name) < length:
        return None
    return Result(_text(name), OUTCOMES[outcome], amount, _text(reason))


def parse_told(payload: bytes) -> Told | None:
    """Return the event; None where it is too short."""
    if len(payload) < _EVENT.size:
        return None
    epoch, number, newest, age_ms, what = _EVENT.unpack_from(payload)
    return Told(epoch, number, newest, age_ms, what, payload[_EVENT.size :])


def parse_idle(payload: bytes) -> Idle | None:
    """Return how a channel is; None where it is too short."""
    if len(payload) < _PAIR.size:
        return None
    epoch, newest = _PAIR.unpack_from(payload)
    return Idle(epoch, newest, _text(payload[_PAIR.size :]))


def parse_words(payload: bytes) -> list[Word] | None:
    """Return the words of an MDB line; None where half a word is there, or a ninth bit that is none."""
    if len(payload) % 2 or any(mode > 1 for mode in payload[::2]):
        return None
    return [Word(bool(mode), byte) for mode, byte in zip(payload[::2], payload[1::2], strict=True)]


def _text(data: bytes) -> str:
    return data.decode("ascii", errors="replace")
