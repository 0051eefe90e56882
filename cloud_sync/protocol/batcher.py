"""A batch's body: records behind their lengths, and the hash chain that ties them to the batch before."""

import struct
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from cloud_sync.protocol.envelope import MAX_RECORDS, MAX_SEALED_BYTES, SEAL_OVERHEAD_BYTES, Header
from payment_core.errors import MalformedRecordError, UnknownEntryError
from payment_core.journal import EpochOpened, HubEntry, OfficeEntry, chain_hash, decode_entry

LENGTH_BYTES: Final = 4
BODY_BYTES: Final = MAX_SEALED_BYTES - max(SEAL_OVERHEAD_BYTES.values())
"""The most a body may have, whatever suite seals it."""
MAX_RECORD_BYTES: Final = BODY_BYTES - LENGTH_BYTES
"""The most a record may have: what is longer could never leave its hub."""

RefuseReason = Literal["framing", "count", "first_record", "chain"]


class Refused(msgspec.Struct, frozen=True):
    """A body that opened but does not hold the records its header promises."""

    reason: RefuseReason


def build_body(records: Sequence[bytes]) -> bytes:
    """Return the records, each behind its length as u32 big-endian."""
    return b"".join(struct.pack(">I", len(record)) + record for record in records)


def chain_tail(previous_tail: bytes, records: Sequence[bytes]) -> bytes:
    """Return the chain hash after the last of `records`."""
    tail = previous_tail
    for record in records:
        tail = chain_hash(tail, record)
    return tail


def how_many_fit(records: Sequence[bytes], *, most: int = MAX_RECORDS) -> int:
    """Return how many of the first records make one batch; 0 only for a record that alone is too big."""
    used = 0
    for index, record in enumerate(records[:most]):
        used += LENGTH_BYTES + len(record)
        if used > BODY_BYTES:
            return index
    return min(len(records), most)


def verify_records(
    body: bytes, header: Header, *, previous_tail: bytes, first_record: int
) -> tuple[bytes, ...] | Refused:
    """Return the records of `body`, or why it is not what `header` says. Never raises on bytes.

    `previous_tail`: chain hash after the record before `first_record`; 32 zero bytes at the start of an epoch.
    """
    if header.first_record != first_record:
        return Refused("first_record")
    records = _split(body, most=header.record_count)
    if records is None:
        return Refused("framing")
    if len(records) != header.record_count:
        return Refused("count")
    if chain_tail(previous_tail, records) != header.journal_tail_hash:
        return Refused("chain")
    return tuple(records)


def _split(body: bytes, *, most: int) -> list[bytes] | None:
    records: list[bytes] = []
    at = 0
    while at < len(body):
        if len(records) == most or at + LENGTH_BYTES > len(body):
            return None
        end = at + LENGTH_BYTES + int.from_bytes(body[at : at + LENGTH_BYTES], "big")
        if end == at + LENGTH_BYTES or end > len(body):
            return None
        records.append(body[at + LENGTH_BYTES : end])
        at = end
    return records


def read_entries(records: Sequence[bytes], *, first_record: int, epoch: int) -> tuple[HubEntry, ...] | str:
    """Return the entries of proven records, or why this release cannot book them."""
    entries: list[HubEntry] = []
    for seq, record in enumerate(records, start=first_record):
        try:
            entry = decode_entry(record)
        except (UnknownEntryError, MalformedRecordError) as error:
            return f"record {seq}: {error}"
        if isinstance(entry, OfficeEntry):
            return f"record {seq}: {type(entry).__name__} is the office's to write, not a hub's"
        if entry.header.seq != seq:
            return f"record {seq}: says it is {entry.header.seq}"
        if isinstance(entry, EpochOpened) != (seq == 1) or (isinstance(entry, EpochOpened) and entry.epoch != epoch):
            return f"record {seq}: an epoch begins with its EpochOpened, and has one"
        entries.append(entry)
    return tuple(entries)
