"""What coin changers (08h) and note readers (30h) on MDB are told and what they tell, without the sums of their blocks.

An event is told once: who carries the block acknowledges it. Source: MDB/ICP 4.3, sections 5 and 6.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

TYPES: Final = 16
SETUP_COINS: Final = b"\x09"
POLL_COINS: Final = b"\x0b"
SETUP_NOTES: Final = b"\x31"
POLL_NOTES: Final = b"\x33"
STACK: Final = b"\x35\x01"
GIVE_BACK: Final = b"\x35\x00"
STACKER: Final = b"\x36"
STACKER_FULL: Final = 0x8000
COINS_RESET: Final = 0x0B
NOTES_RESET: Final = 0x06
TOKEN: Final = 0xFF
"""The value of a type that is a token. Not re-checked against the standard's paper."""
_COIN_SETUP_BYTES: Final = 7
_NOTE_SETUP_BYTES: Final = 11
_COIN_STATUS: Final = {
    0x04: "tube_sensor",
    0x06: "acceptor_unplugged",
    0x07: "tube_jam",
    0x08: "changer_memory",
    0x09: "routing_error",
    0x0C: "coin_jam",
    0x0D: "coin_pulled_back",
}
_NOTE_STATUS: Final = {
    0x01: "motor",
    0x02: "sensor",
    0x04: "reader_memory",
    0x05: "note_jam",
    0x07: "note_pulled_back",
    0x08: "cashbox_removed",
    0x0C: "note_pulled_back",
}


class Cash(StrEnum):
    """What happened to a coin or a note."""

    TAKEN = "taken"
    """it is in the box, in a tube or in the stacker: this alone is credit"""
    ESCROW = "escrow"
    RETURNED = "returned"
    ELSEWHERE = "elsewhere"
    """it went where no credit is defined, into a recycler for one"""
    STATUS = "status"


class CashEvent(msgspec.Struct, frozen=True):
    """One event. type: of the coin or note, 0..15; code: of a status."""

    cash: Cash
    type: int = 0
    code: int = 0


class CashSetup(msgspec.Struct, frozen=True):
    """What a device takes. values: per type, in units of 10 ** -decimals; a type without value is not there."""

    level: int
    currency: str
    decimals: int
    values: dict[int, int]


def parse_coin_events(data: bytes) -> list[CashEvent]:
    """Return what a changer's answer to POLL tells; a deposit or a payout takes two bytes."""
    events: list[CashEvent] = []
    at = 0
    while at < len(data):
        byte = data[at]
        at += 2 if byte & 0xC0 else 1
        if byte & 0x80:
            continue  # paid out by hand: no guest's money
        if byte & 0x40:
            cash = (Cash.TAKEN, Cash.TAKEN, Cash.ELSEWHERE, Cash.RETURNED)[byte >> 4 & 3]
            events.append(CashEvent(cash, byte & 0x0F))
        elif not byte & 0x20:
            events.append(CashEvent(Cash.STATUS, code=byte))
    return events


def parse_note_events(data: bytes) -> list[CashEvent]:
    """Return what a note reader's answer to POLL tells."""
    events: list[CashEvent] = []
    ways = {0: Cash.TAKEN, 1: Cash.ESCROW, 2: Cash.RETURNED, 4: Cash.RETURNED}
    for byte in data:
        if byte & 0x80:
            events.append(CashEvent(ways.get(byte >> 4 & 7, Cash.ELSEWHERE), byte & 0x0F))
        elif not byte & 0x40:
            events.append(CashEvent(Cash.STATUS, code=byte))
    return events


def coin_event(type_: int, *, to_tube: bool, in_tube: int) -> bytes:
    """Return a deposit; `in_tube`: coins of this type there now."""
    return bytes([0x40 | to_tube << 4 | type_, in_tube])


def note_event(cash: Cash, type_: int) -> bytes:
    """Return what a note did."""
    return bytes([0x80 | {Cash.TAKEN: 0, Cash.ESCROW: 1, Cash.RETURNED: 2}[cash] << 4 | type_])


def parse_coin_setup(data: bytes) -> CashSetup | None:
    """Return what a changer takes, None where the answer has another shape."""
    if not _COIN_SETUP_BYTES < len(data) <= _COIN_SETUP_BYTES + TYPES:
        return None
    return CashSetup(data[0], data[1:3].hex(), data[4], _values(data[_COIN_SETUP_BYTES:], data[3]))


def parse_note_setup(data: bytes) -> CashSetup | None:
    """Return what a note reader takes, None where the answer has another shape."""
    if not _NOTE_SETUP_BYTES < len(data) <= _NOTE_SETUP_BYTES + TYPES:
        return None
    scale = int.from_bytes(data[3:5], "big")
    return CashSetup(data[0], data[1:3].hex(), data[5], _values(data[_NOTE_SETUP_BYTES:], scale))


def pack_coin_setup(values: dict[int, int], *, scale: int) -> bytes:
    """Return a changer's answer: level 3, CNY, two decimals."""
    return bytes([3, 0x11, 0x56, scale, 2, 0, 0]) + _packed(values, scale)


def pack_note_setup(values: dict[int, int], *, scale: int) -> bytes:
    """Return a note reader's answer: level 1, CNY, two decimals, a stacker for 500 and an escrow."""
    head = bytes([1, 0x11, 0x56]) + scale.to_bytes(2, "big") + bytes([2]) + (500).to_bytes(2, "big")
    return head + b"\0\0\xff" + _packed(values, scale)


def take_coins(types: Iterable[int]) -> bytes:
    """Take these types of coins and no other; nothing is paid out by hand."""
    return b"\x0c" + _mask(types) + b"\0\0"


def take_notes(types: Iterable[int]) -> bytes:
    """Take these types of notes and no other, each into escrow first."""
    return b"\x34" + _mask(types) + b"\xff\xff"


def parse_stacker(data: bytes) -> int | None:
    """Return how many notes are in the stacker, with STACKER_FULL; None for another shape."""
    return int.from_bytes(data, "big") if len(data) == 2 else None


def fault_name(event: CashEvent, *, notes: bool) -> str:
    """Return what somebody should look at, nothing where nobody should."""
    if event.cash is Cash.ELSEWHERE:
        return "routed_elsewhere"
    names = _NOTE_STATUS if notes else _COIN_STATUS
    return names.get(event.code, "") if event.cash is Cash.STATUS else ""


def _values(data: bytes, scale: int) -> dict[int, int]:
    return {type_: value * scale for type_, value in enumerate(data) if value and value != TOKEN}


def _packed(values: dict[int, int], scale: int) -> bytes:
    return bytes(values.get(type_, 0) // scale for type_ in range(TYPES))


def _mask(types: Iterable[int]) -> bytes:
    return sum(1 << type_ for type_ in set(types)).to_bytes(2, "big")
