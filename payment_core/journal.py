"""The journal: all its entries in one union, their canonical bytes, and the hash chain over them.

A record is one canonical MessagePack array `[type, version, header, …body]`. Fields are appended with a default;
a released (type, version) never changes meaning. docs/wire/ehb1.md lists the fields in order.
"""

import hashlib
from typing import Final, NoReturn, get_args

import msgspec

from payment_core.epoch_entries import EpochClosed, EpochOpened
from payment_core.errors import DECODE_FAULTS, MalformedRecordError, UnknownEntryError
from payment_core.hub_entries import (
    BoxCounted,
    BroughtIn,
    Captured,
    CardSold,
    CoinBooked,
    Commanded,
    CredentialBlocked,
    CredentialReplaced,
    Declined,
    DepositReturned,
    DepositTaken,
    Expired,
    Held,
    Increased,
    InDoubt,
    LateEvidence,
    LeasePassed,
    LeaseReturned,
    LeaseTaken,
    ListConflict,
    PaidOutHere,
    Refunded,
    SlipTaken,
    Source,
    Tampered,
    TicketsKept,
    TipGiven,
    Voided,
    VoucherTaken,
)
from payment_core.machine_entries import CashSold, MeterRead, PrizeSeen
from payment_core.office_entries import (
    CashMoved,
    CellLot,
    CellSent,
    CellTaken,
    CredentialMoved,
    Gift,
    HouseCharged,
    HousePaid,
    LeaseClosed,
    LeaseGranted,
    LotExpired,
    OpeningBooked,
    OpenSettled,
    OverclaimWrittenOff,
    PaidOut,
    PassingReturned,
    ReceivablePaid,
    Signed,
    SlipIssued,
    SlipReturned,
    ToppedUp,
    TopUpReversed,
    VenuesCleared,
)
from payment_core.person_entries import ConsentGiven, ConsentWithdrawn, TemplateDeleted, TemplateEnrolled
from payment_core.records import PRICE_HASH_BYTES, Actor, Cause, Header, Lot, LotKind, Part, Record, Tender, TimeQuality

__all__ = [
    "APPENDED",
    "CHAIN_LABEL",
    "CHAIN_START",
    "KNOWN_TYPES",
    "PRICE_HASH_BYTES",
    "VERSIONS",
    "Actor",
    "BoxCounted",
    "BroughtIn",
    "Captured",
    "CardSold",
    "CashMoved",
    "CashSold",
    "Cause",
    "CellLot",
    "CellSent",
    "CellTaken",
    "CoinBooked",
    "Commanded",
    "ConsentGiven",
    "ConsentWithdrawn",
    "CredentialBlocked",
    "CredentialMoved",
    "CredentialReplaced",
    "Declined",
    "DepositReturned",
    "DepositTaken",
    "Entry",
    "EpochClosed",
    "EpochOpened",
    "Expired",
    "Gift",
    "Header",
    "Held",
    "HouseCharged",
    "HousePaid",
    "HubEntry",
    "InDoubt",
    "Increased",
    "LateEvidence",
    "LeaseClosed",
    "LeaseGranted",
    "LeasePassed",
    "LeaseReturned",
    "LeaseTaken",
    "ListConflict",
    "Lot",
    "LotExpired",
    "LotKind",
    "MeterRead",
    "OfficeEntry",
    "OpenSettled",
    "OpeningBooked",
    "OverclaimWrittenOff",
    "PaidOut",
    "PaidOutHere",
    "Part",
    "PassingReturned",
    "PrizeSeen",
    "ReceivablePaid",
    "Refunded",
    "Signed",
    "SlipIssued",
    "SlipReturned",
    "SlipTaken",
    "Source",
    "Tampered",
    "TemplateDeleted",
    "TemplateEnrolled",
    "Tender",
    "TicketsKept",
    "TimeQuality",
    "TipGiven",
    "TopUpReversed",
    "ToppedUp",
    "VenuesCleared",
    "Voided",
    "VoucherTaken",
    "chain_hash",
    "decode_entry",
    "decode_own",
    "encode_entry",
]  # fmt: skip

CHAIN_LABEL: Final = b"edgehub/record/v1\0"
CHAIN_START: Final = bytes(32)

HubEntry = (
    EpochOpened | Held | Commanded | Captured | Voided | Expired | InDoubt | Refunded | Declined | CoinBooked |
    Tampered | LeaseTaken | LateEvidence | LeaseReturned | LeasePassed | VoucherTaken | BroughtIn | PaidOutHere |
    CardSold | CredentialReplaced | CredentialBlocked | ListConflict | SlipTaken | Increased | BoxCounted |
    EpochClosed | DepositTaken
    | DepositReturned | TipGiven | TicketsKept
    | PrizeSeen | CashSold | MeterRead
    | ConsentGiven | ConsentWithdrawn | TemplateEnrolled | TemplateDeleted
)  # fmt: skip
OfficeEntry = (
    ToppedUp | LeaseGranted | TopUpReversed | PaidOut | OpeningBooked | LeaseClosed | OverclaimWrittenOff |
    CredentialMoved | SlipIssued | SlipReturned | PassingReturned | LotExpired | ReceivablePaid | OpenSettled |
    CashMoved
    | HouseCharged | HousePaid | VenuesCleared | CellSent | CellTaken
)  # fmt: skip
Entry = HubEntry | OfficeEntry

VERSIONS: Final[dict[type[Record], int]] = dict.fromkeys(get_args(Entry), 1)
KNOWN_TYPES: Final = frozenset(kind.number() for kind in VERSIONS)
APPENDED: Final[dict[type[Record], int]] = {EpochOpened: 1}
"""How many fields at an entry's end the release before does not know: left out while they hold their defaults."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Entry]] = msgspec.msgpack.Decoder(Entry)
_ANY: Final = msgspec.msgpack.Decoder()


def encode_entry(entry: Entry) -> bytes:
    """Return the canonical record of an entry: what the release before can say too, it can read (APPENDED)."""
    appended = APPENDED.get(type(entry))
    if appended is None:
        return _ENCODER.encode(entry)
    fields = [entry.number(), *msgspec.structs.astuple(entry)]
    for field in reversed(msgspec.structs.fields(entry)[-appended:]):
        if fields[-1] != field.default:
            break
        fields.pop()
    return _ENCODER.encode(fields)


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
    if encode_entry(entry) != record and not _is_older_form(record, entry):
        message = f"entry {type(entry).__name__} is not in canonical form"
        raise MalformedRecordError(message)
    return entry


def _is_older_form(record: bytes, entry: Entry) -> bool:
    """Say whether a record is canonical but for fields at the ends of its arrays that later releases appended."""
    raw = _ANY.decode(record)
    return _ENCODER.encode(raw) == record and _begins(raw, _ANY.decode(encode_entry(entry)))


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
