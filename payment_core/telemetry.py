"""What a hub tells of itself beside its journal: its health, its devices, its own sums of a day. No guest is in it.

A record is one canonical MessagePack array `[type, version, at_ms, …body]`, by the rules of the journal's records:
fields are appended with a default, a released (type, version) never changes meaning. Types are numbered apart from the
journal's. The oldest may be dropped, and then TelemetryDropped counts them: nothing here is money or decides about it.
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from payment_core.errors import DECODE_FAULTS, MalformedRecordError, UnknownEntryError
from payment_core.money import MAX_MINOR, Whole
from payment_core.records import TimeQuality

MOST_ROWS: Final = 1_024
"""Rows of one HubDay; how many more there were is said."""
MAX_FACT_BYTES: Final = 128 * 1024
"""The most a record may have: two of them fit into a batch."""
Word = Annotated[str, msgspec.Meta(max_length=64)]
Sum = Annotated[int, msgspec.Meta(ge=-MAX_MINOR, le=MAX_MINOR)]


class _Fact(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of every record. `at_ms`: UTC ms by the hub's clock."""

    version: int
    at_ms: Whole

    @classmethod
    def number(cls) -> int:
        """Return the type's number, with which every record of it begins."""
        tag = cls.__struct_config__.tag
        assert isinstance(tag, int)
        return tag


class TelemetryDropped(_Fact, tag=1, frozen=True, array_like=True):
    """`count` records made from `from_ms` to `to_ms` were dropped, unsealed, for want of room."""

    count: Whole
    from_ms: Whole
    to_ms: Whole


class HubHealth(_Fact, tag=2, frozen=True, array_like=True):
    """How the hub is. `outbox_*`: journal records without a receipt; bytes free on the disk, of the ledger, its WAL."""

    outbox_entries: Whole
    outbox_age_ms: Whole
    disk_free: Whole
    ledger_bytes: Whole
    wal_bytes: Whole
    clock: TimeQuality
    telemetry_waiting: Whole = 0
    carried_bytes: Whole = 0


class DeviceWas(_Fact, tag=3, frozen=True, array_like=True):
    """A device changed its state at `since_ms`: `online`, `offline`, `fault`, … as the device bus says it."""

    device: Word
    state: Word
    since_ms: Whole


class DaySum(msgspec.Struct, frozen=True, array_like=True, order=True):
    """`amount` minor units of `unit`, debit positive, that `count` entries moved on accounts of `kind`.

    type: number of the entry type; tender: payment_core.records.Tender; kind: payment_core.accounts.Kind.
    """

    type: Whole
    tender: Whole
    kind: Word
    unit: Word
    amount: Sum
    count: Whole


class HubDay(_Fact, tag=4, frozen=True, array_like=True):
    """The hub's own sums of the entries of a business date, out of its own journal: what it posts by itself.

    Counted are the entries of `epoch` behind `after_seq` (what came before is pruned) up to `through_seq` whose header
    says `business_date` (yyyymmdd). A later one replaces an earlier one. `rows`: in order, one per (type, tender, kind,
    unit); `more`: rows that found no room.
    """

    business_date: Whole
    epoch: Whole
    after_seq: Whole
    through_seq: Whole
    rows: Annotated[tuple[DaySum, ...], msgspec.Meta(max_length=MOST_ROWS)]
    more: Whole = 0


Fact = TelemetryDropped | HubHealth | DeviceWas | HubDay
VERSIONS: Final[dict[type[Fact], int]] = dict.fromkeys((TelemetryDropped, HubHealth, DeviceWas, HubDay), 1)
KNOWN_TYPES: Final = frozenset(kind.number() for kind in VERSIONS)

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Fact]] = msgspec.msgpack.Decoder(Fact)
_ANY: Final = msgspec.msgpack.Decoder()


def encode_fact(fact: Fact) -> bytes:
    """Return the canonical record."""
    return _ENCODER.encode(fact)


def decode_fact(record: bytes) -> Fact:
    """Return what a record says.

    UnknownEntryError: of a type or version this release does not know: counted, passed over. MalformedRecordError:
    not a record, too long, or not in canonical form.
    """
    if len(record) > MAX_FACT_BYTES:
        message = f"a record of {len(record)} bytes; at most {MAX_FACT_BYTES} are one"
        raise MalformedRecordError(message)
    try:
        fact = _DECODER.decode(record)
    except DECODE_FAULTS as error:
        raise _fault_of(record, error) from error
    if fact.version != VERSIONS[type(fact)]:
        message = f"{type(fact).__name__} version {fact.version} is not known"
        raise UnknownEntryError(message)
    if _ENCODER.encode(fact) != record and not _is_older_form(record, fact):
        message = f"{type(fact).__name__} is not in canonical form"
        raise MalformedRecordError(message)
    return fact


def known_facts(records: Iterable[bytes]) -> tuple[list[Fact], int]:
    """Return what this release understands of records, and how many it passed over. Never raises on bytes."""
    facts: list[Fact] = []
    passed = 0
    for record in records:
        try:
            facts.append(decode_fact(record))
        except (UnknownEntryError, MalformedRecordError):
            passed += 1
    return facts, passed


def _is_older_form(record: bytes, fact: Fact) -> bool:
    raw = _ANY.decode(record)
    return _ENCODER.encode(raw) == record and _begins(raw, _ANY.decode(_ENCODER.encode(fact)))


def _begins(short: object, whole: object) -> bool:
    if isinstance(short, list) and isinstance(whole, list):
        return len(short) <= len(whole) and all(map(_begins, short, whole))
    return type(short) is type(whole) and short == whole


def _fault_of(record: bytes, error: Exception) -> UnknownEntryError | MalformedRecordError:
    try:
        raw = _ANY.decode(record)
    except DECODE_FAULTS:
        raw = None
    if isinstance(raw, list) and len(raw) > 1 and isinstance(raw[0], int) and raw[0] not in KNOWN_TYPES:
        return UnknownEntryError(f"telemetry of type {raw[0]} is not known")
    return MalformedRecordError(f"not a record of telemetry: {error}")
