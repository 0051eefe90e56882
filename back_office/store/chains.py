"""Journals as they arrived: where each chain stands, its batches, its entries, and the evidence of what did not fit."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import BATCHES, CHAINS, ENTRIES, EVIDENCE
from back_office.store.transaction import insert_into

NOTHING: bytes = bytes(32)
"""The tail before the first record, and the batch hash before the first batch."""
_PAGE_ROWS = 2_000


def _place(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions for one chain, with named places for its key."""
    return (
        table.c.tenant_id == sa.bindparam("tenant"),
        table.c.hub_id == sa.bindparam("hub"),
        table.c.stream == sa.bindparam("of_stream"),
        table.c.epoch == sa.bindparam("of_epoch"),
    )


def _at(tenant_id: bytes, hub_id: bytes, stream: int, epoch: int) -> dict[str, object]:
    """Return what fills the places of `_place`."""
    return {"tenant": tenant_id, "hub": hub_id, "of_stream": stream, "of_epoch": epoch}


# Statements are built once: building one takes four times as long as running it.
_MOVE_CHAIN = sa.update(CHAINS).where(*_place(CHAINS))
_BATCH_HASH = sa.select(BATCHES.c.hash).where(*_place(BATCHES), BATCHES.c.batch_seq == sa.bindparam("seq"))
_NEWEST_BATCH = sa.select(BATCHES.c.sealed).where(*_place(BATCHES)).order_by(BATCHES.c.batch_seq.desc()).limit(1)
_LAST_OF = sa.select(BATCHES.c.first_rec + BATCHES.c.rec_count - 1).where(
    *_place(BATCHES), BATCHES.c.batch_seq == sa.bindparam("seq")
)
_BOOKED_MS = sa.select(BATCHES.c.received_ms).where(*_place(BATCHES), BATCHES.c.batch_seq == sa.bindparam("seq"))
_ADD_BATCH = insert_into(BATCHES)
_RECORDS = by_index(
    sa.select(ENTRIES.c.hub_id, ENTRIES.c.stream, ENTRIES.c.epoch, ENTRIES.c.record)
    .where(
        ENTRIES.c.tenant_id == sa.bindparam("tenant"), ENTRIES.c.hub_id.in_(sa.bindparam("hubs", expanding=True)),
        ENTRIES.c.authorization_id.in_(sa.bindparam("ids", expanding=True)),
    )
    .order_by(ENTRIES.c.seq),
    ENTRIES, "entries_of_an_authorization",
)  # fmt: skip


class Chain(msgspec.Struct, frozen=True):
    """How far one (writer, stream, epoch) has come: the contiguous watermark of its records and of its batches."""

    hub_id: bytes
    stream: int
    epoch: int
    rec_seq: int = 0
    tail_hash: bytes = NOTHING
    batch_seq: int = 0
    batch_hash: bytes = NOTHING


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One applied batch, with its sealed bytes as evidence."""

    hub_id: bytes
    stream: int
    epoch: int
    batch_seq: int
    hash: bytes
    first_rec: int
    rec_count: int
    received_ms: int
    sealed: bytes


class EntryRow(msgspec.Struct, frozen=True):
    """One entry: its identity, its record, and what the pages search by. posted: the seal of its postings, 8 bytes;
    empty: a release before the seal booked it.
    """  # noqa: D205 - one sentence

    hub_id: bytes
    stream: int
    epoch: int
    seq: int
    type: int
    version: int
    record: bytes
    hash: bytes
    business_date: int
    wall_ms: int
    authorization_id: bytes | None
    machine: str | None
    received_ms: int
    posted: bytes = b""


_ENTRY_COLUMNS = ("tenant_id", *EntryRow.__struct_fields__)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that was kept and not applied. kind: `fork` or `parked`."""

    hub_id: bytes
    hash: bytes
    kind: str
    why: str
    epoch: int
    batch_seq: int
    received_ms: int
    sealed: bytes


