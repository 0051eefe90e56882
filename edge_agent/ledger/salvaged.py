"""What a damaged ledger still says, and a new one that begins with it: no money goes over, what is missing is named.

Carried over are only marks that keep a thing from being booked or given twice, and only of tables of which every page
is what was written. Leases, holds and credits stay behind: a person settles them at the office.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.ledger.entries import Tail, append_entries, chain_start, follow_chain
from edge_agent.ledger.migrations import MIGRATIONS, adopt_epoch, migrate
from edge_agent.ledger.outbox import read_cursor, read_epoch
from edge_agent.ledger.page_sums import PageSums
from edge_agent.ledger.quarantine import sync_file, sync_folder
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import PAGE_BYTES, UNREADABLE, LedgerError, Row, SqliteStore
from edge_agent.ledger.tail_mark import TailMark
from payment_core.journal import CHAIN_START, EpochOpened, Header

BROUGHT_OVER: Final = {
    "device_marks": ("device", "epoch", "kind", "seq", "told"),
    "slips_taken": ("slip_id", "at_seq"),
    "token_counters": ("credential_id", "counter"),
}
"""Devices' events that are booked, slips that are taken, counters of cards: never twice, whatever the epoch."""
OF_THE_JOURNAL: Final = frozenset({"meta", "batches", "entries"})
"""What every ledger begins anew."""
PIECE: Final = 64
_FAULTS: Final = (LedgerError, OSError, *UNREADABLE)


class Known(msgspec.Struct, frozen=True):
    """What is known of a ledger. epoch 0: not even that. `tail`: the last entry that fits the chain from its start.

    `unsent`: entries up to there without a receipt. `rows`: of tables that are whole. `missing`: names of tables.
    """

    epoch: int
    tail: Tail
    unsent: int
    rows: dict[str, list[Row]]
    missing: tuple[str, ...]


def look_into(path: Path) -> Known:
    """Read what is intact of a ledger and of what was rescued of it; a file that is gone or unreadable says nothing."""
    rescued = path.with_name(path.name + ".rescue")
    tables = _own_tables()
    try:
        with closing(LedgerReader(path)) as reader:
            reader.rows("SELECT count(*) FROM sqlite_schema")
            tail, is_whole = _intact(reader, path)
            rows = {table: _whole_rows(reader, path, table) for table in BROUGHT_OVER}
            left = [table for table in tables if rows.get(table) is None and not _is_empty(reader, table)]
            epoch, acked = _read_meta(reader)
    except _FAULTS:
        return Known(_rescued(rescued)[0], Tail(0, CHAIN_START), 0, {}, ("entries", *tables))
    from_rescue = _rescued(rescued)
    missing = ([] if is_whole else ["entries"]) + left
    kept = {table: found for table, found in rows.items() if found is not None}
    unsent = max(tail.seq - max(acked, from_rescue[1]), 0)
    return Known(epoch or from_rescue[0], tail, unsent, kept, tuple(missing))


def begin(path: Path, known: Known, *, epoch: int, header: Header, cause: str) -> None:
    """Make a new ledger whose first record says what is known and missing; durable when it returns."""
    opened = EpochOpened(1, header, epoch, known.epoch, known.tail.seq, known.tail.hash, cause, known.missing)
    store = SqliteStore(path)
    try:
        migrate(store, str(path))
        adopt_epoch(store, epoch)
        store.execute("BEGIN IMMEDIATE")
        append_entries(store, Tail(0, CHAIN_START), [opened])
        for table, rows in known.rows.items():
            names = BROUGHT_OVER[table]
            places = ", ".join("?" * len(names))
            store.executemany(f"INSERT INTO {table}({', '.join(names)}) VALUES ({places})", rows)
        store.commit()
    finally:
        store.close()
    for file in path.parent.iterdir():
        sync_file(file)
    sync_folder(path.parent)


def _own_tables() -> list[str]:
    """Return the tables of this release's ledger whose content a new epoch could miss."""
    with closing(sqlite3.connect(":memory:")) as file:
        for statements in MIGRATIONS:
            for statement in statements:
                file.execute(statement)
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return [name for name in names if name not in OF_THE_JOURNAL]


def _is_empty(reader: LedgerReader, table: str) -> bool:
    try:
        return not reader.rows(f"SELECT 1 FROM {table} LIMIT 1")
    except _FAULTS:
        return False


def _read_meta(reader: LedgerReader) -> tuple[int, int]:
    """Return epoch and last entry with a receipt; 0 for what cannot be read."""
    try:
        return read_epoch(reader), read_cursor(reader).seq
    except (KeyError, *_FAULTS):
        return 0, 0


def _rescued(path: Path) -> tuple[int, int]:
    """Return what the file beside a damaged ledger says of its epoch and of receipts that came since."""
    if not path.exists():
        return 0, 0
    try:
        with closing(LedgerReader(path)) as reader:
            return _read_meta(reader)
    except _FAULTS:
        return 0, 0


def _intact(reader: LedgerReader, path: Path) -> tuple[Tail, bool]:
    """Return the last entry that fits, and whether the journal ever went further."""
    tail, is_whole = chain_start(reader), True
    try:
        for piece in follow_chain(reader, tail, piece=PIECE):
            tail, is_whole = Tail(tail.seq + piece.entries, bytes.fromhex(piece.head)), piece.ok
    except _FAULTS:
        is_whole = False
    return tail, is_whole and _marked(path) <= tail.seq


def _marked(path: Path) -> int:
    file = path.with_name(path.name + ".mark")
    if not file.exists():
        return 0
    with closing(TailMark(file)) as mark:
        found = mark.read()
    return found.tail.seq if found else 0


def _whole_rows(reader: LedgerReader, path: Path, table: str) -> list[Row] | None:
    """Return a table's rows, None where one page of it is not what was written, or cannot be told from others."""
    if not path.with_name(path.name + ".sums").exists():
        return None
    sums = PageSums(path, page_bytes=PAGE_BYTES)
    try:
        pages = [page for (page,) in reader.rows("SELECT pageno FROM dbstat WHERE name = ?", (table,))]
        if not pages or any(sums.damaged(page, 1) for page in pages):
            return None
        return reader.rows(f"SELECT {', '.join(BROUGHT_OVER[table])} FROM {table}")
    except _FAULTS:
        return None
    finally:
        sums.close()
