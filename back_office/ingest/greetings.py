"""What a hello tells of its hub: whether it knows more than these books, and whether it holds nothing back."""

from back_office.fleet.restored import heard_whole
from back_office.ingest.set_free import told_whole
from back_office.ingest.verdicts import alarm, fitting
from back_office.ledger.caps import RISK
from back_office.ledger.desk import Desk, venue_of
from back_office.ledger.slips_back import CLOCK_MARGIN_MS
from back_office.store import chains, places, set_back
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from back_office.store.places import Greeting
from cloud_sync.protocol.envelope import STREAM_LEDGER
from cloud_sync.protocol.messages import Hello
from cloud_sync.protocol.receipts import AHEAD_MS, Watermark


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


def said_ms(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello, *, number: int, now_ms: int) -> int:
    """Return when a hello was said at the earliest, by its own number: it may have waited at the broker. UTC ms, or 0.

    A number ahead of the office's clock is a wrong clock's. One that is ahead by no more than a clock may be wrong was
    made at most so long before. One further ahead tells no moment: all that is known then is that it was said behind
    the receipt it names; 0 where it names none.
    """
    if number <= now_ms + AHEAD_MS:
        return min(fitting(number), now_ms)
    if number <= now_ms + CLOCK_MARGIN_MS:
        return max(number - CLOCK_MARGIN_MS, 0)
    of = Chain(hub_id=hub_id, stream=STREAM_LEDGER, epoch=fitting(hello.epoch))
    return min(chains.booked_ms(tx, tenant_id, of, fitting(hello.acked_seq)), now_ms)


def greeting_of(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello, *, number: int, moment_ms: int, now_ms: int
) -> Greeting:
    """Return what is kept of a hello that was said at `moment_ms`, 0 where nobody knows.

    How far its journal went is told by its newest word: an older one that was on its way for long changes nothing, and
    one of a moment that nobody knows was said behind the one before it, if its number is higher. A moment that is not
    yet is of the office's own clock, when that was wrong.
    """
    hub = places.hub(tx, tenant_id, hub_id)
    assert hub is not None, "the receiver hears enrolled hubs only"
    risk_version = fitting(next((had.version for had in hello.versions if had.name == RISK), 0))
    before_ms = hub.told_ms if hub.told_ms is not None and hub.told_ms <= now_ms else 0
    told = (fitting(hello.epoch), journal_end(tx, tenant_id, hub_id, hello), max(moment_ms, before_ms) or None)
    if number <= hub.hello_number and moment_ms < before_ms:
        told = (hub.told_epoch, hub.told_through, hub.told_ms)
    told_epoch, told_through, told_ms = told
    return Greeting(
        hello_number=max(fitting(number), hub.hello_number),
        nonce=hello.nonce,
        sealed_seq=fitting(hello.last_seq),
        outbox_entries=fitting(hello.outbox_entries),
        outbox_age_ms=fitting(hello.outbox_age_ms),
        risk_version=risk_version,
        risk_from=risk_from(tx, tenant_id, hub_id, hello) if risk_version else 0,
        told_epoch=told_epoch,
        told_through=told_through,
        told_ms=told_ms,
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


def hear_whole(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello, moment_ms: int, now_ms: int) -> None:
    """Find out whether a hub holds nothing back. `moment_ms`: when it said so, 0 where nobody knows."""
    hub = places.hub(tx, tenant_id, hub_id)
    booked = watermark_of(tx, tenant_id, hub_id, hello.epoch)
    if hub is None or hello.outbox_entries or hello.epoch < hub.epoch or hello.last_seq != booked.batch_seq:
        return
    desk = Desk(tx, tenant_id, venue_of(tx, tenant_id, hub.venue_id), now_ms=now_ms)
    told_whole(desk, hub, said_ms=moment_ms)
