"""Handing this hub's sealed batches to one neighbour while the office is away, so that a dead box loses nothing.

The carrier is the neighbour next in the order of ids that said within a minute that it is here and has room. Another
carrier is given everything that has no receipt, from the beginning; what it keeps it has said in a letter of its own.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cloud_sync.protocol.peers import PeerHere, PeerKept
from cloud_sync.upload_effects import SealedBatch

HERE_MS: Final = 20_000
"""How often a hub says to its neighbours that it is there."""
SILENT_MS: Final = 60_000
"""Who said nothing for so long counts as gone."""
AT_ONCE: Final = 4
"""Batches under way to the carrier."""
AGAIN_MS: Final = 5_000
FULL_MS: Final = 60_000
"""How long a neighbour without room is left alone."""
NOT_KEPT_MS: Final = 60_000
"""A carrier that is there and answered no batch for so long is told of: mostly by the broker's access list."""


class HandOver(msgspec.Struct, frozen=True):
    """An effect: these bytes, as they were sealed, to this neighbour."""

    hub_id: bytes
    sealed: bytes


class SayHere(msgspec.Struct, frozen=True):
    """An effect: this letter to this neighbour."""

    hub_id: bytes
    body: PeerHere


class NotKept(msgspec.Struct, frozen=True):
    """An effect for the log, once of each silence: this neighbour says that it is there, and answers no batch."""

    hub_id: bytes


class Position(msgspec.Struct, frozen=True):
    """Where the journal stands: its epoch, the last batch with a receipt, the last that is sealed."""

    epoch: int
    acked_seq: int
    last_seq: int


Kept = Callable[[int, int], Sequence[SealedBatch]]
"""Returns the sealed batches behind a number, at most so many."""


class Handing:
    """A synchronous state machine; times are ms since boot. `kept` reads this hub's own sealed batches."""

    def __init__(self, hub_id: bytes, kept: Kept) -> None:
        self._hub_id = hub_id
        self._kept = kept
        self._peers: tuple[bytes, ...] = ()
        self._heard_ms: dict[bytes, int] = {}
        self._full_ms: dict[bytes, int] = {}
        self._carrier: bytes | None = None
        self._epoch = 0
        self._through = 0
        self._beyond: set[int] = set()
        self._under_way: dict[int, int] = {}
        self._owes_ms: int | None = None
        self._told = False
        self._here_ms: int | None = None

    def on_peers(self, peers: Sequence[bytes]) -> None:
        """Take who the neighbours are by the office's word."""
        self._peers = tuple(sorted(peer for peer in peers if peer != self._hub_id))

    def on_here(self, now_ms: int, hub_id: bytes, here: PeerHere) -> None:
        """A neighbour is there."""
        self._heard_ms[hub_id] = now_ms
        if not here.room:
            self._full_ms[hub_id] = now_ms

    def on_kept(self, now_ms: int, hub_id: bytes, answer: PeerKept) -> None:
        """The carrier has a batch on its disk, or no room for it."""
        if hub_id != self._carrier or answer.epoch != self._epoch or answer.batch_seq not in self._under_way:
            return
        self._owes_ms, self._told = None, False
        if not answer.kept:
            self._full_ms[hub_id] = now_ms
            return
        self._beyond.add(answer.batch_seq)
        while self._through + 1 in self._beyond:
            self._through += 1
        self._forget()

    def carrier(self, now_ms: int) -> bytes | None:
        """Return the neighbour that keeps for us now, or None where none is there."""
        there = [peer for peer in self._peers if self._is_there(now_ms, peer)]
        behind = [peer for peer in there if peer > self._hub_id]
        return next(iter((*behind, *there)), None)

    def on_tick(self, now_ms: int, at: Position, *, offline: bool, room: bool) -> list[HandOver | SayHere | NotKept]:
        """Say that we are here, and hand over what the carrier does not have yet. `room`: we keep for others."""
        effects: list[HandOver | SayHere | NotKept] = []
        if self._here_ms is None or now_ms - self._here_ms >= HERE_MS:
            self._here_ms = now_ms
            here = PeerHere(at.epoch, at.acked_seq, room)
            effects += [SayHere(peer, here) for peer in self._peers]
        carrier = self.carrier(now_ms)
        if (carrier, at.epoch) != (self._carrier, self._epoch):
            self._carrier, self._epoch, self._through = carrier, at.epoch, 0
            self._beyond.clear()
            self._under_way.clear()
            self._owes_ms, self._told = None, False
        self._through = max(self._through, at.acked_seq)
        self._forget()
        if carrier is None or not offline or self._through >= at.last_seq:
            self._owes_ms, self._told = None, False
            return effects
        return effects + self._hand_over(now_ms, carrier)

    def _hand_over(self, now_ms: int, carrier: bytes) -> list[HandOver | SayHere | NotKept]:
        effects: list[HandOver | SayHere | NotKept] = []
        for batch in self._kept(self._through, AT_ONCE):
            seq = batch.batch_seq
            if seq not in self._beyond and now_ms >= self._under_way.get(seq, now_ms):
                self._under_way[seq] = now_ms + AGAIN_MS
                effects.append(HandOver(carrier, batch.data))
        self._owes_ms = now_ms if self._owes_ms is None else self._owes_ms
        if now_ms - self._owes_ms >= NOT_KEPT_MS and not self._told:
            self._told = True
            effects.append(NotKept(carrier))
        return effects

    def _forget(self) -> None:
        """Forget what is behind: the carrier, or the office, has it."""
        self._beyond = {seq for seq in self._beyond if seq > self._through}
        self._under_way = {seq: due for seq, due in self._under_way.items() if seq > self._through}

    def _is_there(self, now_ms: int, peer: bytes) -> bool:
        heard = now_ms - self._heard_ms.get(peer, now_ms - SILENT_MS) < SILENT_MS
        return heard and now_ms - self._full_ms.get(peer, now_ms - FULL_MS) >= FULL_MS
