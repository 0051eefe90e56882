"""What cloud_sync's receiver asks of the books, answered by the store: one transaction per question."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Final

from back_office.fleet.key_rotation import note_trust
from back_office.fleet.restored import relearn
from back_office.ingest.alike import (
    beginning_of,
    book_alike,
    chain_at,
    dedupe_of,
    only_plays,
    take_entries,
    writer_of,
)
from back_office.ingest.greetings import compare, greeting_of, hear_whole, said_ms, watermark_of
from back_office.ingest.set_free import late_beyond, settle_passed
from back_office.ingest.verdicts import alarm, freeze, judge, keep_evidence
from back_office.ingest.vouchers import reader
from back_office.ledger.booking import MAX_WHOLE, Booking
from back_office.ledger.clones import Blocks, find_clones
from back_office.ledger.desk import Desk, venue_of
from back_office.ledger.faults import LedgerError
from back_office.ledger.floor import beyond_floor
from back_office.ledger.list_changes import change_list
from back_office.ledger.taker_bound import beyond_taker
from back_office.members.consents import keep_consents
from back_office.risk.watch import watch
from back_office.store import chains, lots, papers, places, set_back
from back_office.store.alarm_budget import raise_of_hub
from back_office.store.engine import Fence, Store, Transaction
from back_office.store.faults import StoreFencedError, StoreRefusedError
from back_office.store.papers import Alarm
from back_office.store.places import Hub
from cloud_sync.protocol.envelope import STREAM_LEDGER, Envelope, batch_hash, parse_envelope
from cloud_sync.protocol.messages import HeardOf, Hello
from cloud_sync.protocol.receipts import OWN_JOURNAL, Watermark
from cloud_sync.receiver import AcceptedBatch, HubRecord, Outcome

PARKED_AT_MOST: Final = 256
"""Batches of one hub that are kept and not booked; a hub keeps its own until a receipt covers them."""


def _is_heard(hub: Hub) -> bool:
    return bool(hub.epoch) and not hub.frozen and hub.closed_ms is None


def _freeze_that_counts(hub: Hub) -> str:
    return "" if hub.closed_ms is not None and hub.frozen not in OWN_JOURNAL else hub.frozen


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for circles of garbage behind a transaction, not within: its rows are many, and in no circle.

    That was a sixth of the time. What lives meanwhile is bounded by what is taken at once.
    """
    asked_for = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if asked_for:
            gc.enable()


