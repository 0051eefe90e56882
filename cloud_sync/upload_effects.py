"""What the uploader asks of its caller, what it must be told at start, and who it is: values and one port."""

from typing import Protocol

import msgspec

from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import NO_BATCH
from cloud_sync.protocol.messages import HeardOf
from cloud_sync.sealing import Sealer
from cloud_sync.signing import Signer
from payment_core.journal import CHAIN_START, TimeQuality


class Moment(msgspec.Struct, frozen=True):
    """One reading of both clocks: `mono_ms` since boot for waiting, `wall_ms` UTC for headers."""

    mono_ms: int
    wall_ms: int
    quality: TimeQuality


class SealedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the ledger's `batches`: what was sealed, once. `digest` is its EHB1 hash, `data` the whole batch."""

    batch_seq: int
    first_record: int
    record_count: int
    digest: bytes
    data: bytes

    @property
    def last_record(self) -> int:
        """The seq of the last record inside."""
        return self.first_record + self.record_count - 1


class UploadState(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger knows at start. `waiting`: the first sealed batches after `acked_seq`, in order, without a gap.

    What does not fit into the window is read when its turn comes. `last_*` describe the newest sealed batch,
    acknowledged or not; `last_record` is the seq of its last record.
    """

    epoch: int
    acked_seq: int = 0
    last_seq: int = 0
    last_hash: bytes = NO_BATCH
    last_record: int = 0
    tail_hash: bytes = CHAIN_START
    waiting: tuple[SealedBatch, ...] = ()


class ReadOutbox(msgspec.Struct, frozen=True):
    """Read the records with seq `after_record` + 1 and on, at most `most`; answer with on_records, also if none."""

    after_record: int
    most: int


class ReadKept(msgspec.Struct, frozen=True):
    """Read the sealed batches behind `after_seq`, with or without a receipt, at most `most`; answer with on_kept."""

    after_seq: int
    most: int


class StoreSealed(msgspec.Struct, frozen=True):
    """Commit the batch durably, then call on_stored."""

    batch: SealedBatch


class MoveCursor(msgspec.Struct, frozen=True):
    """A signed receipt covers everything up to this batch and record: the till may mark it acknowledged."""

    epoch: int
    through_seq: int
    through_record: int
    server_ms: int
    heard: tuple[HeardOf, ...] = ()


class Reconnect(msgspec.Struct, frozen=True):
    """The connection is dead though it looks alive."""

    reason: str


class OfficeSilent(msgspec.Struct, frozen=True):
    """No receipt comes, though the line is alive: the office counts as away. Answer with on_hello_request."""


class Freeze(msgspec.Struct, frozen=True):
    """Stop trading: `fork`, `rolled_back`, or the office's own word for it. Only an operator ends it."""

    reason: str


class Lift(msgspec.Struct, frozen=True):
    """An operator lifted the freeze of this epoch that has this reason; the ledger says whether it stands for it."""

    epoch: int
    reason: str


class TooBig(msgspec.Struct, frozen=True):
    """This record alone fits no batch: nothing from it on goes up until somebody looks. Said once; all else goes on."""

    record: int
    size: int


Effect = Publish | ReadOutbox | ReadKept | StoreSealed | MoveCursor | Reconnect | OfficeSilent | Freeze | Lift | TooBig


class HubPen(Protocol):
    """Who the hub is on the uplink: ids, its signing key, and the office's present receive key."""

    @property
    def hub_id(self) -> bytes:
        """16 bytes."""
        ...

    @property
    def tenant_id(self) -> bytes:
        """16 bytes: the office's address."""
        ...

    @property
    def signer(self) -> Signer:
        """The hub's signing key."""
        ...

    @property
    def office_sealer(self) -> Sealer:
        """Seals to the key that was pinned at enrolment; Uploader.on_trust goes beyond it."""
        ...