_CHAIN = sa.select(*(CHAINS.c[name] for name in Chain.__struct_fields__)).where(*_place(CHAINS))
_ENTRY_ROWS = sa.select(*(ENTRIES.c[name] for name in EntryRow.__struct_fields__)).where(*_place(ENTRIES))
_ENTRY = _ENTRY_ROWS.where(ENTRIES.c.seq == sa.bindparam("at"))
_ENTRIES_AFTER = (
    _ENTRY_ROWS.where(ENTRIES.c.seq > sa.bindparam("after")).order_by(ENTRIES.c.seq).limit(sa.bindparam("most"))
)


def chain(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, stream: int, epoch: int) -> Chain | None:
    """Return where a chain stands; None: nothing came yet."""
    row = tx.execute(_CHAIN, _at(tenant_id, hub_id, stream, epoch)).first()
    return None if row is None else Chain(*row)


_OF_TENANT = (
    sa.select(*(CHAINS.c[name] for name in Chain.__struct_fields__))
    .where(CHAINS.c.tenant_id == sa.bindparam("tenant"))
    .order_by(CHAINS.c.hub_id, CHAINS.c.stream, CHAINS.c.epoch)
)


_OF_HUBS = _OF_TENANT.where(CHAINS.c.hub_id.in_(sa.bindparam("hubs", expanding=True)))


def chains_of(tx: Transaction, tenant_id: bytes, hub_ids: Iterable[bytes]) -> list[Chain]:
    """Return every chain of some hubs."""
    return [
        Chain(*row)
        for hubs in chunks(sorted(hub_ids))
        for row in tx.execute(_OF_HUBS, {"tenant": tenant_id, "hubs": hubs})
    ]


def chains(tx: Transaction, tenant_id: bytes) -> list[Chain]:
    """Return every chain of a tenant, the office's own too."""
    return [Chain(*row) for row in tx.execute(_OF_TENANT, {"tenant": tenant_id})]


def add_chain(tx: Transaction, tenant_id: bytes, start: Chain) -> None:
    """Begin a chain."""
    tx.execute(insert_into(CHAINS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(start)}])


def move_chain(tx: Transaction, tenant_id: bytes, to: Chain) -> None:
    """Write down how far a chain has come."""
    move_chains(tx, tenant_id, [to])


def move_chains(tx: Transaction, tenant_id: bytes, to: Iterable[Chain]) -> None:
    """Write down how far each chain has come."""
    rows = [
        {
            **_at(tenant_id, one.hub_id, one.stream, one.epoch), "rec_seq": one.rec_seq, "tail_hash": one.tail_hash,
            "batch_seq": one.batch_seq, "batch_hash": one.batch_hash,
        }
        for one in to
    ]  # fmt: skip
    tx.execute(_MOVE_CHAIN, rows)


def add_batch(tx: Transaction, tenant_id: bytes, batch: Batch) -> None:
    """Write the dedupe row; the primary key refuses a second batch of the same place."""
    add_batches(tx, tenant_id, [batch])


def add_batches(tx: Transaction, tenant_id: bytes, batches: Iterable[Batch]) -> None:
    """Write dedupe rows; the primary key refuses a second batch of the same place."""
    tx.execute(_ADD_BATCH, [{"tenant_id": tenant_id, **msgspec.structs.asdict(batch)} for batch in batches])


def batch_hash(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, stream: int, epoch: int, batch_seq: int
) -> bytes | None:
    """Return the hash of an applied batch; None: not applied."""
    found: bytes | None = tx.execute(_BATCH_HASH, {**_at(tenant_id, hub_id, stream, epoch), "seq": batch_seq}).scalar()
    return found


def last_of_batch(tx: Transaction, tenant_id: bytes, of: Chain, batch_seq: int) -> int:
    """Return the last record of an applied batch of a chain; 0: it was not applied."""
    asked = {**_at(tenant_id, of.hub_id, of.stream, of.epoch), "seq": batch_seq}
    return int(tx.execute(_LAST_OF, asked).scalar() or 0)


def booked_ms(tx: Transaction, tenant_id: bytes, of: Chain, batch_seq: int) -> int:
    """Return when a batch of a chain was applied, UTC ms; 0: it was not."""
    asked = {**_at(tenant_id, of.hub_id, of.stream, of.epoch), "seq": batch_seq}
    return int(tx.execute(_BOOKED_MS, asked).scalar() or 0)


