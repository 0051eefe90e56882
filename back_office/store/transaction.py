"""One open transaction: SQLAlchemy says what statements are, in the database's own words; its driver runs them.

SQLAlchemy's own way of running a statement takes ten times as long as SQLite takes for it. So a statement that a module
keeps is put into words once per dialect, and rows come as the driver's tuples, all at once.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from typing import Any, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa

Values = Mapping[str, object]
Filling = Values | Sequence[object]
"""What fills a statement's places: by their names, or in their order."""
Row = tuple[Any, ...]
_NOTHING: Final[Values] = {}
_PAGE: Final = 500
"""How many rows a stream has in memory at once."""


class Rows(list[Row]):
    """What a query found."""

    def __init__(self, rows: Sequence[Row], description: Sequence[Sequence[Any]] | None) -> None:
        super().__init__(rows)
        self._description = description or ()

    def first(self) -> Row | None:
        """Return the first row."""
        return self[0] if self else None

    def scalar(self) -> Any:  # noqa: ANN401 - whatever the column holds
        """Return the first column of the first row; None where there is none."""
        return self[0][0] if self else None

    def scalars(self) -> list[Any]:
        """Return the first column."""
        return [row[0] for row in self]

    def mappings(self) -> "Mapped":
        """Return the rows with their columns' names."""
        names = [column[0] for column in self._description]
        return Mapped(dict(zip(names, row, strict=True)) for row in self)


class Mapped(list[dict[str, Any]]):
    """Rows with their columns' names."""

    def first(self) -> dict[str, Any] | None:
        """Return the first row."""
        return self[0] if self else None


