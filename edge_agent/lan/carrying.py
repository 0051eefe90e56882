"""Keeping neighbours' sealed batches, and bringing them to the office in the place of one that is silent.

A batch is checked against its owner's key and never opened: nobody here can. It is on the disk before its owner is
told, and leaves it only when the office, or the owner who has a receipt, says that it is booked: no broker can.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from cloud_sync import sealing
from cloud_sync.letters import Publish
from cloud_sync.protocol import envelope
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.envelope import batch_hash
from cloud_sync.protocol.messages import Receipt
from cloud_sync.protocol.peers import PeerHere, PeerKept, PeerKey
from cloud_sync.protocol.topics import hub_topic
from edge_agent.lan.handing import SILENT_MS
from edge_agent.ledger.carried import Carried, CarriedBrokenError, CarriedStore
from payment_core.money import MAX_MINOR

AT_ONCE: Final = 4
"""Batches of one neighbour under way to the office."""
AGAIN_MS: Final = 10_000
"""What the office did not answer is brought again after this; what it could not book yet, after ever twice as long."""
SELDOM_MS: Final = 320_000
"""The longest of those waits: behind a hole that nobody has, it would go round and round."""


class TellKept(msgspec.Struct, frozen=True):
    """An effect: this letter to this neighbour."""

    hub_id: bytes
    body: PeerKept


class CarryFault(msgspec.Struct, frozen=True):
    """An effect for the log: a batch was thrown away, or the file cannot be used."""

    why: str
    hub_id: bytes = b""


class _Brought(msgspec.Struct, frozen=True):
    """A batch that was brought, when it is due again, how long that wait was, and whether the office answered."""

    batch: Carried
    due_ms: int
    wait_ms: int
    is_heard: bool = False


class Carrying:
    """A synchronous state machine over the store; times are ms since boot, `wall_ms` UTC.

    Neighbours count as heard when it starts: a hub that starts knows of nobody's silence yet. A batch says nothing of
    its owner being there: anybody who saw it can bring it again. What he says himself has a number that rises.
    """

    def __init__(self, hub_id: bytes, store: CarriedStore, *, now_ms: int) -> None:
        self._hub_id = hub_id
        self._store = store
        self._started_ms = now_ms
        self._peers: dict[bytes, PeerKey] = {}
        self._heard_ms: dict[bytes, int] = {}
        self._under_way: dict[bytes, dict[bytes, _Brought]] = {}

    @property
    def has_room(self) -> bool:
        """Whether neighbours may count on this hub."""
        return self._store.has_room

    def on_peers(self, peers: Sequence[PeerKey]) -> None:
        """Take who the neighbours are by the office's word. What was kept of others before stays."""
        self._peers = {peer.hub_id: peer for peer in peers if peer.hub_id != self._hub_id}

    def on_batch(self, hub_id: bytes, data: bytes, *, wall_ms: int) -> list[TellKept | CarryFault]:
        """Take a neighbour's batch in, and answer when it is on the disk, or that it cannot be."""
        batch = self._read(hub_id, data)
        if isinstance(batch, CarryFault):
            return [batch]
        answer = PeerKept(batch.epoch, batch.batch_seq)
        try:
            kept = self._store.keep(batch, now_ms=wall_ms)
        except CarriedBrokenError as error:
            return [CarryFault(str(error), hub_id), TellKept(hub_id, msgspec.structs.replace(answer, kept=False))]
        return [TellKept(hub_id, msgspec.structs.replace(answer, kept=kept))]

    def _read(self, hub_id: bytes, data: bytes) -> Carried | CarryFault:
        peer = self._peers.get(hub_id)
        if peer is None:
            return CarryFault("no neighbour", hub_id)
        parsed = sealing.authenticate(data, hub_id=hub_id, signer_public=peer.sign_public)
        if isinstance(parsed, envelope.Rejected):
            return CarryFault(parsed.reason, hub_id)
        header = parsed.header
        if header.stream != envelope.STREAM_LEDGER:
            return CarryFault("stream", hub_id)
        last_rec = header.first_record + header.record_count - 1
        if max(header.batch_seq, last_rec) > MAX_MINOR:  # no receipt ever says such a number, and no column holds it
            return CarryFault("count", hub_id)
        return Carried(hub_id, header.epoch, header.batch_seq, batch_hash(data), last_rec, data)

    def on_here(self, now_ms: int, hub_id: bytes, here: PeerHere) -> None:
        """A neighbour is there, and the office has its batches up to one."""
        self._heard_ms[hub_id] = now_ms
        if hub_id in self._peers:
            self._store.let_go(hub_id, here.epoch, through_seq=here.acked_seq)

    def on_receipt(self, receipt: Receipt) -> None:
        """Take how far the office has booked the neighbours."""
        for heard in receipt.heard:
            self._store.let_go_records(heard.hub_id, heard.epoch, through_record=heard.seq)

    def on_taken(self, taken: CarriedTaken) -> None:
        """Take the office's word about what was brought to it. Neither booked nor refused: a batch before it misses."""
        self._store.let_go(taken.hub_id, taken.epoch, through_seq=taken.through_seq)
        way = self._under_way.get(taken.hub_id, {})
        brought = way.get(taken.digest)
        if brought is not None:
            way[taken.digest] = msgspec.structs.replace(brought, is_heard=True)
            if taken.why:
                self._store.refused(brought.batch, taken.why)

    def on_office(self) -> None:
        """A new connection to the office: everything that is kept may be brought again."""
        self._under_way.clear()
        self._store.ask_again()

    def on_tick(self, now_ms: int) -> list[Publish]:
        """Bring what is kept of silent neighbours; called only while the office takes it."""
        letters: list[Publish] = []
        for owner in self._store.owners():
            if now_ms - self._heard_ms.get(owner, self._started_ms) >= SILENT_MS:
                letters += self._bring(now_ms, owner)
            else:
                self._under_way.pop(owner, None)
        return letters

    def _bring(self, now_ms: int, owner: bytes) -> list[Publish]:
        before = self._under_way.get(owner, {})
        way = self._under_way[owner] = {}
        letters: list[Publish] = []
        for batch in self._store.waiting(owner, most=AT_ONCE):
            brought = before.get(batch.digest)
            if brought is not None and now_ms < brought.due_ms:
                way[batch.digest] = brought
            else:
                wait_ms = min(2 * brought.wait_ms, SELDOM_MS) if brought and brought.is_heard else AGAIN_MS
                way[batch.digest] = _Brought(batch, now_ms + wait_ms, wait_ms)
                letters.append(Publish(hub_topic(self._hub_id, "up", "carried"), batch.sealed))
        return letters
