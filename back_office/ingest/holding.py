"""The partitions that one worker holds: claimed, renewed, given up, and named as the fence of each of its writes."""

from collections.abc import Callable, Collection
from typing import Final

import msgspec
import structlog

from back_office.store import partitions
from back_office.store.engine import Fence, Store, Transaction
from cloud_sync.protocol import topics

ALL: Final = range(topics.PARTITIONS)
RENEW_MS: Final = partitions.TTL_MS // 3
"""How often leases are renewed: two renewals may fail before one runs out."""
log = structlog.get_logger()


class Moved(msgspec.Struct, frozen=True):
    """What a look at the leases changed for this worker."""

    taken: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()


class Holding:
    """One worker's leases. `worker` names it over restarts; `yields`: it gives up what another asks for."""

    def __init__(
        self, store: Store, tenant_id: bytes, worker: str, clock: Callable[[], int], *,
        wanted: Collection[int] = ALL, yields: bool = False,
    ) -> None:  # fmt: skip
        """Hold nothing yet."""
        self._store = store
        self._tenant_id = tenant_id
        self._worker = worker
        self._clock = clock
        self._wanted = frozenset(wanted)
        self._yields = yields
        self._held: dict[int, int] = {}
        self._looked_ms: int | None = None

    @property
    def held(self) -> frozenset[int]:
        """The partitions whose messages are this worker's."""
        return frozenset(self._held)

    def has(self, hub_id: bytes) -> bool:
        """Say whether a hub's messages are this worker's."""
        return topics.partition(hub_id) in self._held

    def fences(self, hub_id: bytes) -> tuple[Fence, ...]:
        """Return what every write for a hub names. Epoch 0, which no row has, where its partition is not held."""
        partition = topics.partition(hub_id)
        return (Fence(self._tenant_id, partition, self._held.get(partition, 0)),)

    def look(self) -> Moved:
        """Renew what is held and take what is free, where it is time for that."""
        now_ms = self._clock()
        first = self._looked_ms is None
        if self._looked_ms is not None and now_ms - self._looked_ms < RENEW_MS:
            return Moved()

        def renew_and_claim(tx: Transaction) -> dict[int, int]:
            kept = partitions.renew(tx, self._tenant_id, self._held, now_ms=now_ms, yields=self._yields)
            free = self._wanted - kept.keys()
            taken = partitions.claim(tx, self._tenant_id, free, self._worker, now_ms=now_ms, own=first)
            return {**kept, **taken}

        before = self._held
        self._held = self._store.write(renew_and_claim)
        self._looked_ms = now_ms
        gone = {partition for partition, epoch in before.items() if self._held.get(partition) != epoch}
        fresh = {partition for partition, epoch in self._held.items() if before.get(partition) != epoch}
        if fresh or gone:
            log.info("partitions.moved", worker=self._worker, taken=len(fresh), lost=len(gone), held=len(self._held))
        return Moved(frozenset(fresh), frozenset(gone))

    def lost(self, hub_id: bytes) -> frozenset[int]:
        """Note that another worker has the partition of a hub, where the books say so; return it.

        Which hub a message was about may be what somebody made up: nothing is given up by a message's word.
        """
        partition = topics.partition(hub_id)
        with self._store.reading() as tx:
            row = partitions.leases(tx, self._tenant_id).get(partition)
        if row is not None and row.epoch == self._held.get(partition):
            return frozenset()
        return frozenset() if self._held.pop(partition, None) is None else frozenset({partition})

    def release(self) -> None:
        """Give everything up."""
        held, self._held = self._held, {}
        self._store.write(lambda tx: partitions.release(tx, self._tenant_id, held))


class AllOfIt:
    """What a worker holds that is alone with its books, as in a simulation: everything, and nothing fences it."""

    @property
    def held(self) -> frozenset[int]:
        """Every partition."""
        return frozenset(ALL)

    def has(self, _hub_id: bytes) -> bool:
        """Say that every hub is this worker's."""
        return True

    def fences(self, _hub_id: bytes) -> tuple[Fence, ...]:
        """Return nothing."""
        return ()

    def look(self) -> Moved:
        """Return that nothing has moved."""
        return Moved()

    def lost(self, _hub_id: bytes) -> frozenset[int]:
        """Lose nothing."""
        return frozenset()

    def release(self) -> None:
        """Keep everything: nobody else would take it."""