def newest_batch(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, stream: int, epoch: int) -> bytes | None:
    """Return the sealed bytes of the batch that was applied last; None: none was."""
    found: bytes | None = tx.execute(_NEWEST_BATCH, _at(tenant_id, hub_id, stream, epoch)).scalar()
    return found


_KEPT = sa.select(*(EVIDENCE.c[name] for name in Evidence.__struct_fields__)).where(
    EVIDENCE.c.tenant_id == sa.bindparam("tenant"), EVIDENCE.c.hub_id == sa.bindparam("hub"),
    EVIDENCE.c.hash == sa.bindparam("of_hash"),
)  # fmt: skip
_IS_KEPT = _KEPT.with_only_columns(EVIDENCE.c.hash)


def keep_evidence(tx: Transaction, tenant_id: bytes, evidence: Evidence) -> bool:
    """Keep a batch that was not applied; False: the same bytes are kept already."""
    if is_kept(tx, tenant_id, evidence.hub_id, evidence.hash):
        return False
    tx.execute(insert_into(EVIDENCE), [{"tenant_id": tenant_id, **msgspec.structs.asdict(evidence)}])
    return True


def is_kept(tx: Transaction, tenant_id: bytes, hub_id: bytes, digest: bytes) -> bool:
    """Say whether a batch is kept as evidence, by its hash."""
    return tx.execute(_IS_KEPT, {"tenant": tenant_id, "hub": hub_id, "of_hash": digest}).first() is not None


_APPLIED_SINCE = sa.exists().where(
    BATCHES.c.tenant_id == EVIDENCE.c.tenant_id, BATCHES.c.hub_id == EVIDENCE.c.hub_id,
    BATCHES.c.stream == sa.bindparam("of_stream"), BATCHES.c.epoch == EVIDENCE.c.epoch,
    BATCHES.c.batch_seq == EVIDENCE.c.batch_seq, BATCHES.c.hash == EVIDENCE.c.hash,
)  # fmt: skip
_NOT_APPLIED = sa.select(sa.func.count()).where(
    EVIDENCE.c.tenant_id == sa.bindparam("tenant"), EVIDENCE.c.hub_id == sa.bindparam("hub"),
    EVIDENCE.c.kind == sa.bindparam("of_kind"), ~_APPLIED_SINCE,
)  # fmt: skip


def unbooked(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, stream: int, kind: str) -> int:
    """Return how many batches of a hub are kept for this kind of reason and were not applied since."""
    asked = {"tenant": tenant_id, "hub": hub_id, "of_stream": stream, "of_kind": kind}
    return int(tx.execute(_NOT_APPLIED, asked).scalar() or 0)


def evidence(tx: Transaction, tenant_id: bytes) -> Iterator[Evidence]:
    """Yield everything that was kept and not applied, oldest first; one batch at a time is in memory."""
    query = sa.select(EVIDENCE.c.hub_id, EVIDENCE.c.hash).where(EVIDENCE.c.tenant_id == tenant_id)
    for hub_id, digest in tx.execute(query.order_by(EVIDENCE.c.received_ms)):
        if (kept := kept_batch(tx, tenant_id, hub_id, digest)) is not None:
            yield kept


def kept_batch(tx: Transaction, tenant_id: bytes, hub_id: bytes, digest: bytes) -> Evidence | None:
    """Return what was kept of a hub under a hash."""
    row = tx.execute(_KEPT, {"tenant": tenant_id, "hub": hub_id, "of_hash": digest}).first()
    return None if row is None else Evidence(**dict(zip(Evidence.__struct_fields__, row, strict=True)))


def records_since(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, types: Sequence[int], since_ms: int
) -> list[bytes]:
    """Return the records of some types that came in from a hub since a moment, in order."""
    query = sa.select(ENTRIES.c.record).where(
        ENTRIES.c.tenant_id == tenant_id, ENTRIES.c.hub_id == hub_id, ENTRIES.c.type.in_(types),
        ENTRIES.c.received_ms >= since_ms,
    )  # fmt: skip
    return [record for (record,) in tx.execute(query.order_by(ENTRIES.c.epoch, ENTRIES.c.seq))]


