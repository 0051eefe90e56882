"""What `venuehub journal` does: opens a ledger for reading, follows its chain, turns entries into rows for people."""

import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlite_utils import Database

from edge_agent.ledger.entries import ChainReport, check_chain
from edge_agent.ledger.known_end import cut_off
from edge_agent.ledger.migrations import MIGRATIONS
from edge_agent.ledger.store import WAY_ON, LedgerError
from edge_agent.ledger.tail_mark import Mark, read_mark
from payment_core.errors import VaultError
from payment_core.journal import Entry, decode_entry
from payment_core.posting import postings
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.formulas import disarmed
from venuehub.journal_explain import Explained

HINT: Final = "name a hub's ledger file, e.g. --ledger /var/lib/venuehub/ledger.sqlite3"
COLUMNS: Final = (
    "seq", "type", "wall_ms", "business_date", "machine", "lane", "authorization_id", "amount", "unit", "hash", "entry",
)  # fmt: skip


class LedgerFile:
    """A ledger opened for reading only. `mark`: how far it had come before it was opened, where that is known."""

    def __init__(self, connection: sqlite3.Connection, mark: Mark | None = None) -> None:
        self.database = Database(connection)
        self.mark = mark

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self.database.conn.execute(sql, values).fetchall()


@contextmanager
def open_ledger(path: Path) -> Iterator[LedgerFile]:
    """Open a ledger; CliError, exit code 2, where there is none, or one of a later release."""
    if path.is_dir():
        hint = f"name the ledger file in it: --ledger {path / 'ledger.sqlite3'}"
        raise CliError("ledger", "this is a folder", where=str(path), hint=hint, exit_code=ExitCode.USAGE)
    if not path.is_file():
        raise CliError("ledger", "there is no such file", where=str(path), hint=HINT, exit_code=ExitCode.USAGE)
    told = partial(told_as, "ledger", sqlite3.Error, LedgerError, where=str(path), hint=HINT)
    mark = read_mark(path)
    with told(exit_code=ExitCode.USAGE):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    with closing(connection), told():
        with told(exit_code=ExitCode.USAGE), _damage_told(path):
            _refuse_other_releases(connection)
        with _damage_told(path):
            yield LedgerFile(connection, mark)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Tell of a file that is damaged: by SQLite's word, by an entry that is none, by words that are not even text."""
    hint = f"keep the hub's whole folder; then {WAY_ON}"
    try:
        yield
    except (VaultError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = "this file is damaged: what is written in it cannot be read"
        first = f"venuehub journal verify --ledger {path} names the first bad entry"
        raise CliError("damaged", message, where=str(path), hint=f"{first}; {hint}") from error
    except sqlite3.DatabaseError as error:
        if not getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT"):
            raise
        message = f"this is a hub's ledger, and it is damaged: {error}"
        raise CliError("damaged", message, where=str(path), hint=hint) from error


def _refuse_other_releases(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if not 1 <= version <= len(MIGRATIONS):
        message = f"this is no ledger of this release: version {version}, known are 1 to {len(MIGRATIONS)}"
        raise LedgerError(message)


def verify_journal(ledger: LedgerFile) -> ChainReport:
    """Follow the chain from the journal's start, or from where it was pruned, to where it is known to have gone."""
    report = check_chain(ledger)
    if not report.ok:
        return report
    first_bad, why = cut_off(ledger, ledger.mark)
    return msgspec.structs.replace(report, ok=False, first_bad=first_bad, reason=why) if first_bad else report


def exported(ledger: LedgerFile) -> Iterator[dict[str, object]]:
    """Yield one flat row per entry: what a bookkeeper sorts by, and the whole entry as JSON."""
    for row in ledger.database.query("SELECT seq, record, hash FROM entries ORDER BY seq"):
        try:
            entry = decode_entry(row["record"])
        except VaultError as error:
            unreadable = {"seq": row["seq"], "type": f"unreadable: {error}", "hash": row["hash"].hex()}
            yield {**dict.fromkeys(COLUMNS), **unreadable}
        else:
            yield _row(entry, row["hash"])


def _row(entry: Entry, link: bytes) -> dict[str, object]:
    header = entry.header
    moved = [posting for posting in postings(entry) if posting.amount > 0]
    units = sorted({posting.unit for posting in moved})
    return {
        "seq": header.seq,
        "type": type(entry).__name__,
        "wall_ms": header.wall_ms,
        "business_date": header.business_date,
        "machine": header.machine,
        "lane": header.lane,
        "authorization_id": header.authorization_id.hex() if header.authorization_id else None,
        "amount": sum(posting.amount for posting in moved) if len(units) == 1 else None,
        "unit": "+".join(units) or None,
        "hash": link.hex(),
        "entry": _named(entry),
    }


def _named(value: object) -> object:
    """Return a struct as names and values: on the wire it is an array, which nobody wants to read."""
    if isinstance(value, msgspec.Struct):
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_named(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def json_lines(rows: Iterable[dict[str, object]]) -> Iterator[str]:
    """Yield one JSON document per row."""
    for row in rows:
        yield msgspec.json.encode(row).decode()


def csv_lines(rows: Iterable[dict[str, object]]) -> Iterator[str]:
    """Yield a head line and one CSV line per row; the entry's own fields are one JSON column."""
    yield ",".join(COLUMNS)
    for row in rows:
        line = io.StringIO()
        entry = msgspec.json.encode(row["entry"]).decode() if row["entry"] else ""
        told = {name: disarmed(cell) for name, cell in row.items()}
        csv.DictWriter(line, COLUMNS, lineterminator="").writerow({**told, "entry": entry})
        yield line.getvalue()


def explained_lines(told: Explained) -> Iterator[str]:
    """Yield a decision and why, as a person reads it."""
    yield f"entry {told.seq}, authorization {told.authorization}"
    yield f"{told.at}, lane {told.lane or '-'}, machine {told.machine or '-'}: {told.outcome} {told.reason}".rstrip()
    for number, check in enumerate(told.checks, 1):
        yield f"  {number:2} {check.outcome:9} {check.name}" + (f": {check.looked_at}" if check.looked_at else "")
    if told.price:
        yield f"price {told.price}, price list {told.price_list}"
        yield from (f"  {reason}" for reason in told.price_reasons)
    yield from (f"paid {paid.text} from {paid.source}" for paid in told.paid)
    if told.right:
        yield f"paid with {told.right}: no money moved"
    yield from (line for line in (told.today, told.note) if line)
    yield from told.became
