"""Batches of the office that wait for one that is missing: bounded over all hubs, and never the only copy."""

from collections.abc import Callable
from typing import Final

BUFFERED_BATCHES: Final = 1_024
BUFFERED_BYTES: Final = 64 * 1024 * 1024
"""What waits behind gaps, over all hubs; a batch beyond either is dropped, for its hub sends it again."""


class WaitingBatches:
    """By hub and number. A worker that loses a hub to another forgets them: the hub has them still."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._of: dict[bytes, dict[int, bytes]] = {}
        self._bytes = 0
        self._count = 0

    def keep(self, hub_id: bytes, batch_seq: int, data: bytes) -> None:
        """Keep a batch where there is room; the first of a number counts."""
        if self._count >= BUFFERED_BATCHES or self._bytes + len(data) > BUFFERED_BYTES:
            return
        if batch_seq not in self._of.setdefault(hub_id, {}):
            self._of[hub_id][batch_seq] = data
            self._count += 1
            self._bytes += len(data)

    def take_next(self, hub_id: bytes, batch_seq: int) -> bytes | None:
        """Return the batch behind `batch_seq`, where it waits; it and those before it wait no longer."""
        of = self._of.get(hub_id, {})
        found = of.get(batch_seq + 1)
        for seq in [seq for seq in of if seq <= batch_seq + 1]:
            self._bytes -= len(of.pop(seq))
            self._count -= 1
        if not of:
            self._of.pop(hub_id, None)
        return found

    def forget(self, is_gone: Callable[[bytes], bool]) -> None:
        """Let go of the batches of some hubs."""
        for hub_id in [hub_id for hub_id in self._of if is_gone(hub_id)]:
            for data in self._of.pop(hub_id).values():
                self._bytes -= len(data)
                self._count -= 1

    def __len__(self) -> int:
        return self._count
