"""The hub's half of the second stream: sealed once, sent until a receipt covers it, and never in the ledger's way.

A synchronous state machine over one port, `Shelf`; every input returns the letters to publish. It speaks only while the
newest receipt of the connection says that the office takes telemetry, and it gives no connection up: what the office
does not answer waits ten minutes. A receipt of this stream needs no nonce: one that is played again moves nothing that
a true one would not, and asks for nothing twice. What an office that answers does not take for an hour (it may be
sealed to a key that nobody has any more) is sealed once more, to the newest key, in a new epoch.
"""

from collections.abc import Callable
from typing import Final, Protocol

from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import STREAM_TELEMETRY
from cloud_sync.protocol.messages import TAKES_COMPRESSED, TAKES_TELEMETRY, Receipt, Trust
from cloud_sync.protocol.retry import resend_delay_ms
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.sealing import HpkeSealer, Sealer
from cloud_sync.upload_effects import HubPen, Moment, SealedBatch, UploadState
from cloud_sync.upload_sealing import seal_next

WINDOW_BATCHES: Final = 8
"""How many sealed batches may be without a receipt."""
FULL_BATCH: Final = 200
"""So many records that wait are sealed at once; fewer when the oldest is old enough."""
SEAL_AGE_MS: Final = 5 * 60_000
RESENDS: Final = 2
QUIET_MS: Final = 10 * 60_000
"""After two resends without progress this long is waited: telemetry drops no connection that money may be using."""
QUIETS: Final = 6
"""After so many of them, in each of which the office answered something else, all that waits is sealed once more."""
_LARGEST_EPOCH: Final = 2**32 - 1
_NO_CLOCK_S: Final = 4_102_444_800
"""A clock from here on (the year 2100) is broken: an epoch by it would leave no room for those behind it."""


def epoch_by(now_ms: int) -> int:
    """Return the epoch of a file that begins now (UTC ms): the clock's seconds, or 1, which the office raises."""
    seconds = now_ms // 1000
    return seconds if 0 < seconds < _NO_CLOCK_S else 1


class Shelf(Protocol):
    """Where the stream is kept. Everything is durable when a method returns."""

    def place(self) -> UploadState:
        """Return where the stream stands, without the batches that wait."""

    def waits(self) -> tuple[int, int]:
        """Return how many records would go into the next batch, and the UTC ms of the oldest."""

    def next_records(self, now_ms: int) -> list[bytes]:
        """Return what the next batch holds."""

    def keep_sealed(self, batch: SealedBatch, now_ms: int) -> None:
        """Keep the batch of what `next_records` returned last."""

    def kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        """Return up to `most` sealed batches behind one, with or without a receipt, in order."""

    def take_receipt(self, through_seq: int, *, later_ms: int, earlier_ms: int) -> None:
        """Note that the office has all batches up to this one; UTC ms by the hub's clock and the office's."""

    def begin_epoch(self, epoch: int) -> None:
        """Begin anew; what has no receipt is sealed once more."""


