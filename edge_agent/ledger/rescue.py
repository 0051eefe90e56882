"""What is intact of a damaged ledger goes on to the office: read from the damaged file, written to one beside it.

Nothing is written to the damaged file any more. Sealed batches and the receipts' cursor go into a small ledger of
their own, so that a batch is sealed once and sent as often as it must be, over restarts too.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from cloud_sync.protocol.envelope import batch_hash, tail_hash_of
from cloud_sync.upload_window import WINDOW_BATCHES
from edge_agent.ledger import outbox
from edge_agent.ledger.entries import Tail, follow_chain
from edge_agent.ledger.migrations import adopt_epoch, migrate
from edge_agent.ledger.outbox import SealedBatch
from edge_agent.ledger.reader import LedgerReader, UploadFacts
from edge_agent.ledger.store import UNREADABLE, LedgerDamagedError, LedgerError, LedgerRefusedError, Row, SqliteStore
from payment_core.journal import CHAIN_START

COPIED: Final = ("epoch", "acked_batch", "acked_seq", "acked_hash")


class Rescue(LedgerReader):
    """Reads what is intact for an uploader, and keeps what the uploader seals; LedgerError where that cannot be kept.

    Of a ledger that is gone, or unreadable from its first page on, nothing goes up but the hello: the office then sees
    that the journal is behind its books.
    """

    def __init__(self, damaged: Path, *, epoch: int) -> None:
        self._is_lost = not damaged.exists()
        if not self._is_lost:
            super().__init__(damaged)
        path = damaged.with_name(damaged.name + ".rescue")
        self._kept = SqliteStore(path)
        migrate(self._kept, str(path))
        if self._kept.rows("SELECT 1 FROM meta WHERE key = 'tail'"):
            return
        try:
            self._begin()
        except (LedgerDamagedError, *UNREADABLE):
            adopt_epoch(self._kept, epoch)
            self._kept.execute("INSERT INTO meta(key, value) VALUES ('tail', ?)", (CHAIN_START,))

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query on the damaged ledger; LedgerDamagedError where it cannot be read."""
        if self._is_lost:
            message = "the ledger is gone"
            raise LedgerDamagedError(message)
        try:
            return super().rows(sql, values)
        except (LedgerError, *UNREADABLE) as error:
            raise LedgerDamagedError(str(error)) from error

    def _begin(self) -> None:
        """Take over the cursor, the batches that wait, and the chain where the next batch goes on."""
        meta: dict[str, Any] = dict(self.rows("SELECT key, value FROM meta"))
        waiting = list(takewhile(_is_whole, outbox.waiting_batches(self)))
        last = waiting[-1].first_rec + waiting[-1].rec_count - 1 if waiting else meta["acked_seq"]
        tail = self._tail_at(waiting, last)
        cursor = [(meta[key], key) for key in COPIED]
        self._kept.execute("BEGIN IMMEDIATE")
        try:
            self._kept.executemany("UPDATE meta SET value = ? WHERE key = ?", cursor)
            for batch in waiting:
                outbox.store_batch(self._kept, batch)
            self._kept.execute("INSERT INTO meta(key, value) VALUES ('tail', ?)", (tail,))
        except LedgerRefusedError as error:
            self._kept.execute("ROLLBACK")
            raise LedgerDamagedError(str(error)) from error
        self._kept.commit()

    def _tail_at(self, waiting: list[SealedBatch], seq: int) -> bytes:
        if waiting:
            return tail_hash_of(waiting[-1].sealed)
        rows = self.rows("SELECT hash FROM entries WHERE seq = ?", (seq,))
        return rows[0][0] if rows else CHAIN_START

    def _known(self) -> tuple[Tail, list[SealedBatch]]:
        """Return where the next batch begins, and the batches that wait."""
        waiting = outbox.waiting_batches(self._kept)
        seq = waiting[-1].first_rec + waiting[-1].rec_count - 1 if waiting else outbox.read_cursor(self._kept).seq
        kept = self._kept.rows("SELECT value FROM meta WHERE key = 'tail'")[0][0]
        return Tail(seq, tail_hash_of(waiting[-1].sealed) if waiting else kept), waiting

    def records(self, after_seq: int, most: int) -> list[bytes]:
        """Return up to `most` records behind `after_seq`, none from the first on that does not fit its chain."""
        known, _waiting = self._known()
        assert known.seq == after_seq, "an uploader asks for what comes behind its last batch"
        while most:
            try:
                piece = next(follow_chain(self, known, piece=most), None)
                return super().records(after_seq, min(most, piece.entries)) if piece else []
            except (LedgerDamagedError, *UNREADABLE):
                most //= 2  # the page that cannot be read may lie further on
        return []

    def versions(self) -> dict[str, int]:
        """Return nothing: no document is in force here."""
        return {}

    def outbox_age_ms(self) -> int:
        """Return 0: how old the rest is may not be readable."""
        return 0

    def upload_facts(self) -> UploadFacts:
        """Return where the upload stands."""
        known, waiting = self._known()
        cursor = outbox.read_cursor(self._kept)
        newest = waiting[-1] if waiting else None
        return UploadFacts(
            epoch=outbox.read_epoch(self._kept),
            acked_batch=cursor.batch_seq,
            last_batch=newest.batch_seq if newest else cursor.batch_seq,
            last_hash=newest.hash if newest else (cursor.hash or bytes(32)),
            last_seq=known.seq,
            tail_hash=known.hash,
            waiting=tuple(waiting[:WINDOW_BATCHES]),
        )

    def kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        """Return sealed batches: those that wait of the file beside, those with a receipt of the damaged one."""
        if after_seq >= outbox.read_cursor(self._kept).batch_seq:
            return outbox.kept_batches(self._kept, after_seq=after_seq, most=most)
        return super().kept(after_seq, most)

    @property
    def end(self) -> int:
        """The seq at which the journal ends, as far as it can be read; how far it is intact is seen when it goes up."""
        try:
            return int(self.rows("SELECT max(seq) FROM entries")[0][0] or 0)
        except LedgerDamagedError:
            return 0

    def store_batch(self, batch: SealedBatch) -> None:
        """Keep a sealed batch before its first publish."""
        self._kept.execute("BEGIN IMMEDIATE")
        outbox.store_batch(self._kept, batch)
        self._kept.commit()

    def take_receipt(self, batch_seq: int, through_seq: int) -> None:
        """Move the cursor over a batch that waits."""
        _tail, waiting = self._known()
        covered = [batch for batch in waiting if batch.batch_seq == batch_seq]
        self._kept.execute("BEGIN IMMEDIATE")
        if covered and outbox.take_receipt(self._kept, batch_seq, through_seq):
            self._kept.execute("UPDATE meta SET value = ? WHERE key = 'tail'", (tail_hash_of(covered[0].sealed),))
        self._kept.commit()

    def close(self) -> None:
        """Close both files."""
        self._kept.close()
        if not self._is_lost:
            super().close()



def _is_whole(batch: SealedBatch) -> bool:
    return batch_hash(batch.sealed) == batch.hash
