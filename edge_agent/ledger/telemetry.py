"""The second stream's own file: what waits, what is sealed and what was dropped, within a budget of bytes.

Numbers and chain are given when a batch is sealed, so dropping the oldest that is not sealed leaves no hole. What is
dropped is counted in the same transaction, and the next batch begins with the count. A sealed batch without a receipt
is never dropped; its rows stay beside it, so that they can be sealed once more where the office asks for a new epoch.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cloud_sync.protocol.envelope import NO_BATCH, tail_hash_of
from cloud_sync.upload_effects import SealedBatch, UploadState
from edge_agent.ledger.outbox import KEEP_MS
from edge_agent.ledger.store import Row, fault_of
from payment_core.errors import MalformedRecordError, UnknownEntryError
from payment_core.journal import CHAIN_START
from payment_core.telemetry import TelemetryDropped, decode_fact, encode_fact

TELEMETRY_FILE: Final = "telemetry.sqlite3"
BUDGET_BYTES: Final = 8 * 1024 * 1024
SMALL_BUDGET_BYTES: Final = 1024 * 1024
"""What telemetry shrinks to on a disk that fills up."""
ROW_BYTES: Final = 32
"""What a row costs beside its record."""
BATCH_RECORDS: Final = 200
BATCH_BYTES: Final = 32 * 1024
"""A batch takes no further record once it has so many, so that those under way stay small beside the budget."""
WAL_BYTES: Final = 512 * 1024
PAGES_AT_ONCE: Final = 256
"""Given back in one step: what a step needs of the disk for itself is a quarter of a megabyte."""
DROPPED_AT_ONCE: Final = 512
_PAGE: Final = 1024
_FIRST_ROW: Final = 1_000_000
"""Ids begin here: the count of what was dropped goes before the oldest that waits."""
# `at_ms` of a batch: when it was sealed; once it has a receipt, when that came.
_TABLES: Final = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE waiting(
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, record BLOB NOT NULL, batch_seq INTEGER) STRICT""",
    "CREATE INDEX waiting_in ON waiting(batch_seq) WHERE batch_seq IS NOT NULL",
    """CREATE TABLE batches(
        batch_seq INTEGER PRIMARY KEY CHECK(batch_seq > 0), first_rec INTEGER NOT NULL, rec_count INTEGER NOT NULL,
        hash BLOB NOT NULL, at_ms INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT""",
    """CREATE TRIGGER batches_sealed_once BEFORE UPDATE OF batch_seq, first_rec, rec_count, hash, sealed ON batches
        BEGIN SELECT RAISE(ABORT, 'a sealed batch never changes'); END""",
    """CREATE TRIGGER sealed_stay BEFORE DELETE ON waiting
        WHEN OLD.batch_seq > (SELECT value FROM meta WHERE key = 'acked_seq')
        BEGIN SELECT RAISE(ABORT, 'what is sealed waits for its receipt'); END""",
    "PRAGMA user_version=1",
)
_START: Final[dict[str, object]] = {
    "last_seq": 0, "last_hash": NO_BATCH, "last_record": 0, "tail": CHAIN_START, "acked_seq": 0,
}  # fmt: skip
_NOTHING_DROPPED: Final = {"dropped": 0, "dropped_from_ms": 0, "dropped_to_ms": 0}


class TelemetryBrokenError(Exception):
    """The file cannot be used. `is_full`: only for want of space; else it is to be moved aside."""

    def __init__(self, message: str, *, is_full: bool) -> None:
        super().__init__(message)
        self.is_full = is_full


