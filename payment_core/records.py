"""What every journal entry is made of: its header, its parts, the lots they come from, and the words for who and why.

A record is one canonical MessagePack array `[type, version, header, …body]`. Fields are appended with a default;
a released (type, version) never changes meaning.
"""

from enum import IntEnum
from typing import Final

import msgspec

from payment_core.money import Whole

PRICE_HASH_BYTES: Final = 8


class TimeQuality(IntEnum):
    """How far a wall-clock reading can be trusted, best first."""

    SYNCED = 0
    HELD = 1
    PEER = 2
    FLOOR = 3
    NONE = 4


class Actor(IntEnum):
    """Who made the fact happen."""

    GUEST = 0
    STAFF = 1
    DEVICE = 2
    OFFICE = 3
    HUB = 4


class Tender(IntEnum):
    """What is paid with."""

    NONE = 0
    PURSE = 1
    CASH = 2
    PAYMENT_ORDER = 3
    EXTERNAL_VOUCHER = 4
    HOUSE_ACCOUNT = 5
    COMP = 6
    TEST = 7


class Cause(IntEnum):
    """Why an authorization moved on."""

    DEVICE = 0
    """the device said so"""
    READ_BACK = 1
    POLICY = 2
    STAFF = 3
    RECOVERY = 4
    """the hub came back after a crash"""
    SILENCE = 5
    """nobody answered in time"""
    TIME = 6
    GUEST = 7


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What every entry says. None means: not known, or does not apply.

    seq: place in (hub, stream, epoch); wall_ms: UTC; boottime_ms: since boot `boot_id`; business_date: yyyymmdd by the
    venue's cut-off; price_list_hash: first 8 bytes of its SHA-256; reasons: one letter per check of the decision.
    """

    seq: int
    wall_ms: int
    boot_id: bytes
    boottime_ms: int
    quality: TimeQuality
    business_date: int
    actor: Actor
    tender: Tender
    venue: bytes | None = None
    zone: str | None = None
    machine: str | None = None
    lane: str | None = None
    authorization_id: bytes | None = None
    price_list_version: int | None = None
    price_list_hash: bytes | None = None
    tax_code: str | None = None
    reasons: str | None = None
    config_version: int | None = None
    shift: str | None = None


class ListStamp(msgspec.Struct, frozen=True):
    """Which price list an amount comes from: its version and the SHA-256 of its bytes."""

    version: int
    hash: bytes


def stamp_of(header: Header) -> ListStamp | None:
    """Return the price list that an entry names, with as much of the hash as it keeps."""
    if header.price_list_version is None or header.price_list_hash is None:
        return None
    return ListStamp(header.price_list_version, header.price_list_hash)


class Part(msgspec.Struct, frozen=True, array_like=True):
    """`amount` minor units of `unit`, from lease `lease_epoch`; None: the lane's coin credit, 0: on the floor.

    `lot`: the 16 bytes that name the top-up it comes from; empty: none is named.
    """

    unit: str
    amount: int
    lease_epoch: int | None = None
    lot: bytes = b""


class LotKind(IntEnum):
    """Where a lot came from: money that was paid, or a gift."""

    PAID = 0
    GIFT = 1
    WON = 2
    """tickets and prizes: neither paid nor given"""


class Lot(msgspec.Struct, frozen=True, array_like=True):
    """What one top-up opened. `channel` and `payment_id` name the payment, `terms` the version of its terms.

    `opened_ms`, `expires_ms`: UTC ms; None: it never expires. A lot of a gift names the payment it came with.
    """

    lot: bytes
    kind: LotKind
    opened_ms: Whole
    expires_ms: Whole | None = None
    channel: str = ""
    payment_id: str = ""
    terms: Whole = 0


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of every entry."""

    version: int
    header: Header

    @classmethod
    def number(cls) -> int:
        """Return the type's number, with which every record of it begins."""
        tag = cls.__struct_config__.tag
        assert isinstance(tag, int)
        return tag
