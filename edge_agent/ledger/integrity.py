"""The full check of a ledger, in small pieces: every page, the whole chain, every table. Read-only, beside the till.

At start only the newest entries are followed, so that a big ledger is ready at once. The rest is looked at here, soon
after the start and again every business day, in pieces so short that nobody waits for them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.ledger.entries import chain_start, follow_chain
from edge_agent.ledger.page_sums import PageSums
from edge_agent.ledger.store import UNREADABLE, WAY_ON, CommitUnknownError, LedgerDamagedError, Reads

PAGES_AT_ONCE: Final = 128
ENTRIES_AT_ONCE: Final = 64


def full_check(store: Reads, sums: PageSums, path: Path) -> Iterator[None]:
    """Check everything, yielding after each piece; LedgerDamagedError says what is wrong and where."""
    try:
        yield from _everything(store, sums, path)
    except CommitUnknownError as error:
        raise _damaged(path, str(error)) from error
    except UNREADABLE as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _everything(store: Reads, sums: PageSums, path: Path) -> Iterator[None]:
    yield from _pages(sums, path)
    for piece in follow_chain(store, chain_start(store), piece=ENTRIES_AT_ONCE):
        if not piece.ok:
            raise _damaged(path, f"journal entry {piece.first_bad} does not fit its chain ({piece.reason})")
        yield
    for (table,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
        found = [str(row[0]) for row in store.rows(f"PRAGMA quick_check('{table}')")]
        if found != ["ok"]:
            raise _damaged(path, f"table {table}: {found[0]}")
        yield


def _pages(sums: PageSums, path: Path) -> Iterator[None]:
    first = 1
    while first <= sums.pages:
        try:
            damaged = sums.damaged(first, PAGES_AT_ONCE)
        except OSError as error:
            raise _damaged(path, f"page {first} and those behind it cannot be read ({error.strerror})") from error
        if damaged:
            raise _damaged(path, f"page {damaged[0]} is not what was written ({len(damaged)} of {PAGES_AT_ONCE})")
        first += PAGES_AT_ONCE
        yield


def _damaged(path: Path, what: str) -> LedgerDamagedError:
    return LedgerDamagedError(
        f"{path}: {what}. The hub will not spend. Keep the folder. Then, on a good disk, {WAY_ON}."
    )
