"""Books written out: rows of plain columns into a new CSV file or a new SQLite file. Nothing is ever overwritten.

Amounts are whole minor units with their unit beside them; dates are yyyymmdd as in the books, moments are UTC.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from back_office.ledger import statement, trial
from back_office.ledger.statement import TYPE_NAMES
from back_office.store import closings, places, statements, takings
from back_office.store.engine import Transaction
from payment_core.accounts import Kind
from payment_core.identifiers import uuid_text
from payment_core.journal import Tender
from venuehub.errors import CliError, writing_to
from venuehub.formulas import disarmed

What = Literal["trial", "statement", "takings", "entries", "closings"]
Cell = str | int | None
Row = tuple[Cell, ...]

COLUMNS: Final[dict[What, dict[str, type]]] = {
    "trial": {"kind": str, "side": str, "unit": str, "amount": int, "means": str},
    "statement": {
        "hub_id": str, "epoch": int, "entry": int, "business_date": int, "at": str, "booked_at": str, "hub": str,
        "machine": str, "what": str, "unit": str, "amount": int, "balance": int,
    },
    "takings": {
        "venue": str, "business_date": int, "hub": str, "machine": str, "lane": str, "shift": str, "what": str,
        "tender": str, "kind": str, "unit": str, "amount": int, "entries": int, "told_in_z": int,
    },
    "entries": {
        "hub_id": str, "hub": str, "epoch": int, "entry": int, "what": str, "business_date": int, "at": str,
        "booked_at": str, "machine": str, "authorization": str, "hash": str, "kind": str, "key": str, "scope": str,
        "unit": str, "amount": int,
    },
    "closings": {
        "venue": str, "z_no": int, "business_date": int, "made_at": str, "made_by": str, "hash": str, "prev_hash": str,
        "report": str,
    },
}  # fmt: skip
"""What each export has, in this order."""
HEEDED: Final[dict[What, tuple[str, ...]]] = {
    "trial": (),
    "statement": ("--card", "--account"),
    "takings": ("--from", "--to", "--venue"),
    "entries": ("--from", "--to"),
    "closings": ("--venue",),
}
"""Which options each export is narrowed by; any other is refused."""
_AT_ONCE: Final = 1_000


def rows_of(
    tx: Transaction, tenant_id: bytes, what: What, *,
    dates: tuple[int, int], account: tuple[Kind, str] | None, venue_id: bytes = b"",
) -> Iterator[Row]:  # fmt: skip
    """Return what is to be written; `account` is whose statement. venue_id empty: of all venues."""
    first, last = dates
    match what:
        case "trial":
            return trial_rows(tx, tenant_id)
        case "statement":
            assert account is not None, "a statement is somebody's"
            return statement_rows(tx, tenant_id, *account)
        case "takings":
            return takings_rows(tx, tenant_id, first=first, last=last, venue_id=venue_id)
        case "entries":
            return entry_rows(tx, tenant_id, first=first, last=last)
        case "closings":
            return closing_rows(tx, tenant_id, venue_id=venue_id)


def trial_rows(tx: Transaction, tenant_id: bytes) -> Iterator[Row]:
    """Yield the trial balance; amounts debit positive."""
    for line in trial.balance(tx, tenant_id).lines:
        yield line.kind, line.side, line.unit, line.amount, line.means


def statement_rows(tx: Transaction, tenant_id: bytes, kind: Kind, key: str) -> Iterator[Row]:
    """Yield a whole statement; Kind.PURSE: of a guest's account, whose id is the key."""
    for line in statement.whole(tx, tenant_id, kind, key):
        yield (
            uuid_text(line.place.hub_id), line.place.epoch, line.place.seq, line.business_date,
            _moment(line.wall_ms), _moment(line.place.received_ms), line.hub, line.machine, line.what, line.unit,
            line.amount, line.balance,
        )  # fmt: skip


