"""Rows become the next batch of a hub's journal: sealed to the office, signed by the hub, chained to the one before."""

from collections.abc import Sequence

from cloud_sync.protocol import batcher
from cloud_sync.protocol.envelope import Header, batch_hash
from cloud_sync.sealing import Sealer, seal_batch
from cloud_sync.upload_effects import HubPen, Moment, SealedBatch, UploadState


def seal_next(pen: HubPen, state: UploadState, sealer: Sealer, now: Moment, records: Sequence[bytes]) -> SealedBatch:
    """Seal the records behind the newest batch of `state`; `sealer` seals to the office's present key."""
    signer = pen.signer
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
    )
    data = seal_batch(header, batcher.build_body(records), sealer=sealer, signer=signer)
    return SealedBatch(
        batch_seq=header.batch_seq,
        first_record=header.first_record,
        record_count=header.record_count,
        digest=batch_hash(data),
        data=data,
    )
