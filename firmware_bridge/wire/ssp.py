"""SSP packets, and what a note validator says in them.

Sources: Innovative Technology SSP protocol manual GA138 (packets, commands, events); NV9 USB manual, section 5 (escrow,
sequence bit). The state machine for money: docs/wire/ssp.md.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec

STX: Final = 0x7F
SEQUENCE_BIT: Final = 0x80
MAX_DATA_BYTES: Final = 255
OVERHEAD_BYTES: Final = 4
"""Sequence and address, length, two bytes of CRC; the STX is not counted."""
MAX_ADDRESS: Final = 0x7D
CHANNELS: Final = 16

_CRC_SEED: Final = 0xFFFF
_CRC_POLYNOMIAL: Final = 0x8005


class Code(IntEnum):
    """The commands that this hub and its simulator know, by the manual's numbers."""

    RESET = 0x01
    SET_INHIBITS = 0x02
    SETUP_REQUEST = 0x05
    HOST_PROTOCOL = 0x06
    POLL = 0x07
    REJECT = 0x08
    DISABLE = 0x09
    ENABLE = 0x0A
    SERIAL_NUMBER = 0x0C
    UNIT_DATA = 0x0D
    SYNC = 0x11
    LAST_REJECT = 0x17
    HOLD = 0x18
    SET_GENERATOR = 0x4A
    SET_MODULUS = 0x4B
    KEY_EXCHANGE = 0x4C
    POLL_WITH_ACK = 0x56
    EVENT_ACK = 0x57


class Reply(IntEnum):
    """The first byte of an answer."""

    OK = 0xF0
    UNKNOWN = 0xF2
    WRONG_LENGTH = 0xF3
    OUT_OF_RANGE = 0xF4
    CANNOT_NOW = 0xF5
    FAIL = 0xF8
    KEY_NOT_SET = 0xFA


class Say(IntEnum):
    """What follows in the answer to a poll."""

    CHANNELS_DISABLED = 0xB5
    INITIALISING = 0xB6
    PAID_IN_AT_POWER_UP = 0xCA
    STACKING = 0xCC
    INCOMPLETE_PAYOUT = 0xDC
    NOTE_PATH_OPEN = 0xE0
    CLEARED_TO_FRONT = 0xE1
    CLEARED_TO_CASHBOX = 0xE2
    CASHBOX_REMOVED = 0xE3
    CASHBOX_REPLACED = 0xE4
    FRAUD = 0xE6
    FULL = 0xE7
    DISABLED = 0xE8
    UNSAFE_JAM = 0xE9
    SAFE_JAM = 0xEA
    STACKED = 0xEB
    REJECTED = 0xEC
    REJECTING = 0xED
    CREDIT = 0xEE
    READ = 0xEF
    RESET = 0xF1


_WITH_CHANNEL: Final = frozenset({Say.READ, Say.CREDIT, Say.FRAUD, Say.CLEARED_TO_FRONT, Say.CLEARED_TO_CASHBOX})
_AMOUNTS_FOLLOW: Final = frozenset({Say.PAID_IN_AT_POWER_UP, Say.INCOMPLETE_PAYOUT})


class Packet(msgspec.Struct, frozen=True):
    """One packet. `sequence`: the bit that changes with every new packet; an answer carries its question's."""

    address: int
    sequence: bool
    data: bytes


class Noise(msgspec.Struct, frozen=True):
    """Bytes thrown away because no packet is made of them."""

    data: bytes


class Event(msgspec.Struct, frozen=True):
    """One thing a poll told. `channel`: of the note, 0 where the event has none or the note is not yet known."""

    code: int
    channel: int = 0


class Setup(msgspec.Struct, frozen=True):
    """What a validator says of itself. `values`: per channel, from 1, in whole units of `country`'s currency.

    minor: so many minor units are one of those (the real value multiplier).
    """

    firmware: str
    country: str
    values: tuple[int, ...]
    protocol: int
    minor: int = 100

    def misfit(self, unit: str, positions: Mapping[int, int]) -> str:
        """Return `other_currency` or `other_values` where notes are not worth what `positions` say, else nothing.

        A channel that the validator does not have, or that has no value, gives no note.
        """
        if self.country != unit:
            return "other_currency"
        told = {channel: value * self.minor for channel, value in enumerate(self.values, 1) if value}
        return "other_values" if any(told.get(channel, worth) != worth for channel, worth in positions.items()) else ""


def crc16(data: bytes) -> int:
    """Return the CRC-16 of a packet: polynomial 8005 hex, start FFFF, not reflected."""
    crc = _CRC_SEED
    for byte in data:
        crc = (crc & 0xFF) << 8 ^ _TABLE[crc >> 8 ^ byte]
    return crc


