"""Neighbours' sealed batches that this hub keeps for them, in a file of its own: synced before a neighbour is told.

A copy more of what its owner has, or had. Nothing here is opened, and nothing changes: it is kept, brought to the
office, and let go when the office or the owner says that it is booked.
"""

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from cloud_sync.protocol.envelope import batch_hash
from edge_agent.ledger.disk_order import LOW_BYTES
from edge_agent.ledger.health import free_bytes
from edge_agent.ledger.outbox import read_cursor, read_epoch
from edge_agent.ledger.store import Reads, fault_of

CARRIED_FILE: Final = "carried.sqlite3"
BUDGET_BYTES: Final = 64 * 1024 * 1024
"""What may lie here of all neighbours; beyond it nothing more is taken."""
_PRAGMAS: Final = (
    ("page_size", "4096", 4096),
    ("auto_vacuum", "FULL", 1),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("trusted_schema", "OFF", 0),
    ("cell_size_check", "ON", 1),
    ("secure_delete", "ON", 1),
    ("journal_size_limit", "1048576", 1_048_576),
    ("busy_timeout", "5000", 5000),
)
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS carried(
        hub_id BLOB NOT NULL, epoch INTEGER NOT NULL, batch_seq INTEGER NOT NULL, hash BLOB NOT NULL,
        last_rec INTEGER NOT NULL, kept_ms INTEGER NOT NULL, why TEXT NOT NULL DEFAULT '', sealed BLOB NOT NULL,
        PRIMARY KEY (hub_id, epoch, batch_seq, hash)) STRICT""",
    """CREATE TRIGGER IF NOT EXISTS carried_as_signed BEFORE UPDATE OF hub_id, epoch, batch_seq, hash, sealed ON carried
        BEGIN SELECT RAISE(ABORT, 'a carried batch never changes'); END""",
)
_ROOM: Final = "DELETE FROM carried WHERE rowid = (SELECT rowid FROM carried WHERE why <> '' ORDER BY kept_ms LIMIT 1)"


class CarriedBrokenError(Exception):
    """The file cannot be used, or cannot take more: no neighbour is told that anything is kept."""


def sealed_so_far(ledger: Reads) -> tuple[int, int, int]:
    """Return this hub's own epoch, its last batch with a receipt, and the last that is sealed."""
    acked = read_cursor(ledger).batch_seq
    newest = ledger.rows("SELECT coalesce(max(batch_seq), 0) FROM batches")[0][0]
    return read_epoch(ledger), acked, max(acked, newest)


class Carried(msgspec.Struct, frozen=True):
    """One neighbour's batch, as it was signed. `last_rec`: the seq of the last record inside; `digest`: its hash."""

    hub_id: bytes
    epoch: int
    batch_seq: int
    digest: bytes
    last_rec: int
    sealed: bytes


