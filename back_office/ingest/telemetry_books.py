"""What cloud_sync's telemetry receiver asks of the store, in one transaction: the newest of each thing is kept."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from back_office.store import papers, telemetry
from back_office.store.engine import Fence, Store, Transaction
from back_office.store.papers import Alarm
from back_office.store.telemetry import Day, DeviceState, Health, TelemetryChain
from cloud_sync.protocol.receipts import Watermark
from cloud_sync.receive_telemetry import TelemetryBatch
from payment_core.money import MAX_MINOR
from payment_core.telemetry import DeviceWas, HubDay, HubHealth, TelemetryDropped, encode_fact

MOST_DEVICES: Final = 1_000
"""Devices of one hub that are known by their state."""
MOST_DAYS: Final = 400
"""Business dates of one hub that are kept; of more, the earliest is forgotten."""


class TelemetryDesk:
    """The telemetry receiver's books. `clock` returns UTC ms."""

    def __init__(
        self, store: Store, tenant_id: bytes, clock: Callable[[], int],
        fences: Callable[[bytes], tuple[Fence, ...]] = lambda _hub_id: (),
    ) -> None:  # fmt: skip
        """Take the store; nothing is read before the first question. `fences`: what a write for a hub names."""
        self._fences = fences
        self._store = store
        self._tenant_id = tenant_id
        self._clock = clock

    def mark(self, hub_id: bytes) -> Watermark:
        """Return how far the newest epoch of a hub's telemetry is taken."""
        with self._store.reading() as tx:
            return _mark(telemetry.chain(tx, self._tenant_id, hub_id))

    def apply(self, batch: TelemetryBatch) -> bool:
        """Take a batch; False: another worker has moved the mark meanwhile."""
        now_ms, after = self._clock(), batch.after

        def take(tx: Transaction) -> bool:
            old = telemetry.chain(tx, self._tenant_id, batch.hub_id)
            mark = _mark(old)
            if mark.epoch > after.epoch or (mark.epoch == after.epoch and mark != batch.before):
                return False
            telemetry.put(tx, self._tenant_id, TelemetryChain(
                batch.hub_id, after.epoch, after.last_record, after.tail_hash, after.batch_seq, after.batch_hash,
                now_ms, old.forked_epoch if old is not None else 0,
            ))  # fmt: skip
            self._take(tx, batch, now_ms)
            return True

        return self._store.write(take, *self._fences(batch.hub_id))

    def forked(self, hub_id: bytes, epoch: int) -> None:
        """Raise an alarm, once a day: two files of telemetry were written under one number.

        A hub that was stolen can begin as many epochs as it likes.
        """
        now_ms = self._clock()

        def note(tx: Transaction) -> None:
            old = telemetry.chain(tx, self._tenant_id, hub_id)
            if old is None or old.forked_epoch >= epoch:
                return
            telemetry.put(tx, self._tenant_id, msgspec.structs.replace(old, forked_epoch=epoch))
            day = time.strftime("%Y-%m-%d", time.gmtime(now_ms / 1000))
            text = f"telemetry has other batches under one number ({day}): was its file set back? It begins anew"
            papers.raise_new(tx, self._tenant_id, Alarm("telemetry_fork", hub_id, text, now_ms))

        self._store.write(note, *self._fences(hub_id))

    # ---- inside ----

    def _take(self, tx: Transaction, batch: TelemetryBatch, now_ms: int) -> None:
        hub_id, lost = batch.hub_id, 0
        devices = {row.device: row for row in telemetry.devices(tx, self._tenant_id, hub_id)}
        newest: HubHealth | None = None
        for fact in batch.facts:
            match fact:
                case TelemetryDropped(count=count):
                    lost += count
                case HubHealth():
                    newest = fact
                case DeviceWas() if not _may_be_kept(fact.device + fact.state):
                    pass  # one record would hold up all behind it
                case DeviceWas(device=name) if name in devices or len(devices) < MOST_DEVICES:
                    devices[name] = DeviceState(hub_id, name, fact.state, fact.since_ms, fact.at_ms)
                    telemetry.put(tx, self._tenant_id, devices[name])
                case DeviceWas():
                    pass
                case HubDay():
                    self._take_day(tx, hub_id, fact)
        if newest is not None or lost or batch.passed:
            self._take_health(tx, hub_id, newest, lost=lost, passed=batch.passed, now_ms=now_ms)

    def _take_health(
        self, tx: Transaction, hub_id: bytes, fact: HubHealth | None, *, lost: int, passed: int, now_ms: int
    ) -> None:
        old = telemetry.health_of(tx, self._tenant_id, hub_id) or Health(hub_id, 0, now_ms, b"")
        seen = (fact.at_ms, now_ms, encode_fact(fact)) if fact else (old.at_ms, old.received_ms, old.record)
        dropped, unread = min(old.dropped + lost, MAX_MINOR), min(old.passed + passed, MAX_MINOR)
        telemetry.put(tx, self._tenant_id, Health(hub_id, *seen, dropped, unread))

    def _take_day(self, tx: Transaction, hub_id: bytes, fact: HubDay) -> None:
        """Keep the sums that go furthest; those that begin later are another journal's, or one that was pruned."""
        known = telemetry.days_of(tx, self._tenant_id, hub_id)
        same = [day for day in known if (day.business_date, day.epoch) == (fact.business_date, fact.epoch)]
        if same and same[0].through_seq > fact.through_seq:
            return
        telemetry.put(tx, self._tenant_id, Day(
            fact.business_date, hub_id, fact.epoch, fact.after_seq, fact.through_seq, fact.at_ms, encode_fact(fact)
        ))  # fmt: skip
        if not same and len(known) >= MOST_DAYS:
            telemetry.drop(tx, self._tenant_id, known[0])


def _may_be_kept(text: str) -> bool:
    return "\0" not in text  # PostgreSQL keeps no such text


def _mark(found: TelemetryChain | None) -> Watermark:
    if found is None:
        return Watermark(epoch=0)
    return Watermark(
        epoch=found.epoch, batch_seq=found.batch_seq, batch_hash=found.batch_hash, last_record=found.rec_seq,
        tail_hash=found.tail_hash,
    )  # fmt: skip