class TelemetryPost:
    """See the module. `draw(n)` returns n random bytes. On a connection that is new: `on_disconnected` first."""

    def __init__(self, pen: HubPen, shelf: Shelf, *, draw: Callable[[int], bytes]) -> None:
        self._pen = pen
        self._shelf = shelf
        self._draw = draw
        self._sealer: Sealer = pen.office_sealer
        if not 0 < shelf.place().epoch <= _LARGEST_EPOCH:  # by a broken clock of an older release: it was never sent
            shelf.begin_epoch(1)
        self._place = shelf.place()
        self._takes = 0
        self._sent_seq = 0
        self._brought_seq = 0
        self._resends = 0
        self._due_ms = 0
        self._quiets = 0
        self._is_answered = False

    def on_disconnected(self) -> None:
        """Stop sending; what is sealed goes out again once a receipt has come on the next connection."""
        self._takes = self._resends = self._brought_seq = 0
        self._sent_seq = self._place.acked_seq

    def on_trust(self, trust: Trust) -> None:
        """Seal to the key of a newer trust document from now on."""
        self._sealer = HpkeSealer(trust.receive_key, suite=trust.receive_suite)

    def on_receipt(self, now: Moment, receipt: Receipt) -> list[Publish]:
        """Take an authentic receipt of any stream."""
        self._takes = receipt.takes
        self._is_answered = True
        if receipt.stream != STREAM_TELEMETRY or receipt.epoch < self._place.epoch:
            return []
        if receipt.epoch > self._place.epoch or receipt.through_seq > self._place.last_seq:
            return self._begin_anew(now, receipt.epoch)
        if receipt.through_seq < self._place.acked_seq:
            return self._bring_back(now, receipt)
        return self._judge(now, receipt)

    def on_tick(self, now: Moment) -> list[Publish]:
        """Send what was not sent on this connection, resend what is due, seal what is due."""
        if not self._takes & TAKES_TELEMETRY:
            return []
        letters = self._send(now)
        if self._place.last_seq - self._place.acked_seq < WINDOW_BATCHES and self._is_due(now):
            batch = self._seal(now)
            self._shelf.keep_sealed(batch, now.wall_ms)
            self._place = self._shelf.place()
            letters += self._send(now)
        return letters

    # ---- inside ----

    def _judge(self, now: Moment, receipt: Receipt) -> list[Publish]:
        """Compare the office's hash with our own under the same number; where ours is gone there is nothing to say."""
        own = self._shelf.kept(receipt.through_seq - 1, 1) if receipt.through_seq else []
        if own and own[0].batch_seq == receipt.through_seq and own[0].digest != receipt.batch_hash:
            return self._begin_anew(now, receipt.epoch)
        if receipt.through_seq > self._place.acked_seq:
            later_ms, earlier_ms = max(now.wall_ms, receipt.server_ms), min(now.wall_ms, receipt.server_ms)
            self._shelf.take_receipt(receipt.through_seq, later_ms=later_ms, earlier_ms=earlier_ms)
            self._place = self._shelf.place()
            self._resends = self._quiets = 0
            self._rearm(now)
        return []

    def _bring_back(self, now: Moment, receipt: Receipt) -> list[Publish]:
        """Send what an office that was restored has forgotten; where it is no longer kept, begin anew."""
        if receipt.through_seq < self._brought_seq:
            return []
        batches = self._shelf.kept(receipt.through_seq, WINDOW_BATCHES)
        if not batches or batches[0].batch_seq != receipt.through_seq + 1:
            return self._begin_anew(now, receipt.epoch)
        self._brought_seq = batches[-1].batch_seq
        return [self._letter(batch) for batch in batches]

    def _begin_anew(self, now: Moment, seen_epoch: int) -> list[Publish]:
        """Take an epoch above all that the office or this file has seen; a clock that is right makes it today's."""
        epoch = max(epoch_by(now.wall_ms), seen_epoch + 1, self._place.epoch + 1)
        if epoch <= _LARGEST_EPOCH:
            self._shelf.begin_epoch(epoch)
            self._place = self._shelf.place()
            self._sent_seq = self._brought_seq = self._resends = self._quiets = 0
        return []

    def _send(self, now: Moment) -> list[Publish]:
        place = self._place
        if place.last_seq > max(self._sent_seq, place.acked_seq):
            after = max(self._sent_seq, place.acked_seq)
            self._sent_seq = place.last_seq
        elif place.last_seq == place.acked_seq or now.mono_ms < self._due_ms:
            return []
        elif self._resends == RESENDS:
            return self._be_quiet(now)
        else:
            after = place.acked_seq
            self._resends += 1
        self._rearm(now)
        return [self._letter(batch) for batch in self._shelf.kept(after, WINDOW_BATCHES)]

    def _be_quiet(self, now: Moment) -> list[Publish]:
        self._resends, self._due_ms = 0, now.mono_ms + QUIET_MS
        self._quiets += self._is_answered
        self._is_answered = False
        return self._begin_anew(now, self._place.epoch) if self._quiets >= QUIETS else []

    def _rearm(self, now: Moment) -> None:
        dice = int.from_bytes(self._draw(2), "big") / 65_536
        self._due_ms = now.mono_ms + resend_delay_ms(self._resends, dice=dice)

    def _is_due(self, now: Moment) -> bool:
        count, oldest_ms = self._shelf.waits()
        return count >= FULL_BATCH or (count > 0 and not 0 <= now.wall_ms - oldest_ms < SEAL_AGE_MS)

    def _seal(self, now: Moment) -> SealedBatch:
        records = self._shelf.next_records(now.wall_ms)
        compress = bool(self._takes & TAKES_COMPRESSED)
        return seal_next(self._pen, self._place, self._sealer, now, records, compress=compress, stream=STREAM_TELEMETRY)

    def _letter(self, batch: SealedBatch) -> Publish:
        return Publish(hub_topic(self._pen.hub_id, "up", "batch"), batch.data)
