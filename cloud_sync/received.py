"""What the receiver needs of the books, and what it hands on: hubs, batches that are proven, effects to carry out."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import Header
from cloud_sync.protocol.messages import HeardOf, Hello, LeaseRequest, ListRequest
from cloud_sync.protocol.receipts import Watermark
from payment_core.journal import HubEntry


class HubRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the office has pinned and noted about a hub.

    allowed_epoch: the newest epoch an operator opened; `reopened`: the freeze an operator lifted last, or empty;
    `hello_number`, `nonce`: of its newest hello, 0 and b"" before. venue_id: where it stands.
    """

    hub_id: bytes
    sign_public: bytes
    receive_public: bytes
    allowed_epoch: int = 1
    frozen: str = ""
    reopened: str = ""
    hello_number: int = 0
    nonce: bytes = b""
    venue_id: bytes = b""


class AcceptedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is proven and next in its journal: apply it, its dedupe row and `after` in one transaction.

    `before` is the watermark it was judged against: a store with more than one worker checks it in its transaction.
    """

    hub_id: bytes
    header: Header
    digest: bytes
    data: bytes
    records: tuple[bytes, ...]
    entries: tuple[HubEntry, ...]
    before: Watermark
    after: Watermark


Outcome = Literal["applied", "known", "gap", "fork", "old_epoch", "parked", "frozen", "fenced"]
"""What `apply` did. Only `applied` booked it: else another worker was first, or it parked what no book can hold.

`frozen`: the hub was, since the batch was judged. `fenced`: another worker has taken over the hub's partition."""


class Office(Protocol):
    """What the receiver needs of the books."""

    def hub(self, hub_id: bytes) -> HubRecord | None:
        """Return the hub's record, or None where it is not enrolled."""

    def watermark(self, hub_id: bytes) -> Watermark:
        """Return how far the hub's newest epoch is booked; Watermark(epoch=0) where nothing came yet."""

    def sealed_ms(self, hub_id: bytes) -> int:
        """Return when the hub's newest batch in the books was sealed, by its own clock; -1 before the first."""

    def known_hash(self, hub_id: bytes, epoch: int, batch_seq: int) -> bytes | None:
        """Return the hash under which this batch was applied, or None."""

    def heard_of(self, hub_id: bytes) -> tuple[HeardOf, ...]:
        """Return how far the hub's neighbours were heard, as its receipts say it."""

    def apply_together(self, batches: Sequence[AcceptedBatch]) -> Sequence[Outcome]:
        """Apply in one transaction; where one of them cannot be booked, each in its own. In their order."""

    def greeted(self, hub_id: bytes, hello: Hello, *, number: int, now_ms: int) -> None:
        """Keep a hub's hello of today: its nonce comes back in `hub`, and of all numbers the highest.

        `number`: its own, which is the moment it was said by the hub's clock; after one of a clock that was ahead, it
        may be lower than the highest.
        """

    def freeze(self, hub_id: bytes, reason: str, evidence: Sequence[bytes]) -> None:
        """Freeze the hub durably: `fork` or `rolled_back`. The evidence is one side; the books have the other."""

    def park(self, hub_id: bytes, why: str, data: bytes) -> None:
        """Keep a batch that its hub signed and no book has: this release cannot read it, or its hub is frozen.

        Alarm for each that is new, by its hash; keep so many of a hub at most. The cursor stays.
        """


class Asked(msgspec.Struct, frozen=True):
    """A hub asked for leases or for the list: the office's to answer."""

    hub_id: bytes
    number: int
    request: LeaseRequest | ListRequest


class Refusal(msgspec.Struct, frozen=True):
    """Bytes that were thrown away, for the log and the counters. `topic` is the broker's word; nothing is proven."""

    topic: str
    reason: str


class Applied(msgspec.Struct, frozen=True):
    """A batch went into the books: for pages that show entries as they arrive."""

    batch: AcceptedBatch


Effect = Publish | Asked | Refusal | Applied
