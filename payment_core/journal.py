"""Journal entries: their structs, their canonical bytes, and the hash chain over them.

A record is one canonical MessagePack array `[type, version, header, …body]`. Fields are appended with a default;
a released (type, version) never changes meaning. docs/wire/ehb1.md lists the fields in order.
"""

import hashlib
from enum import IntEnum
from typing import Final, NoReturn

import msgspec

from payment_core.errors import DECODE_FAULTS, MalformedRecordError, UnknownEntryError

CHAIN_LABEL: Final = b"edgehub/record/v1\0"
CHAIN_START: Final = bytes(32)
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


class Part(msgspec.Struct, frozen=True, array_like=True):
    """`amount` minor units of `unit`, from lease `lease_epoch`; None: the lane's coin credit, 0: on the floor."""

    unit: str
    amount: int
    lease_epoch: int | None = None


class _Record(msgspec.Struct, frozen=True, array_like=True):
    version: int
    header: Header


class EpochOpened(_Record, tag=1, frozen=True, array_like=True):
    """The first record of an epoch: what is known of the one before, and what is missing."""

    epoch: int
    previous_epoch: int = 0
    previous_seq: int = 0
    previous_hash: bytes = b""
    cause: str = "new"


class Held(_Record, tag=2, frozen=True, array_like=True):
    """Money was put aside. The event that asked for it is (reader, event_epoch, event_seq)."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    credential_id: bytes | None
    credential_class: str | None
    reader: str
    event_epoch: int
    event_seq: int
    expires_ms: int


class Commanded(_Record, tag=3, frozen=True, array_like=True):
    """The device is told: from here on an answer is owed."""

    device: str
    command_seq: int
    credits: int
    boot_id: str = ""
    """the bridge's start the command was meant for: who asks later must ask about that one"""


class Captured(_Record, tag=4, frozen=True, array_like=True):
    """Delivered: `parts` are earned, `released` goes back to where it came from. from_doubt: it was in suspense."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    cause: Cause
    released: tuple[Part, ...] = ()
    from_doubt: bool = False


class Voided(_Record, tag=5, frozen=True, array_like=True):
    """Not delivered: all of it goes back."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    cause: Cause
    from_doubt: bool = False


class Expired(_Record, tag=6, frozen=True, array_like=True):
    """Never sent to the device in time: all of it goes back."""

    parts: tuple[Part, ...]
    account_id: bytes | None


class InDoubt(_Record, tag=7, frozen=True, array_like=True):
    """Nobody can say whether it was delivered: it waits in suspense."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    cause: Cause


class Refunded(_Record, tag=8, frozen=True, array_like=True):
    """Captured money goes back to the guest, at this hub at once."""

    parts: tuple[Part, ...]
    account_id: bytes
    cause: Cause


class Declined(_Record, tag=9, frozen=True, array_like=True):
    """A tap was refused; no money moved. `reason` is the first check that failed."""

    reason: str
    credential_id: bytes | None
    account_id: bytes | None
    credential_class: str | None
    reader: str
    event_epoch: int
    event_seq: int
    price: tuple[Part, ...] = ()


class CoinBooked(_Record, tag=10, frozen=True, array_like=True):
    """A coin fell into a machine's box and became credit at its lane."""

    device: str
    event_epoch: int
    event_seq: int
    counter: int
    position: int
    unit: str
    amount: int


class Tampered(_Record, tag=11, frozen=True, array_like=True):
    """A device's own counter and the journal differ by `count`: counted, shown, never credited."""

    device: str
    event_epoch: int
    event_seq: int
    count: int


class LeaseTaken(_Record, tag=12, frozen=True, array_like=True):
    """The hub has taken over a grant: `granted` is the new total. The office moved the money when it signed."""

    account_id: bytes
    unit: str
    lease_epoch: int
    granted: int
    added: int


class LateEvidence(_Record, tag=13, frozen=True, array_like=True):
    """An answer came after the end of an authorization: kept for staff, moves nothing."""

    state: str
    outcome: str
    device: str


class ToppedUp(_Record, tag=64, frozen=True, array_like=True):
    """Office: money came in for an account through a channel."""

    account_id: bytes
    unit: str
    amount: int
    channel: str
    payment_id: str


class LeaseGranted(_Record, tag=65, frozen=True, array_like=True):
    """Office: part of an account's money was leased to `hub`; `granted` is the new total of this lease."""

    account_id: bytes
    unit: str
    hub: bytes
    lease_epoch: int
    granted: int
    added: int


HubEntry = (
    EpochOpened | Held | Commanded | Captured | Voided | Expired | InDoubt | Refunded | Declined | CoinBooked | Tampered
    | LeaseTaken | LateEvidence
)
OfficeEntry = ToppedUp | LeaseGranted
Entry = HubEntry | OfficeEntry

VERSIONS: Final[dict[type, int]] = dict.fromkeys(
    (EpochOpened, Held, Commanded, Captured, Voided, Expired, InDoubt, Refunded, Declined, CoinBooked, Tampered,
     LeaseTaken, LateEvidence, ToppedUp, LeaseGranted), 1,
)  # fmt: skip
KNOWN_TYPES: Final = frozenset({*range(1, 14), 64, 65})

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Entry]] = msgspec.msgpack.Decoder(Entry)
_ANY: Final = msgspec.msgpack.Decoder()


def encode_entry(entry: Entry) -> bytes:
    """Return the canonical record of an entry."""
    return _ENCODER.encode(entry)


def decode_entry(record: bytes) -> Entry:
    """Return the entry behind a record.

    UnknownEntryError: a type or version this release does not know (park it). MalformedRecordError: not a record,
    or not in canonical form.
    """
    try:
        entry = _DECODER.decode(record)
    except DECODE_FAULTS as error:
        _raise_for(record, error)
    if entry.version != VERSIONS[type(entry)]:
        message = f"entry {type(entry).__name__} version {entry.version} is not known"
        raise UnknownEntryError(message)
    if _ENCODER.encode(entry) != record and not _is_older_form(record, entry):
        message = f"entry {type(entry).__name__} is not in canonical form"
        raise MalformedRecordError(message)
    return entry


def _is_older_form(record: bytes, entry: Entry) -> bool:
    """Say whether a record is canonical but for fields at the ends of its arrays that later releases appended."""
    raw = _ANY.decode(record)
    return _ENCODER.encode(raw) == record and _begins(raw, _ANY.decode(_ENCODER.encode(entry)))


def _begins(short: object, whole: object) -> bool:
    if isinstance(short, list) and isinstance(whole, list):
        return len(short) <= len(whole) and all(map(_begins, short, whole))
    return short == whole


def decode_own(record: bytes) -> Entry:
    """Return the entry behind a record this very hub wrote: no check of its canonical form."""
    return _DECODER.decode(record)


def _raise_for(record: bytes, error: Exception) -> NoReturn:
    try:
        raw = _ANY.decode(record)
    except DECODE_FAULTS:
        raw = None
    if isinstance(raw, list) and len(raw) > 1 and isinstance(raw[0], int) and raw[0] not in KNOWN_TYPES:
        message = f"entry type {raw[0]} is not known"
        raise UnknownEntryError(message) from error
    message = f"not a journal record: {error}"
    raise MalformedRecordError(message) from error


def chain_hash(previous: bytes, record: bytes) -> bytes:
    """Return h_i = SHA-256(label ‖ h_{i-1} ‖ record), 32 bytes."""
    return hashlib.sha256(CHAIN_LABEL + previous + record).digest()
