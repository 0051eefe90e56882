"""The port through which the ledger meets SQLite (execute, executemany, rows, commit, close), and its product plug.

Crash-only: any error of SQLite while writing means the outcome is UNKNOWN; the process stops, reopens, reconciles.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec

from edge_agent.ledger.page_sums import PageSums
from payment_core.errors import VaultError

PAGE_BYTES: Final = 1024
WAL_LIMIT_BYTES: Final = 4 * 1024 * 1024
Row = tuple[Any, ...]


class LedgerError(Exception):
    """The ledger cannot be used; the text names the file and the remedy."""


WAY_ON: Final = (
    "`venuehub office hub replace` at the office, then `venuehub agent salvage` here: it moves the files into "
    "quarantine and opens a new epoch with what is known"
)
"""What to do about a damaged ledger, in its order (docs/office.md, a hub that will not come back)."""
Fault = Literal["full", "read_only", "damaged", "io", "unclear"]
"""What a disk does to a ledger; unclear: an error that a ledger in order does not raise."""


REMEDIES: Final[dict[Fault, str]] = {
    "full": "The disk is full: free some space; the hub goes on by itself.",
    "read_only": "The disk is read-only: the card may be worn out; replace it.",
    "damaged": "The disk changed the file: keep the folder. Then " + WAY_ON + ".",
    "unclear": "The hub stops, checks the whole file and goes on, if it is in order.",
    "io": "Check the disk's free space and health; the hub stops, reopens its ledger and reconciles.",
}


class CommitUnknownError(LedgerError):
    """A write or commit failed: nobody knows what is on the disk. Stop, reopen, reconcile."""

    def __init__(self, message: str, fault: Fault = "io") -> None:
        super().__init__(message)
        self.fault: Fault = fault


class LedgerDamagedError(LedgerError):
    """The ledger is not what was written to it. It is kept as it is; the hub may not spend by it."""


UNREADABLE: Final = (TypeError, ValueError, LookupError, OverflowError, msgspec.MsgspecError, VaultError)
"""What reading a damaged file may raise besides SQLite's own errors."""


class LedgerRefusedError(LedgerError):
    """The database's own rules refused a write: a fault in the caller. Nothing of this step is kept."""


class Reads(Protocol):
    """The reading half, which a second connection has too."""

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query."""


class Store(Protocol):
    """What the ledger needs of a database. One writer, one thread."""

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; return the number of rows changed."""

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query."""

    def commit(self) -> None:
        """Make everything since BEGIN durable; CommitUnknownError where that is not certain."""

    def close(self) -> None:
        """Close the database; a second call does nothing."""


PRAGMAS: Final[tuple[tuple[str, str, object], ...]] = (
    ("page_size", str(PAGE_BYTES), PAGE_BYTES),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("foreign_keys", "ON", 1),
    ("trusted_schema", "OFF", 0),
    ("cell_size_check", "ON", 1),
    ("secure_delete", "ON", 1),
    ("temp_store", "MEMORY", 2),
    ("wal_autocheckpoint", "0", 0),
    ("journal_size_limit", str(WAL_LIMIT_BYTES), WAL_LIMIT_BYTES),
    ("busy_timeout", "5000", 5000),
)
"""(name, what we set, what must be read back): an EIO during a PRAGMA raises nothing, so only reading back counts."""


def place_of(store: Reads) -> str:
    """Return the path of a ledger's file, as SQLite has it open."""
    return str(store.rows("PRAGMA database_list")[0][2])


def apply_pragmas(store: Store, where: str) -> None:
    """Set every pragma and read it back; LedgerError names the first that differs."""
    for name, value, expected in PRAGMAS:
        store.rows(f"PRAGMA {name}={value}")
        found = store.rows(f"PRAGMA {name}")[0][0]
        if found != expected:
            message = (
                f"{where}: PRAGMA {name} is {found!r}, must be {expected!r}. "
                f"The ledger will not run without it: use a local disk, and a file made by venuehub."
            )
            raise LedgerError(message)


class SqliteStore:
    """The product plug: sqlite3, autocommit off by hand, all pragmas read back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sums = PageSums(path, page_bytes=PAGE_BYTES)
        self._open = True
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except sqlite3.Error as error:
            raise _not_a_ledger(path, error) from error
        self._cursor = self._connection.cursor()
        try:
            apply_pragmas(self, str(path))
        except CommitUnknownError as error:
            self._connection.close()
            raise _not_a_ledger(path, error.__cause__ or error) from error
        except LedgerError:
            self._connection.close()
            raise

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; return the number of rows changed."""
        try:
            return self._cursor.execute(sql, values).rowcount
        except sqlite3.DatabaseError as error:
            raise _fault(self.path, error) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        try:
            self._cursor.executemany(sql, rows)
        except sqlite3.DatabaseError as error:
            raise _fault(self.path, error) from error

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query."""
        try:
            return self._cursor.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _fault(self.path, error) from error

    def commit(self) -> None:
        """Make everything since BEGIN durable."""
        try:
            self._cursor.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise _fault(self.path, error) from error

    def checkpoint(self) -> int:
        """Copy the WAL into the database (PASSIVE: never waits), so that it starts over; return its frames."""
        with self.sums.checkpoint():
            return int(self.rows("PRAGMA wal_checkpoint(PASSIVE)")[0][1])

    def close(self) -> None:
        """Close the database; the last connection of a file makes a checkpoint, unless its checksums cannot be kept."""
        if not self._open:
            return
        try:
            with self.sums.checkpoint():
                self._open = False
                self._connection.close()
        except OSError:
            self.abandon()
        self.sums.close()

    def abandon(self) -> None:
        """Close a file that must stay as it is: no checkpoint is made while another connection has it open."""
        self._open = False
        other = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        with suppress(sqlite3.Error):
            other.execute("PRAGMA user_version").fetchall()
        self._connection.close()
        other.close()
        self.sums.close()


class NotOpenedError(LedgerError):
    """A file that SQLite will not open as a ledger; `fault`: what is wrong with the disk, None: with the file."""

    def __init__(self, message: str, fault: Fault | None) -> None:
        super().__init__(message)
        self.fault: Fault | None = fault


def _not_a_ledger(path: Path, error: BaseException) -> NotOpenedError:
    fault = fault_of(getattr(error, "sqlite_errorname", ""))
    remedy = "Check the path, its permissions and free space."
    remedy = REMEDIES["damaged"] if fault == "damaged" else remedy
    return NotOpenedError(f"{path}: cannot be opened as a ledger: {error}. {remedy}", fault)


def fault_of(name: str) -> Fault | None:
    """Return what an error name of SQLite says about the disk, None: nothing."""
    kinds: tuple[tuple[str, Fault], ...] = (
        ("SQLITE_FULL", "full"),
        ("SQLITE_IOERR_SHMSIZE", "full"),
        ("SQLITE_READONLY", "read_only"),
        ("SQLITE_CORRUPT", "damaged"),
        ("SQLITE_NOTADB", "damaged"),
        ("SQLITE_IOERR", "io"),
        ("SQLITE_CANTOPEN", "io"),
    )
    return next((fault for begins, fault in kinds if name.startswith(begins)), None)


def _fault(path: Path, error: sqlite3.Error) -> LedgerError:
    if isinstance(error, sqlite3.IntegrityError):
        return LedgerRefusedError(f"{path}: the ledger's rules refused a write: {error}")
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    fault = fault_of(name) or "unclear"
    return CommitUnknownError(f"{path}: {error} ({name}). {REMEDIES[fault]}", fault)
