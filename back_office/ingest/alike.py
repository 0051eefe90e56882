"""Batches that only play, of any hubs, booked as one: each statement runs once for all of them.

A server's answer takes longer than what it is asked, so what sixty hubs say in a moment is read and written in as many
questions as one batch needs. Their entries move nothing but leases, balances and sums, which one Booking holds in
memory: the books come out as if each batch had been booked by itself. Where anything is found about one of them
nothing of it is kept, and each goes its own way.
"""

from collections.abc import Sequence
from typing import Final

from back_office.ledger.booking import Arrived, Booking, Writer
from back_office.ledger.clones import Blocks, find_clones
from back_office.ledger.dates import days_of
from back_office.ledger.faults import LedgerError
from back_office.ledger.floor import beyond_floor
from back_office.risk.watch import look, uses_of
from back_office.store import chains, places, set_back
from back_office.store.chains import Batch, Chain
from back_office.store.engine import Transaction
from back_office.store.places import Hub, Venue
from cloud_sync.protocol.envelope import STREAM_LEDGER
from cloud_sync.protocol.receipts import Watermark
from cloud_sync.receiver import AcceptedBatch
from payment_core.journal import (
    Captured,
    CoinBooked,
    Commanded,
    Declined,
    EpochOpened,
    Expired,
    Held,
    Increased,
    InDoubt,
    Refunded,
    Voided,
    chain_hash,
)

_PLAYS: Final = frozenset(
    {
        EpochOpened, Held, Increased, Commanded, Captured, Voided, Expired, InDoubt, Refunded, Declined, CoinBooked
    }
)  # fmt: skip
"""None of them names another hub, a document, a card's state or the office."""


class FoundError(LedgerError):
    """Something is found about one of the batches: nothing of them is kept, each is to be judged by itself."""


def only_plays(batch: AcceptedBatch) -> bool:
    """Say whether a batch may be booked together with others."""
    return all(type(entry) in _PLAYS for entry in batch.entries)


def book_alike(tx: Transaction, tenant_id: bytes, batches: Sequence[AcceptedBatch], now_ms: int) -> bool:
    """Book batches that only play; False: one is not next, or of no ordinary hub, and nothing was written.

    FoundError: the caller's transaction must not commit.
    """
    hubs = places.hubs_by_id(tx, tenant_id, {batch.hub_id for batch in batches})
    if not _are_next(tx, tenant_id, batches, hubs):
        return False
    for batch in batches:
        if batch.before.batch_seq == 0:
            chains.add_chain(tx, tenant_id, beginning_of(batch))
    chains.add_batches(tx, tenant_id, [dedupe_of(batch, now_ms) for batch in batches])
    findings = _book(tx, tenant_id, batches, hubs, now_ms)
    after = {batch.hub_id: batch.after for batch in batches}
    chains.move_chains(tx, tenant_id, [chain_at(hub_id, mark) for hub_id, mark in sorted(after.items())])
    places.booked(tx, tenant_id, {hub_id: mark.epoch for hub_id, mark in after.items()}, now_ms=now_ms)
    uses = []
    for batch in batches:
        findings += len(beyond_floor(tx, tenant_id, batch.hub_id, batch.entries))
        findings += len(
            find_clones(tx, tenant_id, batch.hub_id, batch.header.epoch, batch.entries, Blocks(lambda: now_ms))
        )
        uses += uses_of(batch.hub_id, batch.header.epoch, batch.entries, now_ms=now_ms)
    seen = look(tx, tenant_id, uses, now_ms=now_ms)
    if findings or (seen is not None and seen.anything):
        message = "something is found about a batch"
        raise FoundError(message)
    return True


def beginning_of(batch: AcceptedBatch) -> Chain:
    """Return the chain that a hub's first batch of an epoch begins."""
    return Chain(hub_id=batch.hub_id, stream=STREAM_LEDGER, epoch=batch.header.epoch)


def dedupe_of(batch: AcceptedBatch, now_ms: int) -> Batch:
    """Return a batch's dedupe row."""
    header = batch.header
    return Batch(
        hub_id=batch.hub_id,
        stream=STREAM_LEDGER,
        epoch=header.epoch,
        batch_seq=header.batch_seq,
        hash=batch.digest,
        first_rec=header.first_record,
        rec_count=header.record_count,
        received_ms=now_ms,
        sealed=batch.data,
    )


def chain_at(hub_id: bytes, mark: Watermark) -> Chain:
    """Return how far a hub's chain has come with a batch."""
    return Chain(
        hub_id=hub_id,
        stream=STREAM_LEDGER,
        epoch=mark.epoch,
        rec_seq=mark.last_record,
        tail_hash=mark.tail_hash,
        batch_seq=mark.batch_seq,
        batch_hash=mark.batch_hash,
    )


def writer_of(hub: Hub, epoch: int, venue: Venue) -> Writer:
    """Return whose journal a hub's batch is of."""
    return Writer(
        hub_id=hub.hub_id, venue_id=hub.venue_id, stream=STREAM_LEDGER, epoch=epoch,
        closed=hub.closed_ms is not None, days=days_of(hub, venue),
    )  # fmt: skip


def take_entries(booking: Booking, batch: AcceptedBatch) -> None:
    """Add a batch's entries to a booking, each with the chain's hash after it."""
    tail = batch.before.tail_hash
    for entry, record in zip(batch.entries, batch.records, strict=True):
        tail = chain_hash(tail, record)
        booking.add(Arrived(entry, record, tail))


# ---- inside ----


def _are_next(tx: Transaction, tenant_id: bytes, batches: Sequence[AcceptedBatch], hubs: dict[bytes, Hub]) -> bool:
    """Say whether each batch goes on where the books, and the batches before it, end; and nothing bars its hub."""
    if set_back.unheard(tx, tenant_id):
        return False
    marks = {
        (chain.hub_id, chain.epoch): Watermark(
            epoch=chain.epoch, batch_seq=chain.batch_seq, batch_hash=chain.batch_hash, last_record=chain.rec_seq,
            tail_hash=chain.tail_hash,
        )
        for chain in chains.chains_of(tx, tenant_id, hubs)
        if chain.stream == STREAM_LEDGER
    }  # fmt: skip
    epochs = {hub_id: hub.epoch for hub_id, hub in hubs.items()}
    for batch in batches:
        hub, epoch = hubs[batch.hub_id], batch.header.epoch
        at = marks.get((batch.hub_id, epoch), Watermark(epoch=epoch))
        if batch.before != at or epoch < epochs[batch.hub_id] or hub.frozen or hub.closed_ms is not None:
            return False
        marks[batch.hub_id, epoch], epochs[batch.hub_id] = batch.after, epoch
    return True


def _book(
    tx: Transaction, tenant_id: bytes, batches: Sequence[AcceptedBatch], hubs: dict[bytes, Hub], now_ms: int
) -> int:
    """Book all entries; return how many findings there are."""
    venues = {venue.venue_id: venue for venue in places.venues(tx, tenant_id)}
    of = [(hubs[batch.hub_id], batch.header.epoch) for batch in batches]
    writers = [writer_of(hub, epoch, venues[hub.venue_id]) for hub, epoch in of]
    booking = Booking(tx, tenant_id, writers[0], now_ms=now_ms)
    for batch, writer in zip(batches, writers, strict=True):
        booking.turn_to(writer)
        take_entries(booking, batch)
    booking.finish()
    return len(booking.findings)
