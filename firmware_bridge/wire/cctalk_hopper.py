"""What a ccTalk hopper's data bytes mean, and how to tell afterwards what one payout gave.

Sources: ccTalk Generic Specification parts 2 and 3; Suzo-Happ Flow manual; Alberici hopper manual. The rules in words:
docs/wire/cctalk.md.
"""

from enum import IntEnum
from typing import Final

import msgspec

MOST_PER_DISPENSE: Final = 255
ENABLE_CODE: Final = b"\xa5"
DISABLED_FLAG: Final = 0x80
"""Of the first test byte: it pays only after header 164 with A5, which every reset undoes."""
COUNT_MODULUS: Final = 1 << 10
"""Of the count of all coins its lowest bits are enough: one payout is at most 255."""
MOST_SETTLED: Final = (1 << 10) - 1
TAG_MODULUS: Final = 1 << 18

_FLAGS: Final = (
    (0x01, "over_current"), (0x02, "payout_timeout"), (0x08, "exit_blocked"), (0x10, "exit_sensor_shorted"),
    (0x20, "exit_blocked_in_payout"), (0x01 << 8, "exit_sensor_shorted_in_payout"), (0x08 << 8, "slider_mismatch"),
    (0x10 << 8, "reversed_too_often"), (0x20 << 8, "coil_fault"), (0x40 << 8, "memory_fault"),
)  # fmt: skip
"""Faults in the test bytes (header 163), first byte lowest. Not among them: 04 motor reversed, 40 powered up, 80
disabled, and of the second byte 02, 04, 80, which describe the device. The second byte is not re-checked against the
maker's paper."""
_LOW, _LOW_FITTED = 0x01, 0x10
"""Of the level byte (header 217): below the low sensor, and that there is one."""


class HopperHeader(IntEnum):
    """The commands of a hopper beside those of `cctalk.Header`, by the manual's numbers."""

    TEST = 163
    ENABLE = 164
    PAYOUT_STATUS = 166
    DISPENSE = 167
    DISPENSE_COUNT = 168
    EMERGENCY_STOP = 172
    LEVELS = 217


class PayoutStatus(msgspec.Struct, frozen=True):
    """A reply to header 166. `event`: counts payouts, 1..255, 0 after power-up; the rest are coins of the last one."""

    event: int
    remaining: int
    paid: int
    unpaid: int


class Before(msgspec.Struct, frozen=True):
    """How a hopper at rest stood before a payout. `counted`: of its count of all coins ever, None where it has none.

    `tag`: whose payout it was. `settled`: coins that its command had already got from payouts before this one.
    """

    event: int
    paid: int
    unpaid: int
    counted: int | None = None
    settled: int = 0
    tag: int = 0


class CameOut(msgspec.Struct, frozen=True):
    """What a payout gave. Where it is not `certain`, at least `coins` came out as far as anything tells."""

    coins: int
    certain: bool


def parse_status(data: bytes) -> PayoutStatus | None:
    """Return the four bytes of a reply to 166, or None where they are not that."""
    return PayoutStatus(*data) if len(data) == 4 else None


def pack_status(status: PayoutStatus) -> bytes:
    """Return the four data bytes of a reply to 166."""
    return bytes([status.event, status.remaining, status.paid, status.unpaid])


def faults_in(data: bytes) -> tuple[str, ...]:
    """Return the names of the faults in the one to three bytes of a reply to 163."""
    bits = int.from_bytes(data[:2], "little")
    return tuple(name for flag, name in _FLAGS if bits & flag)


def pack_test(*names: str, disabled: bool = False) -> bytes:
    """Return two test bytes with these faults in them."""
    return (sum(flag for flag, name in _FLAGS if name in names) | disabled * DISABLED_FLAG).to_bytes(2, "little")


def is_disabled(data: bytes) -> bool:
    """Say whether the first test byte asks for header 164."""
    return bool(data and data[0] & DISABLED_FLAG)


def is_low(data: bytes) -> bool:
    """Say whether a level sensor that is fitted says that few coins are left."""
    return len(data) == 1 and data[0] & (_LOW | _LOW_FITTED) == _LOW | _LOW_FITTED


def pack_levels(*, low: bool, fitted: bool) -> bytes:
    """Return the level byte."""
    return bytes([low * _LOW | fitted * _LOW_FITTED])


def event_after(event: int) -> int:
    """Return the event counter one payout later: after 255 comes 1."""
    return event % 255 + 1


def pack_before(before: Before) -> int:
    """Return one number that holds all of it, as a log keeps a device's counter; less than 2 to the 63rd."""
    counted = 0 if before.counted is None else before.counted % COUNT_MODULUS + 1
    numbers = before.event | before.paid << 8 | before.unpaid << 16
    return numbers | counted << 24 | before.settled << 35 | before.tag % TAG_MODULUS << 45


def unpack_before(packed: int) -> Before:
    """Return what `pack_before` packed."""
    counted = packed >> 24 & (1 << 11) - 1
    return Before(
        event=packed & 0xFF,
        paid=packed >> 8 & 0xFF,
        unpaid=packed >> 16 & 0xFF,
        counted=counted - 1 if counted else None,
        settled=packed >> 35 & MOST_SETTLED,
        tag=packed >> 45 & TAG_MODULUS - 1,
    )


def came_out(before: Before, status: PayoutStatus, counted: int | None, *, accepted: bool) -> CameOut:
    """Say what came out of a hopper at rest since `before`, after at most one command to pay.

    accepted: it certainly took the command (it said so, or was seen paying). Two witnesses, the last payout's numbers
    and the count of all coins, must agree; one alone is believed; none is a doubt.
    """
    by_status = _by_status(before, status, accepted=accepted)
    both_count = before.counted is not None and counted is not None
    by_count = ((counted or 0) - (before.counted or 0)) % COUNT_MODULUS if both_count else None
    told = [coins for coins in (by_status, by_count) if coins is not None]
    return CameOut(coins=min(told, default=0), certain=bool(told) and min(told) == max(told))


def _by_status(before: Before, status: PayoutStatus, *, accepted: bool) -> int | None:
    """Return what the last payout's numbers say; None where they may be those of the payout before.

    A Flow counts events that it refused as well, and keeps the old numbers then; after power-up every event is 0.
    """
    renewed = (status.paid, status.unpaid) != (before.paid, before.unpaid)
    if status.event == before.event != 0:
        return None if accepted else 0
    if status.event == event_after(before.event):
        return status.paid if renewed or accepted else None
    return status.paid if status.event == 0 and renewed else None