def _table_entry(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ _CRC_POLYNOMIAL if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


_TABLE: Final = tuple(map(_table_entry, range(256)))


def encode(packet: Packet) -> bytes:
    """Return the bytes on the line, stuffed; ValueError where address or data do not fit."""
    if not (0 <= packet.address <= MAX_ADDRESS and 0 < len(packet.data) <= MAX_DATA_BYTES):
        message = f"an SSP packet has an address up to {MAX_ADDRESS} and 1 to {MAX_DATA_BYTES} data bytes"
        raise ValueError(message)
    body = bytes([packet.address | packet.sequence * SEQUENCE_BIT, len(packet.data)]) + packet.data
    raw = body + crc16(body).to_bytes(2, "little")
    return bytes([STX]) + raw.replace(b"\x7f", b"\x7f\x7f")


class Decoder:
    """Collects bytes of one line and returns packets and noise; never raises on what the line said.

    A single 7F always begins a packet, whatever was going on before; two are one 7F inside of it.
    """

    def __init__(self) -> None:
        self._body = bytearray()
        self._skipped = bytearray()
        self._inside = False
        self._escaped = False

    @property
    def pending(self) -> bool:
        """Say whether part of a packet is waiting for its rest, so that a pause matters."""
        return self._inside or self._escaped

    def feed(self, data: bytes) -> list[Packet | Noise]:
        """Take bytes as they came; return what became whole."""
        found: list[Packet | Noise] = []
        for byte in data:
            packet = self._take(byte)
            if packet is not None:
                self._tell_skipped(found)
                found.append(packet)
        self._tell_skipped(found)
        return found

    def silence(self) -> list[Packet | Noise]:
        """The line was silent: give up half a packet."""
        self._give_up()
        if self._escaped:
            self._skipped.append(STX)
            self._escaped = False
        found: list[Packet | Noise] = []
        self._tell_skipped(found)
        return found

    def _take(self, byte: int) -> Packet | None:
        if byte == STX and not self._escaped:
            self._escaped = True
            return None
        if self._escaped and byte != STX:  # a lone 7F: here begins a packet
            self._give_up()
            self._inside, self._escaped = True, False
        elif self._escaped and not self._inside:
            self._skipped.append(STX)  # the second may still begin one
            return None
        self._escaped = False
        if not self._inside:
            self._skipped.append(byte)
            return None
        self._body.append(byte)
        return self._whole()

    def _whole(self) -> Packet | None:
        """Return the packet when its last byte came; a wrong one is skipped."""
        if len(self._body) < 2 or len(self._body) < self._body[1] + OVERHEAD_BYTES:
            return None
        body, crc = bytes(self._body[:-2]), int.from_bytes(self._body[-2:], "little")
        address = body[0] & ~SEQUENCE_BIT
        if len(body) == 2 or crc16(body) != crc or address > MAX_ADDRESS:
            self._give_up()
            return None
        self._body.clear()
        self._inside = False
        return Packet(address, bool(body[0] & SEQUENCE_BIT), body[2:])

    def _give_up(self) -> None:
        if self._inside:
            self._skipped += bytes([STX]) + self._body
        self._body.clear()
        self._inside = False

    def _tell_skipped(self, found: list[Packet | Noise]) -> None:
        if self._skipped:
            found.append(Noise(bytes(self._skipped)))
            self._skipped.clear()


def parse_events(data: bytes) -> list[Event]:
    """Return the events behind the F0 of an answer to a poll, in their order.

    An event that `is_last` ends the list: the bytes behind it, however much they look like a credit, are unread.
    """
    events: list[Event] = []
    rest = list(data)
    while rest:
        code = rest.pop(0)
        channel = rest.pop(0) if code in _WITH_CHANNEL and rest else 0
        events.append(Event(code, channel))
        if is_last(code):
            break
    return events


def is_last(code: int) -> bool:
    """Say whether nobody can tell what follows an event: amounts that depend on the device, or a code not in `Say`."""
    return code in _AMOUNTS_FOLLOW or code not in set(Say)


def pack_events(events: list[Event]) -> bytes:
    """Return the bytes behind the F0 of an answer to a poll."""
    return b"".join(
        bytes([event.code, event.channel] if event.code in _WITH_CHANNEL else [event.code]) for event in events
    )


def parse_setup(data: bytes) -> Setup | None:
    """Return the answer to 05 behind its F0, None where it is not a note validator's."""
    if len(data) < 12 or data[0] not in {0x00, 0x01} or len(data) < 16 + 2 * data[11]:
        return None
    channels, multiplier = data[11], int.from_bytes(data[8:11], "big")
    end = 12 + 2 * channels
    protocol = data[end + 3]
    values = tuple(value * multiplier for value in data[12 : 12 + channels])
    more = data[end + 4 :]
    if protocol >= 6 and len(more) >= 7 * channels:
        places = range(3 * channels, 7 * channels, 4)
        values = tuple(int.from_bytes(more[place : place + 4], "little") for place in places)
    return Setup(_text(data[1:5]), _text(data[5:8]), values, protocol, int.from_bytes(data[end : end + 3], "big"))


def pack_setup(setup: Setup) -> bytes:
    """Return the answer to 05 behind its F0, as a banknote validator of protocol 6 gives it."""
    count = len(setup.values)
    old = bytes([0]) + setup.firmware.encode()[:4].rjust(4, b"0") + setup.country.encode()[:3].ljust(3)
    values = bytes(min(value, 255) for value in setup.values)
    head = old + (1).to_bytes(3, "big") + bytes([count]) + values + bytes([2]) * count
    wide = b"".join(value.to_bytes(4, "little") for value in setup.values)
    return head + setup.minor.to_bytes(3, "big") + bytes([setup.protocol]) + setup.country.encode()[:3] * count + wide


def pack_inhibits(channels: frozenset[int]) -> bytes:
    """Return the two bytes of command 02, lowest first: bit 1 accepts."""
    return sum(1 << (channel - 1) for channel in channels).to_bytes(2, "little")


def event_name(code: int) -> str:
    """Return one word for an event."""
    return Say(code).name.lower() if code in set(Say) else f"event_{code:02x}"


def _text(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in data).strip()
