"""Batches of the office that wait for one that is missing: bounded over all hubs, and never the only copy."""

from collections.abc import Callable
from typing import Final

BUFFERED_BATCHES: Final = 1_024
BUFFERED_BYTES: Final = 64 * 1024 * 1024
"""What waits behind gaps, over all hubs. What has to make room is of the hub that was silent longest: it may be dead,
and whatever is dropped its hub sends again.
"""


class WaitingBatches:
    """By hub, epoch and number. A worker that loses a hub to another forgets them: the hub has them still."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._of: dict[bytes, dict[tuple[int, int], bytes]] = {}
        """The hub that was silent longest first."""
        self._bytes = 0
        self._count = 0

    def keep(self, hub_id: bytes, epoch: int, batch_seq: int, data: bytes) -> None:
        """Keep a batch; the first of a number counts. Other hubs make room for it, its own batches do not."""
        of = self._of[hub_id] = self._of.pop(hub_id, {})
        if (epoch, batch_seq) not in of and self._makes_room(hub_id, len(data)):
            of[epoch, batch_seq] = data
            self._count += 1
            self._bytes += len(data)
        if not of:
            del self._of[hub_id]

    def take_next(self, hub_id: bytes, epoch: int, batch_seq: int) -> bytes | None:
        """Return the batch behind `batch_seq`, where it waits; it and those before it wait no longer."""
        found = self._of.get(hub_id, {}).get((epoch, batch_seq + 1))
        self._drop(hub_id, (epoch, batch_seq + 1))
        return found

    def begin(self, hub_id: bytes, epoch: int) -> None:
        """Let go of a hub's batches of epochs that it has left."""
        self._drop(hub_id, (epoch, 0))

    def forget(self, is_gone: Callable[[bytes], bool]) -> None:
        """Let go of the batches of some hubs."""
        for hub_id in [hub_id for hub_id in self._of if is_gone(hub_id)]:
            self._forget(hub_id)

    def __len__(self) -> int:
        return self._count

    def _makes_room(self, hub_id: bytes, size: int) -> bool:
        """Forget other hubs until so many bytes find room; say whether they do."""
        while self._count >= BUFFERED_BATCHES or self._bytes + size > BUFFERED_BYTES:
            silent = next(iter(self._of))
            if silent == hub_id:
                return False
            self._forget(silent)
        return True

    def _forget(self, hub_id: bytes) -> None:
        for data in self._of.pop(hub_id).values():
            self._bytes -= len(data)
            self._count -= 1

    def _drop(self, hub_id: bytes, through: tuple[int, int]) -> None:
        of = self._of.get(hub_id, {})
        for place in [place for place in of if place <= through]:
            self._bytes -= len(of.pop(place))
            self._count -= 1
        if not of:
            self._of.pop(hub_id, None)
