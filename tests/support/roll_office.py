"""What the office does in a till roll: seals, receipts and, where a story needs them, real books."""

import hashlib

from edge_agent.ledger import outbox
from edge_agent.ledger.entries import read_tail
from edge_agent.messages import BatchSealed, ReceiptTaken


class OfficeVerbs:
    """The `sync`, `prune` and `office` verbs; the roll gives `hall`, `lan`, `step` and `said`."""

    def _sync_line(self) -> None:
        """Seal what is new at a hall, send it, take the office's receipt."""
        first, last = outbox.read_cursor(self.hall.store).seq + 1, read_tail(self.hall.store).seq
        batches = outbox.read_cursor(self.hall.store).batch_seq + 1
        digest = hashlib.sha256(bytes([batches])).digest()
        self.step(BatchSealed(batches, first, last - first + 1, digest, b"sealed"))
        self.step(ReceiptTaken(batches, last))
        waiting = len(outbox.waiting_batches(self.hall.store))
        self.said = f"{last - first + 1} entries, receipt {batches}, {waiting} waiting"

    def _prune_line(self) -> None:
        store = self.hall.store
        store.execute("BEGIN IMMEDIATE")
        gone = outbox.prune(store, through_seq=read_tail(store).seq)
        store.commit()
        self.said = f"{gone} entries gone"

    def office_faults(self) -> list[str]:
        """Return what the books say is wrong."""
        return []

    def close(self) -> None:
        """Close all ledgers."""
        self.lan.close()
