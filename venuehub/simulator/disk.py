"""The hub's disk: SQLite in memory behind the ledger's port, with a seeded fate for every commit."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import CommitUnknownError, LedgerRefusedError, Row, Store
from venuehub.simulator.world import World

Fate = Literal["stored", "lost", "failed_yet_stored", "cut_before", "cut_after"]
_BAD_FATES: Final[tuple[Fate, ...]] = ("lost", "failed_yet_stored", "cut_before", "cut_after")
_BAD_SHARE: Final = 0.012


class PowerCutError(Exception):
    """The hub lost its power in the middle of a commit."""


class Disk:
    """What survives the hub's process. Whatever is not committed is gone with it."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self.connection.execute("PRAGMA foreign_keys=ON")

    def drop_open_transaction(self) -> None:
        """The process died."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")


class DiskStore:
    """One process's handle on the disk: the fourth plug of the ledger's port."""

    def __init__(self, disk: Disk, world: World) -> None:
        self.commits = 0
        self._disk = disk
        self._world = world

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; return the number of rows changed."""
        try:
            return self._disk.connection.execute(sql, tuple(values)).rowcount
        except sqlite3.IntegrityError as error:
            message = f"the simulated ledger's rules refused a write: {error}"
            raise LedgerRefusedError(message) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        try:
            self._disk.connection.executemany(sql, [tuple(row) for row in rows])
        except sqlite3.IntegrityError as error:
            message = f"the simulated ledger's rules refused a write: {error}"
            raise LedgerRefusedError(message) from error

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query."""
        return self._disk.connection.execute(sql, values).fetchall()

    def commit(self) -> None:
        """Make it durable, or meet the fate that the dice have chosen."""
        self.commits += 1
        fate = self._world.dice.choice(_BAD_FATES) if self._world.chance(_BAD_SHARE) else "stored"
        if fate in ("lost", "cut_before"):
            self._disk.drop_open_transaction()
        else:
            self._disk.connection.execute("COMMIT")
        if fate == "stored":
            return
        self._world.note(f"hub: commit {fate}")
        if fate in ("cut_before", "cut_after"):
            raise PowerCutError(fate)
        message = f"simulated disk: commit {fate}. The hub stops, reopens its ledger and reconciles."
        raise CommitUnknownError(message)

    def close(self) -> None:
        """Nothing to release: the disk stays."""


class DiskReader(LedgerReader):
    """The uplink's reading connection, over the same disk."""

    def __init__(self, store: Store) -> None:  # the product's opens a file; this one has none
        self._store = store

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query."""
        return self._store.rows(sql, values)

    def close(self) -> None:
        """Nothing to release."""
