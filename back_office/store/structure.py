"""What only the database itself can see: pages, the order of keys, indexes, rows that point to nothing.

A query goes by an index and trusts it: of a row whose key is not in its place it says that there is none, or gives it
out under the key that was asked for. So SQLite checks its own file, and a server is asked the same twice, by its
primary keys and by the rows themselves.
"""

import itertools
import re
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store.tables import METADATA
from back_office.store.transaction import Transaction
from payment_core.errors import VaultError

_MOST: Final = 20
"""So many faults of a file are looked for."""
_MISSING: Final = re.compile(r"row (\d+) missing from index (\w+)")
_OUT_OF_ORDER: Final = re.compile(r"row not in PRIMARY KEY order for (\w+)")
UNREADABLE: Final = (
    sqlite3.DatabaseError, VaultError, msgspec.MsgspecError, ArithmeticError, AssertionError, AttributeError,
    LookupError, TypeError, ValueError,
)  # fmt: skip
"""What is met where rows are not as they were written."""
_RANKS: Final[dict[type, int]] = {type(None): 0, int: 1, float: 1, str: 2, bytes: 3}
_BY_ROWS: Final = {"enable_seqscan": True, "enable_indexscan": False, "enable_indexonlyscan": False}
_BY_KEYS: Final = {"enable_seqscan": False, "enable_indexscan": False, "enable_indexonlyscan": True}
_AS_EVER: Final = {"enable_seqscan": False, "enable_indexscan": True, "enable_indexonlyscan": True}
"""As engine.py sets it."""


class Misplaced(msgspec.Struct, frozen=True):
    """What is wrong with a file or an index. key: of the first row it concerns, empty where no row can be named."""

    table: str
    key: str
    text: str


def misplaced(tx: Transaction) -> list[Misplaced]:
    """Return what is wrong with the books as a database: what a row can be named for first, each table's first row."""
    found: list[Misplaced] = []
    for look in (_of_file, _orphans) if tx.is_sqlite else (_of_server,):
        try:
            found.extend(look(tx))
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a page that SQLite cannot go through
            found.append(Misplaced("file", "", str(error)))
    return sorted(found, key=lambda one: not one.key)


def _asked(tx: Transaction, text: str) -> list[tuple[Any, ...]]:
    return list(tx.execute(sa.text(text)))


def _key_of(table: str) -> str:
    return ", ".join(column.name for column in METADATA.tables[table].primary_key.columns)


def _said(key: tuple[Any, ...]) -> str:
    """Return a key as people look it up, without the tenant."""
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key[1:] or key)


def _of_file(tx: Transaction) -> Iterator[Misplaced]:
    for (text,) in _asked(tx, f"PRAGMA integrity_check({_MOST})"):
        if found := _MISSING.fullmatch(text):
            yield _missing(tx, int(found[1]), found[2], text)
        elif (found := _OUT_OF_ORDER.fullmatch(text)) and found[1] in METADATA.tables:
            yield Misplaced(found[1], _disordered(tx, found[1]), "its key is not in the order of the keys")
        elif text != "ok":
            yield Misplaced("file", "", text)


def _missing(tx: Transaction, number: int, index: str, text: str) -> Misplaced:
    """`number`: the row's, as they stand in its table."""
    ((table,),) = _asked(tx, f"SELECT tbl_name FROM sqlite_schema WHERE name = '{index}'")  # noqa: S608 - SQLite's word
    if table not in METADATA.tables:
        return Misplaced("file", "", text)
    row = next(itertools.islice(_as_they_stand(tx, table), number - 1, None), ())
    return Misplaced(table, _said(row), f"it is not in the index {index}, or under another key")


def _disordered(tx: Transaction, table: str) -> str:
    """Return the first key of a table, as its rows stand, that is not between its neighbours."""
    before: tuple[Any, ...] | None = None
    last: tuple[Any, ...] | None = None
    for key in _as_they_stand(tx, table):
        if last is not None and not _place(last) < _place(key):
            return _said(last if before is None or _place(before) < _place(key) else key)
        before, last = last, key
    return ""


def _place(key: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """Return what puts keys in SQLite's order, also where a column holds what its table does not allow."""
    return [(_RANKS[type(part)], 0 if part is None else part) for part in key]


def _as_they_stand(tx: Transaction, table: str, of: str = "") -> Iterator[tuple[Any, ...]]:
    """Yield the keys of a table as its rows have them, in the order of the rows.

    With every column asked for no index of the table answers instead of it.
    """
    count = len(METADATA.tables[table].primary_key.columns)
    for row in tx.stream(sa.text(f"SELECT {_key_of(table)}, child.* FROM {table} child NOT INDEXED {of}")):  # noqa: S608 - ours
        yield tuple(row[:count])


def _orphans(tx: Transaction) -> Iterator[Misplaced]:
    """Yield each table's first row that names a row which is not there: its key, or the other's, was changed."""
    told = {(table, number) for table, _, _, number in _asked(tx, "PRAGMA foreign_key_check")}
    for table, number in sorted(told):
        names = [row for row in _asked(tx, f"PRAGMA foreign_key_list({table})") if row[0] == number]
        parent = names[0][2]
        same = " AND ".join(f"parent.{row[4]} = child.{row[3]}" for row in names)
        row = next(_as_they_stand(tx, table, f"WHERE NOT EXISTS (SELECT 1 FROM {parent} parent WHERE {same})"), ())  # noqa: S608 - ours
        yield Misplaced(table, _said(row), f"the row of {parent} that it belongs to is not there")


def _of_server(tx: Transaction) -> Iterator[Misplaced]:
    for table in METADATA.sorted_tables:
        key = _key_of(table.name)
        sums = f"SELECT count(*), sum(hashtextextended(ROW({key})::text, 0)) FROM {table.name}"  # noqa: S608 - ours
        _go(tx, _BY_ROWS)
        by_rows = _asked(tx, sums)
        _go(tx, _BY_KEYS)
        if _asked(tx, sums) != by_rows:
            yield Misplaced(table.name, _not_by_key(tx, table.name), "its primary key has other rows than the table")
    _go(tx, _AS_EVER)


def _not_by_key(tx: Transaction, table: str) -> str:
    """Return the first key, as rows stand, that the primary key does not find."""
    names = [column.name for column in METADATA.tables[table].primary_key.columns]
    find = sa.text(f"SELECT count(*) FROM {table} WHERE {' AND '.join(f'{name} = :{name}' for name in names)}")  # noqa: S608 - ours
    _go(tx, _BY_ROWS)
    for key in tx.stream(sa.text(f"SELECT {_key_of(table)} FROM {table}")):  # noqa: S608 - ours
        _go(tx, _AS_EVER)
        if tx.execute(find, dict(zip(names, key, strict=True))).scalar() != 1:
            return _said(key)
    return ""


def _go(tx: Transaction, ways: dict[str, bool]) -> None:
    """Let a server go through tables in these ways alone, until the next word or the transaction's end."""
    for name, on in ways.items():
        tx.execute(sa.text(f"SET LOCAL {name} = {'on' if on else 'off'}"))
