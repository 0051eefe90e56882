"""What a hello tells of its hub: whether it knows more than these books, and whether it holds nothing back."""

from back_office.fleet.restored import heard_whole
from back_office.ingest.set_free import told_whole
from back_office.ingest.verdicts import alarm, fitting
from back_office.ledger.desk import Desk, venue_of
from back_office.store import chains, places, set_back
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from cloud_sync.protocol.envelope import STREAM_LEDGER
from cloud_sync.protocol.messages import Hello
from cloud_sync.protocol.receipts import Watermark


def watermark_of(tx: Transaction, tenant_id: bytes, hub_id: bytes, epoch: int) -> Watermark:
    """Return how far an epoch of a hub is booked."""
    chain = chains.chain(tx, tenant_id, hub_id, stream=STREAM_LEDGER, epoch=epoch)
    if chain is None:
        return Watermark(epoch=epoch)
    return Watermark(
        epoch=epoch,
        batch_seq=chain.batch_seq,
        batch_hash=chain.batch_hash,
        last_record=chain.rec_seq,
        tail_hash=chain.tail_hash,
    )


def compare(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello, now_ms: int) -> None:
    """Find out whether a hub has receipts that these books have forgotten, or was heard whole again since."""
    booked = watermark_of(tx, tenant_id, hub_id, hello.epoch).batch_seq
    learning = set_back.unheard(tx, tenant_id)
    declared = learning.get(hub_id)
    if hello.acked_seq > booked:
        if declared is None and any(learning.values()):  # the backup is from before its first hello
            set_back.note(tx, tenant_id, hub_id, declared=True, now_ms=now_ms)
        elif declared is None:
            set_back.note(tx, tenant_id, hub_id, declared=False, now_ms=now_ms)
            text = f"it has receipts through batch {hello.acked_seq}, these books end at {booked}: a backup?"
            text += " Nothing of it is booked before `venuehub office restored`"
            alarm(tx, tenant_id, hub_id, "set_back", text, now_ms=now_ms)
    elif declared is False or (declared and not hello.outbox_entries and hello.last_seq == booked):
        heard_whole(tx, tenant_id, hub_id, now_ms=now_ms)


def risk_from(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello) -> int:
    """Return the first entry that a hub whose hello names a risk document surely wrote behind one.

    All it had when it said so first may be older: what is booked, and at most its outbox beyond that.
    """
    hub = places.hub(tx, tenant_id, hub_id)
    if hub is not None and hub.risk_from and hello.epoch <= max(hub.epoch, 1):
        return hub.risk_from
    return fitting(watermark_of(tx, tenant_id, hub_id, hello.epoch).last_record + hello.outbox_entries + 1)


def journal_end(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello) -> int:
    """Return the last entry that a hub had in its epoch when it said hello.

    Its outbox counts from the batch it has a receipt for, and the office may have booked more by then. Of one that has
    receipts these books have forgotten it is too low: its hello's newest batch says then that something is missing.
    """
    at = watermark_of(tx, tenant_id, hub_id, hello.epoch)
    begins = at.last_record
    if hello.acked_seq < at.batch_seq:
        of = Chain(hub_id=hub_id, stream=STREAM_LEDGER, epoch=hello.epoch)
        begins = chains.last_of_batch(tx, tenant_id, of, hello.acked_seq)
    return fitting(begins + hello.outbox_entries)


def hear_whole(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello, said_ms: int, now_ms: int) -> None:
    """Find out whether a hub holds nothing back. `said_ms`: when, by its clock: a hello may wait at the broker."""
    hub = places.hub(tx, tenant_id, hub_id)
    booked = watermark_of(tx, tenant_id, hub_id, hello.epoch)
    if hub is None or hello.outbox_entries or hello.epoch < hub.epoch or hello.last_seq != booked.batch_seq:
        return
    desk = Desk(tx, tenant_id, venue_of(tx, tenant_id, hub.venue_id), now_ms=now_ms)
    told_whole(desk, hub, said_ms=said_ms)