_PARKED = (
    sa.select(EVIDENCE.c.hash)
    .where(
        EVIDENCE.c.tenant_id == sa.bindparam("tenant"), EVIDENCE.c.hub_id == sa.bindparam("hub"),
        EVIDENCE.c.kind == "parked", ~_APPLIED_SINCE,
    )
    .order_by(EVIDENCE.c.epoch, EVIDENCE.c.batch_seq)
)  # fmt: skip


def parked(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, stream: int) -> list[bytes]:
    """Return the hashes of a hub's batches that are kept and were not booked since, in the batches' order."""
    return list(tx.execute(_PARKED, {"tenant": tenant_id, "hub": hub_id, "of_stream": stream}).scalars())


def add_entries(tx: Transaction, tenant_id: bytes, rows: Sequence[EntryRow]) -> None:
    """Append entries."""
    if rows:
        tx.add_rows(ENTRIES, _ENTRY_COLUMNS, [(tenant_id, *msgspec.structs.astuple(row)) for row in rows])


def entries_of(tx: Transaction, tenant_id: bytes, of: Chain) -> Iterator[EntryRow]:
    """Yield a chain's entries in order, a page at a time."""
    asked, after = {**_at(tenant_id, of.hub_id, of.stream, of.epoch), "most": _PAGE_ROWS}, -1
    while True:
        page = [EntryRow(*row) for row in tx.execute(_ENTRIES_AFTER, {**asked, "after": after})]
        yield from page
        if len(page) < _PAGE_ROWS:
            return
        after = page[-1].seq


def records_of_authorizations(
    tx: Transaction, tenant_id: bytes, hub_ids: Iterable[bytes], authorization_ids: Iterable[bytes]
) -> Iterator[tuple[tuple[bytes, int, int], bytes]]:
    """Yield the records of some authorizations in some hubs' chains (hub, stream, epoch), in each chain's order."""
    hubs = list(hub_ids)
    for ids in chunks(authorization_ids):
        for *of, record in tx.execute(_RECORDS, {"tenant": tenant_id, "hubs": hubs, "ids": ids}):
            hub_id, stream, epoch = of
            yield (hub_id, stream, epoch), record


def entry(tx: Transaction, tenant_id: bytes, of: Chain, seq: int) -> EntryRow | None:
    """Return one entry of a chain."""
    row = tx.execute(_ENTRY, {**_at(tenant_id, of.hub_id, of.stream, of.epoch), "at": seq}).first()
    return None if row is None else EntryRow(*row)


_RECORDS_AT = sa.select(ENTRIES.c.seq, ENTRIES.c.record).where(
    *_place(ENTRIES), ENTRIES.c.seq.in_(sa.bindparam("seqs", expanding=True))
)


def records_at(tx: Transaction, tenant_id: bytes, of: Chain, seqs: Iterable[int]) -> dict[int, bytes]:
    """Return some entries of a chain by their numbers; those that are not there are left out."""
    at = _at(tenant_id, of.hub_id, of.stream, of.epoch)
    return {seq: record for page in chunks(seqs) for seq, record in tx.execute(_RECORDS_AT, {**at, "seqs": page})}


_NEWEST_MS = sa.select(sa.func.max(ENTRIES.c.received_ms)).where(ENTRIES.c.tenant_id == sa.bindparam("tenant"))


def newest_ms(tx: Transaction, tenant_id: bytes) -> int:
    """Return when the entries that came last came, 0 before the first; one look at an index."""
    return int(tx.execute(_NEWEST_MS, {"tenant": tenant_id}).scalar() or 0)


def recent_entries(tx: Transaction, tenant_id: bytes, *, limit: int) -> list[EntryRow]:
    """Return the entries that came last, newest first."""
    columns = [ENTRIES.c[name] for name in EntryRow.__struct_fields__]
    query = sa.select(*columns).where(ENTRIES.c.tenant_id == tenant_id)
    query = query.order_by(ENTRIES.c.received_ms.desc(), ENTRIES.c.seq.desc()).limit(limit)
    return [EntryRow(**row) for row in tx.execute(query).mappings()]
