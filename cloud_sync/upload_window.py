"""The sealed batches that wait for a receipt: a window of them in memory, what is behind it stays in the ledger."""

from collections.abc import Iterable, Iterator
from typing import Final

from cloud_sync.upload_effects import SealedBatch

WINDOW_BATCHES: Final = 8
"""How many batches without a receipt are in memory, and under way; beyond it they wait in the ledger, their place."""


class Window:
    """The first batches behind `acked_seq`, in order and without a gap."""

    def __init__(self, waiting: Iterable[SealedBatch], *, acked_seq: int) -> None:
        self.through_seq = acked_seq
        """The last batch that is in here, or has a receipt."""
        self._held: dict[int, SealedBatch] = {}
        for batch in waiting:
            self.hold(batch)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[SealedBatch]:
        return iter(self._held.values())

    @property
    def room(self) -> int:
        """How many more may come in."""
        return WINDOW_BATCHES - len(self._held)

    def get(self, batch_seq: int) -> SealedBatch | None:
        """Return a batch that is in here."""
        return self._held.get(batch_seq)

    def hold(self, batch: SealedBatch) -> bool:
        """Take the batch in where it is the next and there is room; False: it is read when its turn comes."""
        if batch.batch_seq != self.through_seq + 1 or not self.room:
            return False
        self._held[batch.batch_seq] = batch
        self.through_seq = batch.batch_seq
        return True

    def let_go(self, acked_seq: int) -> None:
        """Drop what has a receipt now."""
        for seq in [seq for seq in self._held if seq <= acked_seq]:
            del self._held[seq]
        self.through_seq = max(self.through_seq, acked_seq)


class Forgotten:
    """Says whether an office was restored from a backup: its cursor is behind its own receipts, and it is sent more.

    An old receipt that comes late says the same: only the one that answers a hello is taken for it, and those that say
    the office has caught up with what it was sent then. The hub's own cursor never goes back.
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._sent_seq: int | None = None

    def asked(self) -> None:
        """Note that a hello goes out: the next receipt answers it."""
        self._is_asked = True

    def sent(self, batch_seq: int) -> None:
        """Note how far the office was sent what it has forgotten."""
        self._sent_seq = batch_seq

    def is_behind(self, through_seq: int, *, acked_seq: int) -> bool:
        """Take a receipt that moves nothing; say whether the batches behind it are to be sent again."""
        answers, self._is_asked = self._is_asked, False
        if through_seq >= acked_seq:
            self._sent_seq = None
            return False
        return answers or (self._sent_seq is not None and through_seq >= self._sent_seq)