class HubBooks:
    """The receiver's `Office`. `clock` returns UTC ms; `on_hello` hears each hello that is newer than the last."""

    def __init__(
        self, store: Store, tenant_id: bytes, clock: Callable[[], int], *, on_hello: Callable[[bytes, Hello], None],
        fences: Callable[[bytes], tuple[Fence, ...]] = lambda _hub_id: (),
        asked_ms: Callable[[bytes, int], int] = lambda _hub_id, _now_ms: 0,
    ) -> None:  # fmt: skip
        """Take the store; nothing is read before the first question. `fences`: what a write for a hub names.

        asked_ms: when a hub was asked for the hello that comes now; 0: it was not.
        """
        self._fences, self._asked_ms = fences, asked_ms
        self._store = store
        self._tenant_id = tenant_id
        self._clock = clock
        self._on_hello = on_hello
        self._blocks = Blocks(clock)
        self._suspects: set[bytes] = set()  # hubs whose last batch was parked: what they send is applied by itself
        self._noted: set[bytes] = set()  # hubs of whose last batch something was found: they are judged by themselves

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
            frozen=_freeze_that_counts(hub),
            reopened=hub.reopened,
            hello_number=hub.hello_number,
            nonce=hub.nonce,
            venue_id=hub.venue_id,
        )

    def watermark(self, hub_id: bytes) -> Watermark:
        """Return how far the hub's newest epoch is booked."""
        with self._store.reading() as tx:
            hub = places.hub(tx, self._tenant_id, hub_id)
            if hub is None or hub.epoch == 0:
                return Watermark(epoch=0)
            return watermark_of(tx, self._tenant_id, hub_id, hub.epoch)

    def sealed_ms(self, hub_id: bytes) -> int:
        """Return when the hub's newest batch was sealed, by its own clock; -1 before the first."""
        with self._store.reading() as tx:
            hub = places.hub(tx, self._tenant_id, hub_id)
            if hub is None:
                return -1
            sealed = chains.newest_batch(tx, self._tenant_id, hub_id, stream=STREAM_LEDGER, epoch=hub.epoch)
        parsed = parse_envelope(sealed) if sealed is not None else None
        return parsed.header.created_ms if isinstance(parsed, Envelope) else -1

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
            others = [hub for hub in places.neighbours(tx, self._tenant_id, hub_id) if _is_heard(hub)]
            if not others:
                return ()
            unheard = lots.unheard_givers(tx, self._tenant_id, hub_id)
            of = {
                (chain.hub_id, chain.epoch): chain.rec_seq
                for chain in chains.chains_of(tx, self._tenant_id, [hub.hub_id for hub in others])
                if chain.stream == STREAM_LEDGER
            }
            found = []
            for hub in others:
                booked = (hub.epoch, of.get((hub.hub_id, hub.epoch), 0))
                epoch, seq = unheard.get(hub.hub_id, (hub.epoch + 1, 0))
                found.append(HeardOf(hub.hub_id, *min(booked, (epoch, max(seq - 1, 0)))))
        return tuple(found)

    def apply_together(self, batches: Sequence[AcceptedBatch]) -> list[Outcome]:
        """Apply batches, their dedupe rows and the new watermarks in one transaction; park what no book can hold.

        Where one of them cannot be booked, each is applied by itself. One hub's batch must never end the office for
        all: it is parked where it is refused although no other transaction runs; nothing of it is kept but itself, it
        has no receipt, and so the hub keeps it too. StoreUnavailableError: not the batches' fault; ask again.
        """
        if len(batches) > 1 and not any(batch.hub_id in self._suspects for batch in batches):
            fences = {fence for batch in batches for fence in self._fences(batch.hub_id)}
            for apply in (self._apply_alike, self._apply_in_turn):
                try:
                    with _no_collection():
                        return self._store.write(partial(apply, batches), *sorted(fences))
                except (LedgerError, StoreRefusedError, StoreFencedError):
                    pass
        return [self._apply_alone(batch) for batch in batches]

    def _apply_alone(self, batch: AcceptedBatch) -> Outcome:
        fences = self._fences(batch.hub_id)
        try:
            try:
                outcome = self._store.write(lambda tx: self._apply(tx, batch), *fences)
            except (LedgerError, StoreRefusedError):
                with self._store.writing(*fences) as tx:
                    outcome = self._apply(tx, batch)
        except StoreFencedError:
            return "fenced"
        except (LedgerError, StoreRefusedError) as error:
            self._suspects.add(batch.hub_id)
            self.park(batch.hub_id, str(error), batch.data)
            return "parked"
        self._suspects.discard(batch.hub_id)
        return outcome

    def _apply_in_turn(self, batches: Sequence[AcceptedBatch], tx: Transaction) -> list[Outcome]:
        return [self._apply(tx, batch) for batch in batches]

    def _apply_alike(self, batches: Sequence[AcceptedBatch], tx: Transaction) -> list[Outcome]:
        """Apply batches in their order, those together that only play and of whose hubs nothing was found lately."""
        outcomes: list[Outcome] = []
        for alike, group in groupby(batches, lambda each: each.hub_id not in self._noted and only_plays(each)):
            run = list(group)
            if alike and len(run) > 1 and book_alike(tx, self._tenant_id, run, self._clock()):
                outcomes += ["applied"] * len(run)
            else:
                outcomes += self._apply_in_turn(run, tx)
        return outcomes

    def _apply(self, tx: Transaction, batch: AcceptedBatch) -> Outcome:
        header, now_ms = batch.header, self._clock()
        hub = places.hub(tx, self._tenant_id, batch.hub_id)
        assert hub is not None, "the receiver applies batches of enrolled hubs only"
        booked = watermark_of(tx, self._tenant_id, batch.hub_id, header.epoch)
        if booked != batch.before or header.epoch < hub.epoch:
            return self._overtaken(tx, batch, hub)
        if _freeze_that_counts(hub):
            return "frozen"  # since the batch was judged: by one before it in this transaction, or by a person
        learning = set_back.unheard(tx, self._tenant_id)
        if learning.get(batch.hub_id) is False:
            return "gap"  # books that were set back must not judge it before a person has said so
        desk = self._desk(tx, hub)
        if batch.hub_id in learning:
            relearn(desk, hub, batch.entries)
        self._begin_chain(tx, batch)
        booking = self._book(desk, hub, batch)
        settle_passed(desk, hub, header.epoch, batch.entries)
        self._move_on(tx, batch, now_ms)
        floor = beyond_floor(tx, self._tenant_id, batch.hub_id, batch.entries)
        piles = beyond_taker(tx, self._tenant_id, batch.entries)
        people = change_list(tx, self._tenant_id, hub, batch.entries, now_ms=now_ms)
        people += keep_consents(tx, self._tenant_id, hub.hub_id, batch.entries, now_ms=now_ms)
        clones = find_clones(tx, self._tenant_id, batch.hub_id, header.epoch, batch.entries, self._blocks)
        late = late_beyond(tx, self._tenant_id, hub, batch.entries)
        found = [*booking.findings, *floor, *piles, *people, *clones, *late]
        judge(tx, self._tenant_id, hub, found, now_ms, frozenset(learning))
        seen = watch(tx, self._tenant_id, hub, header.epoch, batch.entries, now_ms=now_ms)
        (self._noted.add if found or seen else self._noted.discard)(batch.hub_id)
        return "applied"

    def greeted(self, hub_id: bytes, hello: Hello, *, number: int, now_ms: int) -> None:
        """Keep a hub's hello of today."""

        def keep(tx: Transaction) -> None:
            moment_ms = said_ms(tx, self._tenant_id, hub_id, hello, number=number, now_ms=now_ms)
            told_ms = max(moment_ms, self._asked_ms(hub_id, now_ms))
            at = {"number": number, "moment_ms": told_ms, "now_ms": now_ms}
            greeting = greeting_of(tx, self._tenant_id, hub_id, hello, **at)
            places.greeted(tx, self._tenant_id, hub_id, greeting, now_ms=now_ms)
            compare(tx, self._tenant_id, hub_id, hello, now_ms)
            note_trust(tx, self._tenant_id, hub_id, hello, now_ms=now_ms)
            hear_whole(tx, self._tenant_id, hub_id, hello, moment_ms, self._clock())

        self._store.write(keep, *self._fences(hub_id))
        self._on_hello(hub_id, hello)

    def freeze(self, hub_id: bytes, reason: str, evidence: Sequence[bytes]) -> None:
        """Freeze a hub, keep what contradicts the books, and alarm."""
        now_ms = self._clock()

        def contain(tx: Transaction) -> None:
            for data in evidence:
                keep_evidence(tx, self._tenant_id, hub_id, "fork", reason, data, now_ms=now_ms)
            freeze(tx, self._tenant_id, hub_id, reason, now_ms)
            text = f"the hub is frozen: {reason}; both sides are kept as evidence"
            alarm(tx, self._tenant_id, hub_id, reason, text, now_ms=now_ms)

        self._store.write(contain, *self._fences(hub_id))

    def park(self, hub_id: bytes, why: str, data: bytes) -> None:
        """Keep a batch that is not booked, and alarm, of one hub so often in an hour.

        Where `PARKED_AT_MOST` are kept that were not booked since, its hub alone has it, and the alarm says that.
        """
        now_ms, tenant_id = self._clock(), self._tenant_id

        def keep(tx: Transaction) -> None:
            if chains.is_kept(tx, tenant_id, hub_id, batch_hash(data)):
                return
            if chains.unbooked(tx, tenant_id, hub_id, stream=STREAM_LEDGER, kind="parked") >= PARKED_AT_MOST:
                text = f"{PARKED_AT_MOST} batches are kept and not booked; what comes behind them the hub alone has"
                papers.raise_new(tx, tenant_id, Alarm("parked", hub_id, text, now_ms))
                return
            keep_evidence(tx, tenant_id, hub_id, "parked", why, data, now_ms=now_ms)
            raise_of_hub(tx, tenant_id, Alarm("parked", hub_id, f"a batch is kept and not booked: {why}", now_ms))

        self._store.write(keep, *self._fences(hub_id))

    # ---- inside ----

    def _desk(self, tx: Transaction, hub: Hub) -> Desk:
        return Desk(tx, self._tenant_id, venue_of(tx, self._tenant_id, hub.venue_id), now_ms=self._clock())

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
            chains.add_chain(tx, self._tenant_id, beginning_of(batch))

    def _book(self, desk: Desk, hub: Hub, batch: AcceptedBatch) -> Booking:
        tx, now_ms = desk.tx, desk.now_ms
        chains.add_batch(tx, self._tenant_id, dedupe_of(batch, now_ms))
        vouchers = reader(tx, self._tenant_id)
        writer = writer_of(hub, batch.header.epoch, desk.venue)
        booking = Booking(tx, self._tenant_id, writer, now_ms=now_ms, read_voucher=vouchers)
        take_entries(booking, batch)
        booking.finish()
        return booking

    def _move_on(self, tx: Transaction, batch: AcceptedBatch, now_ms: int) -> None:
        chains.move_chain(tx, self._tenant_id, chain_at(batch.hub_id, batch.after))
        places.booked(tx, self._tenant_id, {batch.hub_id: batch.after.epoch}, now_ms=now_ms)