class CarriedStore:
    """One thread. Every method that changes something is durable when it returns."""

    def __init__(self, path: Path, *, budget: int = BUDGET_BYTES) -> None:
        self._path = path
        self._budget = budget
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._broken(error) from error
        try:
            self._set_pragmas()
            for table in _TABLES:
                self._connection.execute(table)
            found = self._connection.execute("SELECT coalesce(sum(length(sealed)), 0) FROM carried").fetchone()
            self.size: int = found[0]
        except sqlite3.Error as error:
            self._connection.close()
            raise self._broken(error) from error
        except CarriedBrokenError:
            self._connection.close()
            raise

    def _set_pragmas(self) -> None:
        for name, text, expected in _PRAGMAS:
            self._connection.execute(f"PRAGMA {name}={text}")
            if self._connection.execute(f"PRAGMA {name}").fetchone()[0] != expected:
                message = f"{self._path}: PRAGMA {name} did not take; use a local disk"
                raise CarriedBrokenError(message)

    @property
    def has_room(self) -> bool:
        """Whether a neighbour may count on this hub: not where the hub's own journal may soon want the disk."""
        return self.size < self._budget and free_bytes(self._path) >= LOW_BYTES

    def keep(self, batch: Carried, *, now_ms: int) -> bool:
        """Keep a batch, durably; False where there is no room for it or on the disk. The same again is kept already.

        What the office does not take goes first, the oldest of it. Two different ones of one number are both kept.
        """
        if self._is_kept(batch):
            return True
        if free_bytes(self._path) < LOW_BYTES:
            return False
        while self.size + len(batch.sealed) > self._budget:
            if not self._write(_ROOM):
                return False
        row = (batch.hub_id, batch.epoch, batch.batch_seq, batch.digest, batch.last_rec, now_ms, batch.sealed)
        insert = "INSERT INTO carried(hub_id, epoch, batch_seq, hash, last_rec, kept_ms, sealed) VALUES (?,?,?,?,?,?,?)"
        self._write(insert, row)
        return True

    def waiting(self, hub_id: bytes, *, most: int) -> list[Carried]:
        """Return the first of what is kept of a hub and not refused, in order; what a disk has changed is let go."""
        sql = (
            "SELECT hub_id, epoch, batch_seq, hash, last_rec, sealed FROM carried "
            "WHERE hub_id = ? AND why = '' ORDER BY epoch, batch_seq LIMIT ?"
        )
        try:
            rows = [Carried(*row) for row in self._connection.execute(sql, (hub_id, most))]
        except sqlite3.Error as error:
            raise self._broken(error) from error
        for row in rows:
            if batch_hash(row.sealed) != row.digest:
                self._write("DELETE FROM carried WHERE hub_id = ? AND hash = ?", (hub_id, row.digest))
        return [row for row in rows if batch_hash(row.sealed) == row.digest]

    def owners(self) -> list[bytes]:
        """Return the hubs of which something is kept that the office has not refused."""
        try:
            return [row[0] for row in self._connection.execute("SELECT DISTINCT hub_id FROM carried WHERE why = ''")]
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def let_go(self, hub_id: bytes, epoch: int, *, through_seq: int) -> None:
        """Forget a hub's batches of an epoch up to one: they are booked. Their space goes back to the disk at once."""
        sql = "DELETE FROM carried WHERE hub_id = ? AND epoch = ? AND batch_seq <= ?"
        self._drop(sql, (hub_id, epoch, through_seq))

    def let_go_records(self, hub_id: bytes, epoch: int, *, through_record: int) -> None:
        """Forget a hub's batches of an epoch that end at or before a record: they are booked."""
        sql = "DELETE FROM carried WHERE hub_id = ? AND epoch = ? AND last_rec <= ?"
        self._drop(sql, (hub_id, epoch, through_record))

    def refused(self, batch: Carried, why: str) -> None:
        """Note that the office does not take a batch: it is not brought again before `ask_again`."""
        self._write("UPDATE carried SET why = ? WHERE hub_id = ? AND hash = ?", (why, batch.hub_id, batch.digest))

    def ask_again(self) -> None:
        """Bring also what was refused before: somebody may have opened the hub again, or the office is a newer one."""
        self._write("UPDATE carried SET why = '' WHERE why <> ''")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _is_kept(self, batch: Carried) -> bool:
        sql = "SELECT 1 FROM carried WHERE hub_id = ? AND epoch = ? AND batch_seq = ? AND hash = ?"
        try:
            row = (batch.hub_id, batch.epoch, batch.batch_seq, batch.digest)
            return self._connection.execute(sql, row).fetchone() is not None
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _drop(self, sql: str, values: tuple[object, ...]) -> None:
        if self._write(sql, values):
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                raise self._broken(error) from error

    def _write(self, sql: str, values: tuple[object, ...] = ()) -> int:
        """Run one statement as a transaction of its own; return how many rows it touched."""
        try:
            touched = self._connection.execute(sql, values).rowcount
            if touched:
                found = self._connection.execute("SELECT coalesce(sum(length(sealed)), 0) FROM carried").fetchone()
                self.size = found[0]
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return touched

    def _broken(self, error: sqlite3.Error) -> CarriedBrokenError:
        kind = fault_of(getattr(error, "sqlite_errorname", "")) or "unclear"
        return CarriedBrokenError(f"{self._path}: {error} ({kind}); what is in it is kept")