class TelemetryStore:
    """One writer, one thread. `epoch`: that of a file that is new, above every one before: UTC seconds."""

    def __init__(self, path: Path, *, epoch: int, budget: int = BUDGET_BYTES) -> None:
        self._path = path
        self._budget = budget
        self._used: int | None = None
        self._offered: tuple[bytes | None, int] = (None, 0)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _broken(path, error) from error
        try:
            self._open(epoch)
        except BaseException:
            self._connection.close()
            raise

    # ---- rows ----

    def add(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Keep records (UTC ms, bytes) behind all others, and drop the oldest for which there is no room."""
        with self._step():
            first = max(self._rows("SELECT max(id) FROM waiting")[0][0] or 0, _FIRST_ROW) + 1
            rows = [(number, at_ms, record) for number, (at_ms, record) in enumerate(records, start=first)]
            self._connection.executemany("INSERT INTO waiting(id, at_ms, record) VALUES (?, ?, ?)", rows)
            self._note(sum(len(record) + ROW_BYTES for _at_ms, record in records))
            self._make_room()

    def note_dropped(self, count: int, from_ms: int, to_ms: int) -> None:
        """Count what was dropped before it came here."""
        with self._step():
            self._count_dropped(count, from_ms, to_ms)

    def set_budget(self, budget: int) -> None:
        """Drop what goes beyond a smaller budget and give its space back to the disk; a larger one counts from now."""
        self._budget = budget
        has_more = True
        while has_more:  # little by little: what a step needs of a full disk for itself is soon given back
            with self._step():
                has_more = self._make_room(rounds=1)
            self._give_back()

    def _give_back(self) -> None:
        free = self._rows("PRAGMA freelist_count")[0][0]
        while free:
            self._script(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
            before, free = free, self._rows("PRAGMA freelist_count")[0][0]
            if free >= before:
                return

    @property
    def used_bytes(self) -> int:
        """What counts against the budget."""
        if self._used is None:
            rows = self._rows("SELECT coalesce(sum(length(record) + ?), 0) FROM waiting", (ROW_BYTES,))[0][0]
            batches = self._rows("SELECT coalesce(sum(length(sealed)), 0) FROM batches")[0][0]
            self._used = int(rows + batches)
        return self._used

    # ---- batches ----

    def place(self) -> UploadState:
        """Return where the stream stands, without the batches that wait."""
        meta = self._meta()
        return UploadState(
            epoch=meta["epoch"], acked_seq=meta["acked_seq"], last_seq=meta["last_seq"], last_hash=meta["last_hash"],
            last_record=meta["last_record"], tail_hash=meta["tail"],
        )  # fmt: skip

    def waits(self) -> tuple[int, int]:
        """Return how many records would go into the next batch, and the UTC ms of the oldest; (0, 0): none waits."""
        meta = self._meta()
        rows = self._unsealed()
        oldest_ms = rows[0][1] if rows else meta["dropped_to_ms"]
        return len(rows) + bool(meta["dropped"]), oldest_ms

    def next_records(self, now_ms: int) -> list[bytes]:
        """Return what the next batch holds: the count of what was dropped before it, then the oldest that wait."""
        meta = self._meta()
        gone = TelemetryDropped(1, now_ms, meta["dropped"], meta["dropped_from_ms"], meta["dropped_to_ms"])
        told = encode_fact(gone) if gone.count else None
        rows = self._unsealed()
        self._offered = (told, rows[-1][0] if rows else 0)
        return ([told] if told else []) + [row[2] for row in rows]

    def keep_sealed(self, batch: SealedBatch, now_ms: int) -> None:
        """Make durable the batch of what `next_records` returned last; only then may it be sent."""
        told, through = self._offered
        self._rows("PRAGMA synchronous=FULL")
        with self._step():
            sql = "UPDATE waiting SET batch_seq = ? WHERE batch_seq IS NULL AND id <= ?"
            self._run(sql, (batch.batch_seq, through))
            if told:
                first = min(self._rows("SELECT min(id) FROM waiting")[0][0] or _FIRST_ROW, _FIRST_ROW) - 1
                sql = "INSERT INTO waiting(id, at_ms, record, batch_seq) VALUES (?, ?, ?, ?)"
                self._run(sql, (first, now_ms, told, batch.batch_seq))
                self._write(_NOTHING_DROPPED)
                self._note(len(told) + ROW_BYTES)
            self._run(
                "INSERT INTO batches(batch_seq, first_rec, rec_count, hash, at_ms, sealed) VALUES (?, ?, ?, ?, ?, ?)",
                (batch.batch_seq, batch.first_record, batch.record_count, batch.digest, now_ms, batch.data),
            )
            self._note(len(batch.data))
            self._write({
                "last_seq": batch.batch_seq, "last_hash": batch.digest, "last_record": batch.last_record,
                "tail": tail_hash_of(batch.data),
            })  # fmt: skip
        self._rows("PRAGMA synchronous=NORMAL")

    def kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        """Return up to `most` sealed batches behind one, with or without a receipt, in order."""
        sql = "SELECT batch_seq, first_rec, rec_count, hash, sealed FROM batches WHERE batch_seq > ? ORDER BY batch_seq"
        return [
            SealedBatch(batch_seq=seq, first_record=first, record_count=count, digest=digest, data=sealed)
            for seq, first, count, digest, sealed in self._rows(f"{sql} LIMIT ?", (after_seq, most))
        ]

    def take_receipt(self, through_seq: int, *, later_ms: int, earlier_ms: int) -> None:
        """Let go the rows of batches that have a receipt; the batches stay 30 days, or as long as there is room.

        The receipt came at `later_ms`, and what is old is so at `earlier_ms`: no clock alone throws anything away.
        """
        with self._step():
            new = "UPDATE batches SET at_ms = ? WHERE batch_seq <= ? AND batch_seq > ?"
            self._run(new, (later_ms, through_seq, self._meta()["acked_seq"]))
            self._write({"acked_seq": through_seq})
            self._run("DELETE FROM waiting WHERE batch_seq <= ?", (through_seq,))
            old = "DELETE FROM batches WHERE batch_seq <= ? AND at_ms < ?"
            self._run(old, (through_seq, earlier_ms - KEEP_MS))
            self._used = None

    def begin_epoch(self, epoch: int) -> None:
        """Begin anew under another epoch: what has no receipt and has room is sealed once more, in its old order."""
        with self._step():
            self._run("UPDATE waiting SET batch_seq = NULL")
            self._run("DELETE FROM batches")
            self._write({**_START, "epoch": epoch})
            self._used = None
            self._make_room()  # counts of what was dropped are rows now that were not when there was room

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # ---- inside ----

    def _open(self, epoch: int) -> None:
        for name, value in (("page_size", _PAGE), ("auto_vacuum", "INCREMENTAL"), ("journal_mode", "WAL")):
            self._rows(f"PRAGMA {name}={value}")
        for name, value in (("journal_size_limit", WAL_BYTES), ("wal_autocheckpoint", PAGES_AT_ONCE)):
            self._rows(f"PRAGMA {name}={value}")
        for name, value in (("synchronous", "NORMAL"), ("cell_size_check", "ON"), ("secure_delete", "OFF")):
            self._rows(f"PRAGMA {name}={value}")
        found = self._rows("PRAGMA quick_check(1)")[0][0]
        version = self._rows("PRAGMA user_version")[0][0]
        if found != "ok" or version not in {0, 1}:
            message = f"{self._path}: {found}, version {version}"
            raise TelemetryBrokenError(message, is_full=False)
        if version == 0:
            with self._step():
                for statement in _TABLES:
                    self._run(statement)
                self._write({**_START, **_NOTHING_DROPPED, "epoch": epoch})

    def _unsealed(self) -> list[Row]:
        """Return the oldest rows (id, at_ms, record) that are not sealed: as many as one batch takes."""
        sql = "SELECT id, at_ms, record FROM waiting WHERE batch_seq IS NULL ORDER BY id LIMIT ?"
        rows, used = self._rows(sql, (BATCH_RECORDS,)), 0
        for index, row in enumerate(rows):
            if used >= BATCH_BYTES:
                return rows[:index]
            used += len(row[2])
        return rows

    def _make_room(self, *, rounds: int = 1_000) -> bool:
        """Drop what the office has, the oldest first; then the oldest that is not sealed; say whether more must go."""
        acked = self._rows("SELECT value FROM meta WHERE key = 'acked_seq'")[0][0]
        sql = "SELECT batch_seq, length(sealed) FROM batches WHERE batch_seq <= ? ORDER BY batch_seq"
        for batch_seq, size in self._rows(sql, (acked,)) if self.used_bytes > self._budget else ():
            if self.used_bytes > self._budget:
                self._run("DELETE FROM batches WHERE batch_seq = ?", (batch_seq,))
                self._note(-size)
        for _round in range(rounds):
            if self.used_bytes <= self._budget or not self._drop_oldest():
                return False
        return self.used_bytes > self._budget

    def _drop_oldest(self) -> bool:
        """Drop some of the oldest rows that are not sealed, as many as must be; False: there are none."""
        sql = "SELECT id, at_ms, record FROM waiting WHERE batch_seq IS NULL ORDER BY id LIMIT ?"
        over, through, gone = self.used_bytes - self._budget, 0, []
        for number, at_ms, record in self._rows(sql, (DROPPED_AT_ONCE,)):
            if over <= 0:
                break
            over -= len(record) + ROW_BYTES
            self._note(-len(record) - ROW_BYTES)
            through = number
            gone.append(_what_is_lost(at_ms, record))
        if gone:
            self._run("DELETE FROM waiting WHERE batch_seq IS NULL AND id <= ?", (through,))
            counts, begins, ends = zip(*gone, strict=True)
            self._count_dropped(sum(counts), min(begins), max(ends))
        return bool(gone)

    def _count_dropped(self, count: int, from_ms: int, to_ms: int) -> None:
        meta = self._meta()
        known = meta["dropped"]
        self._write({
            "dropped": known + count,
            "dropped_from_ms": min(meta["dropped_from_ms"], from_ms) if known else from_ms,
            "dropped_to_ms": max(meta["dropped_to_ms"], to_ms) if known else to_ms,
        })  # fmt: skip

    def _note(self, more: int) -> None:
        if self._used is not None:
            self._used += more

    def _meta(self) -> dict[str, Any]:
        return dict(self._rows("SELECT key, value FROM meta"))

    def _write(self, values: Mapping[str, object]) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", values.items())

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> None:
        self._connection.execute(sql, values)

    def _script(self, sql: str) -> None:
        """Run to its end what answers with rows that have no columns: `execute` would stop at the first."""
        try:
            self._connection.executescript(sql)
        except sqlite3.Error as error:
            raise _broken(self._path, error) from error

    def _rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _broken(self._path, error) from error

    @contextmanager
    def _step(self) -> Iterator[None]:
        """One transaction: whole, or not at all."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._used = None
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise _broken(self._path, error) from error
            raise


def _what_is_lost(at_ms: int, record: bytes) -> tuple[int, int, int]:
    """Return how many facts go with a record, and from when to when they were made: a count of others goes on."""
    try:
        fact = decode_fact(record)
    except (UnknownEntryError, MalformedRecordError):
        return 1, at_ms, at_ms
    if isinstance(fact, TelemetryDropped):
        return fact.count, fact.from_ms, fact.to_ms
    return 1, at_ms, at_ms


def _broken(path: Path, error: sqlite3.Error) -> TelemetryBrokenError:
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    return TelemetryBrokenError(f"{path}: {error} ({name})", is_full=fault_of(name) == "full")
