"""Rows become the next batch of a hub's journal: sealed to the office, signed by the hub, chained to the one before."""

from collections.abc import Sequence
from typing import Final

from cloud_sync.compression import pack
from cloud_sync.protocol import batcher
from cloud_sync.protocol.envelope import STREAM_LEDGER, Header, batch_hash
from cloud_sync.sealing import Sealer, seal_batch
from cloud_sync.upload_effects import HubPen, Moment, SealedBatch, UploadState

BATCH_RECORDS: Final = 250
"""The most rows of one batch. Sealing holds up whatever else the hub does: this many cost a millisecond, or four on a
small board, and are within four bytes of an entry of what a thousand in one batch come to."""
PAUSE_MS: Final = 100
"""Between two batches, so that what is owed goes up behind the live sales: 2,500 rows a second at most."""
SEAL_ENTRIES: Final = 100
"""So many rows are a batch at once: from here on header, seal and signature are less than three bytes of an entry."""
SEAL_AGE_MS: Final = 500
"""Fewer wait for more until the oldest has waited so long: a quiet hub pays for two batches a second at most."""
ALONE_AGE_MS: Final = 60_000
"""Where only a neighbour keeps them: batches stay big, and a box that dies takes no more than a minute with it."""
NEVER_MS: Final = 1 << 62


class Rows:
    """The journal's rows that no batch has yet: so many that they are one, or so old. Times are ms since boot."""

    def __init__(self, *, sealed: int) -> None:
        self.end = sealed
        """The seq of the newest row."""
        self._sealed = sealed
        self._since_ms = 0
        self._not_before_ms = 0

    def note(self, mono_ms: int, end: int) -> None:
        """Note the newest row."""
        if self.end == self._sealed:
            self._since_ms = mono_ms
        self.end = max(self.end, end)

    def sealed(self, mono_ms: int, through: int) -> None:
        """Note how far the newest batch goes; what is left came meanwhile, or did not fit into it."""
        self._sealed = through
        self._since_ms = mono_ms
        self._not_before_ms = mono_ms + PAUSE_MS

    def not_readable(self, mono_ms: int) -> None:
        """Note that the ledger gave none of them: a damaged one is not asked without a pause."""
        self._not_before_ms = mono_ms + SEAL_AGE_MS

    def wait_ms(self, mono_ms: int, *, alone: bool = False) -> int:
        """Return how long they wait for more: 0 where they are to be sealed now. `alone`: no office waits for them."""
        if self.end <= self._sealed:
            return NEVER_MS
        are_many = self.end - self._sealed >= SEAL_ENTRIES
        due_ms = self._not_before_ms if are_many else self._since_ms + (ALONE_AGE_MS if alone else SEAL_AGE_MS)
        return max(due_ms - mono_ms, 0)


def seal_next(
    pen: HubPen,
    state: UploadState,
    sealer: Sealer,
    now: Moment,
    records: Sequence[bytes],
    *,
    compress: bool,
    stream: int = STREAM_LEDGER,
) -> SealedBatch:
    """Seal the records behind the newest batch of `state`; `sealer` seals to the office's present key.

    `compress`: whether the office says that it opens compressed bodies; a body that gets no smaller stays as it is.
    `stream`: the chain that the records belong to.
    """
    signer = pen.signer
    body = batcher.build_body(records)
    packed = pack(body) if compress else None
    header = Header(
        hub_id=pen.hub_id,
        epoch=state.epoch,
        batch_seq=state.last_seq + 1,
        first_record=state.last_record + 1,
        record_count=len(records),
        created_ms=now.wall_ms,
        time_quality=now.quality,
        recipient_key=sealer.key_id,
        signer_key=signer.key_id,
        previous_batch_hash=state.last_hash,
        journal_tail_hash=batcher.chain_tail(state.tail_hash, records),
        suite=sealer.suite,
        stream=stream,
        compressed=packed is not None,
    )
    data = seal_batch(header, packed or body, sealer=sealer, signer=signer)
    return SealedBatch(
        batch_seq=header.batch_seq,
        first_record=header.first_record,
        record_count=header.record_count,
        digest=batch_hash(data),
        data=data,
    )
