"""What cloud_sync's receiver asks of the books, answered by the store: one transaction per question."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from back_office.fleet.restored import heard_whole, relearn
from back_office.fleet.trust import keep_trust
from back_office.ingest.set_free import late_beyond, settle_passed, told_whole
from back_office.ingest.vouchers import reader
from back_office.ledger.booking import MAX_WHOLE, Arrived, Booking, Writer
from back_office.ledger.caps import RISK
from back_office.ledger.clones import find_clones
from back_office.ledger.desk import Desk, venue_of
from back_office.ledger.faults import LedgerError
from back_office.ledger.findings import Finding
from back_office.ledger.floor import beyond_floor
from back_office.ledger.list_changes import change_list
from back_office.ledger.taker_bound import beyond_taker
from back_office.members.consents import keep_consents
from back_office.risk.watch import watch
from back_office.store import chains, lots, papers, places, set_back
from back_office.store.chains import Batch, Chain, Evidence
from back_office.store.engine import Store, Transaction
from back_office.store.faults import StoreRefusedError
from back_office.store.papers import Alarm
from back_office.store.places import Greeting, Hub
from cloud_sync.protocol.envelope import STREAM_LEDGER, Envelope, batch_hash, parse_envelope
from cloud_sync.protocol.messages import HeardOf, Hello
from cloud_sync.protocol.receipts import OWN_JOURNAL, Watermark
from cloud_sync.receiver import AcceptedBatch, HubRecord, Outcome
from payment_core.journal import chain_hash

FREEZING: Final = frozenset({"overclaim", "impossible"})
"""Findings that freeze a hub; others only alarm."""
FORGOTTEN: Final = frozenset({"overclaim", "foreign_grant"})
"""Findings that freeze nobody while books restored from a backup learn again what they granted."""
PARKED_AT_MOST: Final = 256
"""Batches of one hub that are kept without being booked; a hub keeps its own until a receipt covers them."""


def _fitting(number: int) -> int:
    """Return what a column can hold of a number that a hub chose."""
    return min(max(number, 0), MAX_WHOLE)


def _is_heard(hub: Hub) -> bool:
    return bool(hub.epoch) and not hub.frozen and hub.closed_ms is None


class HubBooks:
    """The receiver's `Office`. `clock` returns UTC ms; `on_hello` hears each hello that is newer than the last."""

    def __init__(
        self, store: Store, tenant_id: bytes, clock: Callable[[], int], *, on_hello: Callable[[bytes, Hello], None]
    ) -> None:
        """Take the store; nothing is read before the first question."""
        self._store = store
        self._tenant_id = tenant_id
        self._clock = clock
        self._on_hello = on_hello

    def hub(self, hub_id: bytes) -> HubRecord | None:
        """Return what is pinned and noted about a hub, or None where it is not enrolled.

        A freeze ends where a person has closed the hub: what it says since is late, and guests' money may be in it.
        """
        with self._store.reading() as tx:
            hub = places.hub(tx, self._tenant_id, hub_id)
        if hub is None:
            return None
        return HubRecord(
            hub_id=hub.hub_id,
            sign_public=hub.sign_key,
            receive_public=hub.seal_key,
            allowed_epoch=hub.allowed_epoch,
            frozen="" if hub.closed_ms is not None and hub.frozen not in OWN_JOURNAL else hub.frozen,
            reopened=hub.reopened,
            hello_number=hub.hello_number,
            nonce=hub.nonce,
        )

    def watermark(self, hub_id: bytes) -> Watermark:
        """Return how far the hub's newest epoch is booked."""
        with self._store.reading() as tx:
            hub = places.hub(tx, self._tenant_id, hub_id)
            if hub is None or hub.epoch == 0:
                return Watermark(epoch=0)
            return self._watermark(tx, hub_id, hub.epoch)

    def known_hash(self, hub_id: bytes, epoch: int, batch_seq: int) -> bytes | None:
        """Return the hash under which a batch was applied, or None."""
        if batch_seq > MAX_WHOLE:
            return None
        with self._store.reading() as tx:
            return chains.batch_hash(
                tx, self._tenant_id, hub_id, stream=STREAM_LEDGER, epoch=epoch, batch_seq=batch_seq
            )

    def heard_of(self, hub_id: bytes) -> tuple[HeardOf, ...]:
        """Return how far each neighbour is booked, but not beyond a voucher to this hub that it has not told of.

        One that is frozen or closed is not named: who told of another voucher than it signed is frozen for that.
        """
        with self._store.reading() as tx:
            hubs = places.hubs(tx, self._tenant_id)
            venue_id = next((hub.venue_id for hub in hubs if hub.hub_id == hub_id), b"")
            others = [hub for hub in hubs if hub.venue_id == venue_id and hub.hub_id != hub_id and _is_heard(hub)]
            if not others:
                return ()
            unheard = lots.unheard_givers(tx, self._tenant_id, hub_id)
            found = []
            for hub in others:
                booked = (hub.epoch, self._watermark(tx, hub.hub_id, hub.epoch).last_record)
                epoch, seq = unheard.get(hub.hub_id, (hub.epoch + 1, 0))
                found.append(HeardOf(hub.hub_id, *min(booked, (epoch, max(seq - 1, 0)))))
        return tuple(found)

    def apply(self, batch: AcceptedBatch) -> Outcome:
        """Apply a batch, its dedupe row and the new watermark in one transaction; park one that no book can hold.

        One hub's batch must never end the office for all: whatever is wrong with it, nothing of it is kept but itself,
        it has no receipt, and so the hub keeps it too. StoreUnavailableError: not the batch's fault; ask again.
        """
        try:
            return self._apply(batch)
        except (LedgerError, StoreRefusedError) as error:
            self.park(batch.hub_id, str(error), batch.data)
            return "parked"

    def _apply(self, batch: AcceptedBatch) -> Outcome:
        header, now_ms = batch.header, self._clock()
        with self._store.writing() as tx:
            hub = places.hub(tx, self._tenant_id, batch.hub_id)
            assert hub is not None, "the receiver applies batches of enrolled hubs only"
            if self._watermark(tx, batch.hub_id, header.epoch) != batch.before or header.epoch < hub.epoch:
                return self._overtaken(tx, batch, hub)
            learning = set_back.unheard(tx, self._tenant_id)
            if learning.get(batch.hub_id) is False:
                return "gap"  # books that were set back must not judge it before a person has said so
            desk = self._desk(tx, hub)
            if batch.hub_id in learning:
                relearn(desk, hub, batch.entries)
            self._begin_chain(tx, batch)
            booking = self._book(tx, hub, batch, now_ms)
            settle_passed(desk, hub, header.epoch, batch.entries)
            self._move_on(tx, batch, now_ms)
            floor = beyond_floor(tx, self._tenant_id, batch.hub_id, batch.entries)
            piles = beyond_taker(tx, self._tenant_id, batch.entries)
            people = change_list(tx, self._tenant_id, hub, batch.entries, now_ms=now_ms)
            people += keep_consents(tx, self._tenant_id, hub.hub_id, batch.entries, now_ms=now_ms)
            clones = find_clones(tx, self._tenant_id, batch.hub_id, header.epoch, batch.entries)
            late = late_beyond(tx, self._tenant_id, hub, batch.entries)
            found = [*booking.findings, *floor, *piles, *people, *clones, *late]
            self._judge(tx, hub, found, now_ms, frozenset(learning))
            watch(tx, self._tenant_id, hub, header.epoch, batch.entries, now_ms=now_ms)
        return "applied"

    def greeted(self, hub_id: bytes, hello: Hello, *, number: int, now_ms: int) -> None:
        """Keep a hub's newest hello."""
        risk_version = _fitting(next((had.version for had in hello.versions if had.name == RISK), 0))
        with self._store.writing() as tx:
            greeting = Greeting(
                hello_number=_fitting(number),
                nonce=hello.nonce,
                sealed_seq=_fitting(hello.last_seq),
                outbox_entries=_fitting(hello.outbox_entries),
                outbox_age_ms=_fitting(hello.outbox_age_ms),
                risk_version=risk_version,
                risk_from=self._risk_from(tx, hub_id, hello) if risk_version else 0,
            )
            places.greeted(tx, self._tenant_id, hub_id, greeting, now_ms=now_ms)
            self._compare(tx, hub_id, hello, now_ms)
            self._hear_whole(tx, hub_id, hello, min(number, now_ms))
        self._on_hello(hub_id, hello)

    def freeze(self, hub_id: bytes, reason: str, evidence: Sequence[bytes]) -> None:
        """Freeze a hub, keep what contradicts the books, and alarm."""
        with self._store.writing() as tx:
            for data in evidence:
                self._keep(tx, hub_id, "fork", reason, data)
            self._freeze(tx, hub_id, reason, self._clock())
            self._alarm(tx, hub_id, reason, f"the hub is frozen: {reason}; both sides are kept as evidence")

    def park(self, hub_id: bytes, why: str, data: bytes) -> None:
        """Keep a batch that is not booked, alarm once for each; beyond `PARKED_AT_MOST` its hub alone has them."""
        with self._store.writing() as tx:
            full = chains.evidence_of(tx, self._tenant_id, hub_id, kind="parked") >= PARKED_AT_MOST
            if not full and self._keep(tx, hub_id, "parked", why, data):
                self._alarm(tx, hub_id, "parked", f"a batch is kept and not booked: {why}")

    # ---- inside ----

    def _compare(self, tx: Transaction, hub_id: bytes, hello: Hello, now_ms: int) -> None:
        """Find out whether a hub has receipts that these books have forgotten, or was heard whole again since."""
        booked = self._watermark(tx, hub_id, hello.epoch).batch_seq
        learning = set_back.unheard(tx, self._tenant_id)
        declared = learning.get(hub_id)
        if hello.acked_seq > booked:
            if declared is None and any(learning.values()):  # the backup is from before its first hello
                set_back.note(tx, self._tenant_id, hub_id, declared=True, now_ms=now_ms)
            elif declared is None:
                set_back.note(tx, self._tenant_id, hub_id, declared=False, now_ms=now_ms)
                text = f"it has receipts through batch {hello.acked_seq}, these books end at {booked}: a backup?"
                self._alarm(tx, hub_id, "set_back", f"{text} Nothing of it is booked before `venuehub office restored`")
        elif declared is False or (declared and not hello.outbox_entries and hello.last_seq == booked):
            heard_whole(tx, self._tenant_id, hub_id, now_ms=now_ms)

    def _risk_from(self, tx: Transaction, hub_id: bytes, hello: Hello) -> int:
        """Return the first entry that a hub whose hello names a risk document surely wrote behind one.

        All it had when it said so first may be older: what is booked, and at most its outbox beyond that.
        """
        hub = places.hub(tx, self._tenant_id, hub_id)
        if hub is not None and hub.risk_from and hello.epoch <= max(hub.epoch, 1):
            return hub.risk_from
        return _fitting(self._watermark(tx, hub_id, hello.epoch).last_record + hello.outbox_entries + 1)

    def _hear_whole(self, tx: Transaction, hub_id: bytes, hello: Hello, said_ms: int) -> None:
        """Find out whether a hub holds nothing back. `said_ms`: when, by its clock: a hello may wait at the broker."""
        hub = places.hub(tx, self._tenant_id, hub_id)
        booked = self._watermark(tx, hub_id, hello.epoch)
        if hub is None or hello.outbox_entries or hello.epoch < hub.epoch or hello.last_seq != booked.batch_seq:
            return
        told_whole(self._desk(tx, hub), hub, said_ms=said_ms)

    def _desk(self, tx: Transaction, hub: Hub) -> Desk:
        return Desk(tx, self._tenant_id, venue_of(tx, self._tenant_id, hub.venue_id), now_ms=self._clock())

    def _watermark(self, tx: Transaction, hub_id: bytes, epoch: int) -> Watermark:
        chain = chains.chain(tx, self._tenant_id, hub_id, stream=STREAM_LEDGER, epoch=epoch)
        if chain is None:
            return Watermark(epoch=epoch)
        return Watermark(
            epoch=epoch,
            batch_seq=chain.batch_seq,
            batch_hash=chain.batch_hash,
            last_record=chain.rec_seq,
            tail_hash=chain.tail_hash,
        )

    def _overtaken(self, tx: Transaction, batch: AcceptedBatch, hub: Hub) -> Outcome:
        header = batch.header
        if header.epoch < hub.epoch:
            return "old_epoch"
        known = chains.batch_hash(
            tx, self._tenant_id, hub.hub_id, stream=STREAM_LEDGER, epoch=header.epoch, batch_seq=header.batch_seq
        )
        if known is None:
            return "gap"
        return "known" if known == batch.digest else "fork"

    def _begin_chain(self, tx: Transaction, batch: AcceptedBatch) -> None:
        if batch.before.batch_seq == 0:
            start = Chain(hub_id=batch.hub_id, stream=STREAM_LEDGER, epoch=batch.header.epoch)
            chains.add_chain(tx, self._tenant_id, start)

    def _book(self, tx: Transaction, hub: Hub, batch: AcceptedBatch, now_ms: int) -> Booking:
        header = batch.header
        dedupe = Batch(
            hub_id=hub.hub_id,
            stream=STREAM_LEDGER,
            epoch=header.epoch,
            batch_seq=header.batch_seq,
            hash=batch.digest,
            first_rec=header.first_record,
            rec_count=header.record_count,
            received_ms=now_ms,
            sealed=batch.data,
        )
        chains.add_batch(tx, self._tenant_id, dedupe)
        writer = Writer(
            hub_id=hub.hub_id, venue_id=hub.venue_id, stream=STREAM_LEDGER, epoch=header.epoch,
            closed=hub.closed_ms is not None,
        )  # fmt: skip
        vouchers = reader(tx, self._tenant_id)
        booking = Booking(tx, self._tenant_id, writer, now_ms=now_ms, read_voucher=vouchers)
        tail = batch.before.tail_hash
        for entry, record in zip(batch.entries, batch.records, strict=True):
            tail = chain_hash(tail, record)
            booking.add(Arrived(entry, record, tail))
        booking.finish()
        return booking

    def _move_on(self, tx: Transaction, batch: AcceptedBatch, now_ms: int) -> None:
        after = batch.after
        to = Chain(
            hub_id=batch.hub_id,
            stream=STREAM_LEDGER,
            epoch=after.epoch,
            rec_seq=after.last_record,
            tail_hash=after.tail_hash,
            batch_seq=after.batch_seq,
            batch_hash=after.batch_hash,
        )
        chains.move_chain(tx, self._tenant_id, to)
        places.booked(tx, self._tenant_id, batch.hub_id, epoch=after.epoch, now_ms=now_ms)

    def _judge(
        self, tx: Transaction, hub: Hub, findings: Sequence[Finding], now_ms: int, learning: frozenset[bytes]
    ) -> None:
        """Raise one alarm per hub, kind and batch: the first finding, and how many there are.

        What a hub says that an operator has closed is late, whatever it is: that freezes nothing any more. Nor does
        what restored books may have granted (`learning`: of which hubs).
        """
        groups: dict[tuple[bytes, str], list[str]] = defaultdict(list)
        for finding in findings:
            kind = "late" if hub.closed_ms is not None and not finding.hub_id else finding.kind
            subject = finding.hub_id or hub.hub_id
            groups[subject, "forgotten" if subject in learning and kind in FORGOTTEN else kind].append(finding.text)
        for (hub_id, kind), texts in sorted(groups.items()):
            more = f", and {len(texts) - 1} more in this batch" if len(texts) > 1 else ""
            papers.raise_alarm(tx, self._tenant_id, Alarm(kind, hub_id, texts[0] + more, now_ms))
            if kind in FREEZING:
                self._freeze(tx, hub_id, kind, now_ms)

    def _freeze(self, tx: Transaction, hub_id: bytes, why: str, now_ms: int) -> None:
        places.freeze(tx, self._tenant_id, hub_id, why=why)
        hub = places.hub(tx, self._tenant_id, hub_id)
        assert hub is not None, "only enrolled hubs are found out"
        keep_trust(tx, self._tenant_id, hub.venue_id, now_ms=now_ms)

    def _keep(self, tx: Transaction, hub_id: bytes, kind: str, why: str, data: bytes) -> bool:
        parsed = parse_envelope(data)
        epoch, seq = (parsed.header.epoch, parsed.header.batch_seq) if isinstance(parsed, Envelope) else (0, 0)
        evidence = Evidence(
            hub_id=hub_id,
            hash=batch_hash(data),
            kind=kind,
            why=why,
            epoch=epoch,
            batch_seq=_fitting(seq),
            received_ms=self._clock(),
            sealed=data,
        )
        return chains.keep_evidence(tx, self._tenant_id, evidence)

    def _alarm(self, tx: Transaction, hub_id: bytes, kind: str, text: str) -> None:
        papers.raise_alarm(tx, self._tenant_id, Alarm(kind, hub_id, text, self._clock()))
