"""A second, read-only connection for whoever must read beside the till: the uplink, health, `doctor`."""

import sqlite3
import time
from pathlib import Path

import msgspec

from cloud_sync.upload_window import WINDOW_BATCHES
from edge_agent.ledger import outbox
from edge_agent.ledger.outbox import SealedBatch
from edge_agent.ledger.store import LedgerDamagedError, LedgerError, Row, fault_of
from payment_core.journal import CHAIN_START, TimeQuality, decode_own

NO_HASH = bytes(32)


class UploadFacts(msgspec.Struct, frozen=True):
    """Where the upload stands: `last_*` is the newest sealed batch, acknowledged or not; `waiting` has no receipt.

    Of those that wait, the first; the rest is read when its turn comes.
    """

    epoch: int
    acked_batch: int
    last_batch: int
    last_hash: bytes
    last_seq: int
    tail_hash: bytes
    waiting: tuple[SealedBatch, ...]


class LedgerReader:
    """Reads a ledger that another connection writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            message = f"{path}: cannot be opened for reading: {error}"
            raise LedgerError(message) from error

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query; LedgerError where the file cannot be read, LedgerDamagedError for good."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            message = f"{self._path}: cannot be read: {error}"
            lost = fault_of(getattr(error, "sqlite_errorname", "")) in ("damaged", "io")
            raise (LedgerDamagedError if lost else LedgerError)(message) from error

    def records(self, after_seq: int, most: int) -> list[bytes]:
        """Return up to `most` records behind `after_seq`."""
        sql = "SELECT record FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
        return [record for (record,) in self.rows(sql, (after_seq, most))]

    def versions(self) -> dict[str, int]:
        """Return the newest version had of each document, in force or waiting for its moment, and of the list."""
        had = "SELECT name, version FROM documents UNION ALL SELECT name, version FROM document_archive"
        held: dict[str, int] = dict(self.rows(f"SELECT name, max(version) FROM ({had}) GROUP BY name"))
        held["list"] = self.rows("SELECT value FROM meta WHERE key = 'list_version'")[0][0]
        return held

    def outbox_age_ms(self) -> int:
        """Return the age of the oldest entry without a receipt, 0 where there is none."""
        acked = "SELECT value FROM meta WHERE key = 'acked_seq'"
        rows = self.rows(f"SELECT record FROM entries WHERE seq > ({acked}) ORDER BY seq LIMIT 1")
        return max(time.time_ns() // 1_000_000 - decode_own(rows[0][0]).header.wall_ms, 0) if rows else 0

    def newest_wall_ms(self) -> int:
        """Return the newest wall time this hub has seen: the clock's floor. One that was a guess is none."""
        floor = self.rows("SELECT value FROM meta WHERE key = 'time_floor'")
        newest = self.rows("SELECT record FROM entries ORDER BY seq DESC LIMIT 1")
        header = decode_own(newest[0][0]).header if newest else None
        seen_ms = header.wall_ms if header and header.quality <= TimeQuality.HELD else 0
        return max(seen_ms, int(floor[0][0]) if floor else 0)

    def upload_facts(self) -> UploadFacts:
        """Return where the upload stands."""
        cursor = outbox.read_cursor(self)
        waiting = tuple(outbox.kept_batches(self, after_seq=cursor.batch_seq, most=WINDOW_BATCHES))
        newest = outbox.newest_batch(self)
        last_seq = newest.first_rec + newest.rec_count - 1 if newest else cursor.seq
        at = self.rows("SELECT hash FROM entries WHERE seq = ?", (last_seq,))
        return UploadFacts(
            epoch=outbox.read_epoch(self),
            acked_batch=cursor.batch_seq,
            last_batch=newest.batch_seq if newest else cursor.batch_seq,
            last_hash=newest.hash if newest else (cursor.hash or NO_HASH),
            last_seq=last_seq,
            tail_hash=at[0][0] if at else CHAIN_START,
            waiting=waiting,
        )

    def kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        """Return up to `most` sealed batches behind `after_seq`, those with a receipt too."""
        return outbox.kept_batches(self, after_seq=after_seq, most=most)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
