"""The office's half of the second stream: a proven batch moves the hub's mark and what is newest of it, or nothing.

Nothing here is money: a fork freezes nobody. It is an alarm, and a receipt whose hash differs, on which the hub begins
a new epoch by itself; epochs only rise. What waits behind a gap is not kept: its hub sends it again.
"""

from typing import Literal, Protocol

import msgspec

from cloud_sync import sealing
from cloud_sync.protocol import receipts
from cloud_sync.protocol.batcher import Refused, verify_records
from cloud_sync.protocol.envelope import Envelope, Header, Rejected, batch_hash
from cloud_sync.protocol.receipts import Watermark
from cloud_sync.sealing import Opener
from payment_core.telemetry import Fact, known_facts


class TelemetryBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is proven and next: its facts, how many records were passed over, and the mark before and after."""

    hub_id: bytes
    facts: tuple[Fact, ...]
    passed: int
    before: Watermark
    after: Watermark


class TelemetryBooks(Protocol):
    """What the receiver needs of the store."""

    def mark(self, hub_id: bytes) -> Watermark:
        """Return how far the newest epoch of a hub's telemetry is taken; Watermark(epoch=0) where nothing came yet."""

    def apply(self, batch: TelemetryBatch) -> bool:
        """Take a batch in one transaction; False: another worker has moved the mark meanwhile."""

    def forked(self, hub_id: bytes, epoch: int) -> None:
        """Raise an alarm, once for an epoch, and not for each of many."""


Place = Literal["next", "known", "gap", "fork", "old_epoch"]


def place_of(mark: Watermark, header: Header, *, digest: bytes) -> Place:
    """Say what an authenticated batch is to what was taken before. Only the newest batch's hash is known."""
    if header.epoch < mark.epoch:
        return "old_epoch"
    mark = receipts.start_of(mark, header.epoch)
    if header.batch_seq <= mark.batch_seq:
        return "known" if header.batch_seq < mark.batch_seq or digest == mark.batch_hash else "fork"
    if header.batch_seq > mark.batch_seq + 1:
        return "gap"
    follows = header.previous_batch_hash == mark.batch_hash and header.first_record == mark.last_record + 1
    return "next" if follows else "fork"


class TelemetryReceiver:
    """Takes authenticated batches; the caller sends the receipts."""

    def __init__(self, books: TelemetryBooks, *, opener: Opener) -> None:
        self._books = books
        self._opener = opener

    def take(self, hub_id: bytes, parsed: Envelope, data: bytes) -> Watermark | str:
        """Return the mark to send a receipt of, or why the batch was thrown away."""
        header, digest = parsed.header, batch_hash(data)
        mark = self._books.mark(hub_id)
        place = place_of(mark, header, digest=digest)
        if place == "fork":
            self._books.forked(hub_id, header.epoch)
        if place != "next":
            return mark
        batch = self._prove(hub_id, parsed, digest, receipts.start_of(mark, header.epoch))
        if isinstance(batch, str):
            return batch
        return batch.after if self._books.apply(batch) else self._books.mark(hub_id)

    def _prove(self, hub_id: bytes, parsed: Envelope, digest: bytes, before: Watermark) -> TelemetryBatch | str:
        opened = sealing.decrypt(parsed, opener=self._opener)
        if isinstance(opened, Rejected):
            return opened.reason
        records = verify_records(
            opened.body, opened.header, previous_tail=before.tail_hash, first_record=before.last_record + 1
        )
        if isinstance(records, Refused):
            return records.reason
        facts, passed = known_facts(records)
        after = receipts.advance(opened.header, digest=digest)
        return TelemetryBatch(hub_id=hub_id, facts=tuple(facts), passed=passed, before=before, after=after)