class _Words:
    """A statement in a dialect's words. Lists in it grow to the next power of two, so that few texts serve all."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect, values: Values) -> None:
        assert isinstance(statement, sa.sql.ClauseElement)
        made = statement.compile(dialect=dialect, column_keys=list(values) if statement.is_dml else None)
        assert isinstance(made, sa.sql.compiler.SQLCompiler)
        self._defaults = {name: value for name, value in made.params.items() if name not in values}
        self._lists = sorted(made.bind_names[bind] for bind in made.post_compile_params)
        self._adds = bool(self._defaults or self._lists)
        self._texts: dict[tuple[int, ...], str] = {}
        whole = {**self._defaults, **values}
        one_each = made.construct_expanded_state({**whole, **{name: [None] for name in self._lists}})
        self.text = one_each.statement
        self._place = made.bindtemplate

    def filled_often(self, rows: Sequence[Values]) -> Sequence[Filling]:
        """Return what fills the places of the text for each of several values."""
        return [self.filled(values)[1] for values in rows] if self._adds else rows

    def filled(self, values: Values) -> tuple[str, Filling]:
        """Return the text and what fills its places."""
        if not self._adds:
            return self.text, values
        if self._defaults:
            values = {**self._defaults, **values}
        if not self._lists:
            return self.text, values
        flat = dict(values)
        sizes = []
        for name in self._lists:
            wanted = _to_a_power_of_two(flat.pop(name))
            flat.update(zip(_names(name, len(wanted)), wanted, strict=True))
            sizes.append(len(wanted))
        key = tuple(sizes)
        if key not in self._texts:
            self._texts[key] = self._grown(key)
        return self._texts[key], flat

    def _grown(self, sizes: tuple[int, ...]) -> str:
        text = self.text
        for name, size in zip(self._lists, sizes, strict=True):
            places = [self._place % {"name": each} for each in _names(name, size)]
            cast = r"(::\w+)?"  # PostgreSQL's driver is told types so
            pattern = re.compile(re.escape(places[0]) + r"(?!\w)" + cast)
            text = pattern.sub(partial(_joined, places), text)
        return text


class _PlacedWords(_Words):
    """A statement whose values stand in their order.

    SQLite looks a name up among all that are there, twice: ten thousand of them would take it seconds.
    """

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect, values: Values) -> None:
        super().__init__(statement, dialect, values)
        firsts = {_names(name, 1)[0]: name for name in self._lists}
        there = "|".join(map(re.escape, (*self._defaults, *values, *firsts)))
        self._between = re.split(rf":({there})(?!\w)" if there else "(?!)", self.text)
        self._order = [firsts.get(name, name) for name in self._between[1::2]]
        self._picked = _picking(self._order)
        self.text = self._placed(())

    def filled_often(self, rows: Sequence[Values]) -> Sequence[Filling]:
        """Return what fills the places of the text for each of several values."""
        return super().filled_often(rows) if self._adds else list(map(self._picked, rows))

    def filled(self, values: Values) -> tuple[str, Filling]:
        """Return the text and what fills its places."""
        if self._defaults:
            values = {**self._defaults, **values}
        if not self._lists:
            return self.text, self._picked(values)
        lists = {name: _to_a_power_of_two(values[name]) for name in self._lists}
        sizes = tuple(map(len, lists.values()))
        if sizes not in self._texts:
            self._texts[sizes] = self._placed(sizes)
        filling: list[object] = []
        for name in self._order:
            if name in lists:
                filling += lists[name]
            else:
                filling.append(values[name])
        return self._texts[sizes], filling

    def _placed(self, sizes: tuple[int, ...]) -> str:
        of = dict(zip(self._lists, sizes, strict=bool(sizes)))
        between = list(self._between)
        between[1::2] = [", ".join("?" * of.get(name, 1)) for name in self._order]
        return "".join(between)


def _names(name: str, size: int) -> list[str]:
    return [f"{name}_{number}" for number in range(1, size + 1)]


def _to_a_power_of_two(values: Any) -> list[object]:  # noqa: ANN401 - whatever can be gone through
    """Return a list that finds the same and grew to the next power of two; IN (NULL) finds nothing."""
    wanted = list(values) or [None]
    return wanted + wanted[-1:] * ((1 << (len(wanted) - 1).bit_length()) - len(wanted))


def _picking(order: Sequence[str]) -> Callable[[Values], Sequence[object]]:
    """Return what puts values in their order."""
    return itemgetter(*order) if len(order) > 1 else lambda values: [values[name] for name in order]


def _joined(places: list[str], found: re.Match[str]) -> str:
    return ", ".join(place + (found[1] or "") for place in places)


@cache
def insert_into(table: sa.Table) -> sa.Insert:
    """Return the one statement that adds rows to a table."""
    return sa.insert(table)


@cache
def _plain_insert(table: sa.Table, names: tuple[str, ...]) -> str:
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - ours


@cache
def _copy_into(table: sa.Table, names: tuple[str, ...]) -> str:
    return f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"


_ON_A_SERVER: Final[dict[type, str]] = {sa.BigInteger: "int8", sa.LargeBinary: "bytea", sa.Text: "text"}
"""What PostgreSQL calls our kinds of columns; its binary form must be told."""


@cache
def _adding_up(table: sa.Table, key: tuple[str, ...], sums: tuple[str, ...]) -> str:
    return _plain_insert(table, key + sums) + _where_it_is(table, key, sums)


@cache
def _adding_up_at_once(table: sa.Table, key: tuple[str, ...], sums: tuple[str, ...]) -> str:
    """Return one statement for all rows, its columns as lists: one for each row takes a server thrice as long."""
    names = key + sums
    lists = ", ".join(f"%s::{_ON_A_SERVER[type(table.c[name].type)]}[]" for name in names)
    into = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({lists})"  # noqa: S608 - ours
    return into + _where_it_is(table, key, sums)


def _where_it_is(table: sa.Table, key: tuple[str, ...], sums: tuple[str, ...]) -> str:
    rises = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in sums)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {rises}"


_STREAMS: Final = itertools.count(1)
"""A cursor that stays on a server has a name there."""
_KNOWN: Final[dict[str, WeakKeyDictionary[sa.Executable, dict[tuple[str, ...], _Words]]]] = {}
"""By dialect, then by statement: one that is built for a single use is forgotten with it."""


class Transaction:
    """What the other rooms hand from one question to the next; only this room looks inside."""

    def __init__(self, connection: Any, dialect: sa.Dialect) -> None:  # noqa: ANN401 - a driver's connection
        """Take a connection whose transaction is open."""
        self._connection = connection
        self._cursor = connection.cursor()
        self._streams: list[Any] = []
        self._dialect = dialect
        self._known = _KNOWN.setdefault(dialect.name, WeakKeyDictionary())

    @property
    def is_sqlite(self) -> bool:
        """Whether the books are a file."""
        return self._dialect.name == "sqlite"

    def execute(self, statement: sa.Executable, values: Values | Sequence[Values] = _NOTHING) -> Rows:
        """Run a statement, or for each of several values; values that it was built with need not be given."""
        cursor = self._cursor
        if isinstance(values, list):
            words = self._words(statement, values[0])
            cursor.executemany(words.text, words.filled_often(values))
            return Rows((), None)
        assert isinstance(values, Mapping)
        cursor.execute(*self._words(statement, values).filled(values))
        found = cursor.description
        return Rows((), None) if found is None else Rows(cursor.fetchall(), found)

    def add_rows(self, table: sa.Table, names: Sequence[str], rows: Sequence[Row]) -> None:
        """Add rows whose values stand in the order of `names`, as fast as the database takes them."""
        if self._dialect.name == "sqlite":
            self._cursor.executemany(_plain_insert(table, tuple(names)), rows)
            return
        columns = [table.c[name] for name in names]
        with self._cursor.copy(_copy_into(table, tuple(names))) as copy:
            copy.set_types([_ON_A_SERVER[type(column.type)] for column in columns])
            for row in rows:
                copy.write_row(row)

    def add_up(self, table: sa.Table, key: Sequence[str], sums: Sequence[str], rows: Sequence[Row]) -> None:
        """Add rows, in the order of `key` and then `sums`; where a key is there, its sums rise by the row's."""
        if self._dialect.name == "sqlite":
            self._cursor.executemany(_adding_up(table, tuple(key), tuple(sums)), rows)
            return
        columns = [list(column) for column in zip(*rows, strict=True)]
        self._cursor.execute(_adding_up_at_once(table, tuple(key), tuple(sums)), columns)

    def stream(self, statement: sa.Executable, values: Values = _NOTHING) -> Iterator[Row]:
        """Run a query whose rows come as they are asked for and are never all in memory, on a server neither."""
        cursor = self._connection.cursor() if self.is_sqlite else self._connection.cursor(f"stream_{next(_STREAMS)}")
        self._streams.append(cursor)
        cursor.execute(*self._words(statement, values).filled(values))
        while page := cursor.fetchmany(_PAGE):
            yield from page
        self._streams.remove(cursor)
        cursor.close()

    def close(self) -> None:
        """Let go of the connection: a question asked later is a fault."""
        for cursor in self._streams:  # here and not where it is forgotten: another transaction may run by then
            cursor.close()
        self._cursor.close()

    def _words(self, statement: sa.Executable, values: Values) -> _Words:
        of = self._known.get(statement)
        if of is None:
            of = self._known[statement] = {}
        key = tuple(values)
        words = of.get(key)
        if words is None:
            words = of[key] = (_PlacedWords if self.is_sqlite else _Words)(statement, self._dialect, values)
        return words