def takings_rows(tx: Transaction, tenant_id: bytes, *, first: int, last: int, venue_id: bytes = b"") -> Iterator[Row]:
    """Yield takings of some dates as they are counted, every kind of account; amounts debit positive."""
    hubs, venues = _hubs(tx, tenant_id), {venue.venue_id: venue.name for venue in places.venues(tx, tenant_id)}
    found = takings.takings_between(tx, tenant_id, first=first, last=last, venue_id=venue_id)
    for at in sorted(found, key=lambda place: (place.business_date, str(place))):
        amount, entries = found[at]
        yield (
            venues.get(at.venue_id, ""), at.business_date, hubs.get(at.hub_id, ""), at.machine, at.lane, at.shift,
            TYPE_NAMES.get(at.type, str(at.type)), Tender(at.tender).name.lower(), at.kind, at.unit, amount,
            entries, at.told_in,
        )  # fmt: skip


def entry_rows(tx: Transaction, tenant_id: bytes, *, first: int, last: int) -> Iterator[Row]:
    """Yield every line of the entries of some dates; one that moves nothing has a row without an account."""
    hubs = _hubs(tx, tenant_id)
    for line in statements.posted_lines(tx, tenant_id, first=first, last=last):
        yield (
            uuid_text(line.hub_id), hubs.get(line.hub_id, ""), line.epoch, line.seq,
            TYPE_NAMES.get(line.type, str(line.type)), line.business_date, _moment(line.wall_ms),
            _moment(line.received_ms), line.machine or "", (line.authorization_id or b"").hex(), line.hash.hex(),
            line.kind, line.key, None if line.scope_id is None else line.scope_id.hex(), line.unit, line.amount,
        )  # fmt: skip


def closing_rows(tx: Transaction, tenant_id: bytes, *, venue_id: bytes = b"") -> Iterator[Row]:
    """Yield every Z of a venue, or of all; `report` is the JSON that its hash is over."""
    names = {venue.venue_id: venue.name for venue in places.venues(tx, tenant_id)}
    for row in closings.closings(tx, tenant_id):
        if venue_id not in (b"", row.venue_id):
            continue
        yield (
            names.get(row.venue_id, ""), row.z_no, row.business_date, _moment(row.made_ms), row.by, row.hash.hex(),
            row.prev_hash.hex(), row.body.decode(),
        )  # fmt: skip


def write_csv(file: Path, what: What, rows: Iterable[Row]) -> int:
    """Write a new CSV file for spreadsheets: UTF-8 with its mark, formulas disarmed. Return how many rows."""
    with _new(file, option="--csv") as part, part.open("w", encoding="utf-8-sig", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(COLUMNS[what])
        count = 0
        for row in rows:
            out.writerow([disarmed(cell) for cell in row])
            count += 1
    return count


def write_sqlite(file: Path, what: What, rows: Iterable[Row]) -> int:
    """Write a new SQLite file with one table named as what it holds. Return how many rows."""
    import sqlite_utils

    names = list(COLUMNS[what])
    with _new(file, option="--sqlite") as part:
        database = sqlite_utils.Database(part)
        try:
            table = database.table(what)
            table.create(dict(COLUMNS[what]), strict=True)
            named = (dict(zip(names, row, strict=True)) for row in rows)
            table.insert_all(named, batch_size=_AT_ONCE)
            return int(table.count)
        finally:
            database.close()


@contextmanager
def _new(file: Path, *, option: str) -> Iterator[Path]:
    """Lend a file beside the one that is wanted, which comes to be whole or not at all, and never over another."""
    part = file.with_name(f"{file.name}.part")
    with writing_to(file, option=option):
        if os.path.lexists(file):
            raise _is_there(file, option)
        part.unlink(missing_ok=True)
        try:
            yield part
            try:
                os.link(part, file)
            except FileExistsError as error:
                raise _is_there(file, option) from error
        finally:
            part.unlink(missing_ok=True)


def _is_there(file: Path, option: str) -> CliError:
    hint = f"name a new file with {option}, or move that one away: nothing is overwritten"
    return CliError("not_written", "there is a file of this name already", where=str(file), hint=hint)


def _moment(ms: int) -> str:
    """Return a moment of any clock; one that no calendar has stays its number."""
    try:
        return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def _hubs(tx: Transaction, tenant_id: bytes) -> dict[bytes, str]:
    return {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
