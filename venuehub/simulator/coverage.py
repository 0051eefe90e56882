"""Which rows of the product's tables a run has been through: the tables are read through counting ones.

Only what the product looks up counts: while checks fold journals over the same tables, nothing does.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import ModuleType
from typing import Final

from payment_core import authorization, lease, orders

TABLES: Final[dict[str, tuple[ModuleType, str]]] = {
    "authorization": (authorization, "TABLE"),
    "lease": (lease, "LEASE_TABLE"),
    "payment-order": (orders, "TABLE"),
}
"""Name of a table to where it stands; its keys are (state, step)."""


_Rows = dict[tuple[StrEnum, StrEnum], object]


class _Counting(_Rows):
    """A table that counts which rows are looked up."""

    def __init__(self, name: str, rows: _Rows, counts: Counter[str]) -> None:
        super().__init__(rows)
        self._names = {key: row_name(name, key) for key in rows}
        self._counts = counts

    def __getitem__(self, key: tuple[StrEnum, StrEnum]) -> object:
        """Count the row, then return it."""
        name = self._names.get(key)
        if name is not None:
            self._counts[name] += 1
        return super().__getitem__(key)


def row_name(table: str, key: tuple[StrEnum, StrEnum]) -> str:
    """Return `authorization held+command`."""
    state, step = key
    return f"{table} {state.value}+{step.value}"


def all_rows() -> list[str]:
    """Return the names of all rows of all tables."""
    return [row_name(name, key) for name, (module, table) in TABLES.items() for key in getattr(module, table)]


@contextmanager
def counted(counts: Counter[str]) -> Iterator[None]:
    """Count into `counts` what is looked up in the tables meanwhile."""
    with _replaced(lambda name, rows: _Counting(name, rows, counts)):
        yield


@contextmanager
def not_counted() -> Iterator[None]:
    """Look rows up without counting them, within `counted`."""
    with _replaced(lambda _name, rows: dict(rows)):
        yield


@contextmanager
def _replaced(make: Callable[[str, _Rows], _Rows]) -> Iterator[None]:
    kept = {name: getattr(module, table) for name, (module, table) in TABLES.items()}
    for name, (module, table) in TABLES.items():
        setattr(module, table, make(name, kept[name]))
    try:
        yield
    finally:
        for name, (module, table) in TABLES.items():
            setattr(module, table, kept[name])
