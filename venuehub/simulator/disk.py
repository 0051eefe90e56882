"""The hub's disk: SQLite in memory behind the ledger's port. What a commit meets is chosen by the faults of the run."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import CommitUnknownError, LedgerRefusedError, Row, Store
from venuehub.simulator.world import World

Fate = Literal["fsync-lost", "fsync-stored", "power-cut-before", "power-cut-after"]
IMAGES_KEPT: Final = 2


class PowerCutError(Exception):
    """The hub lost its power in the middle of a commit."""


class Disk:
    """What survives the hub's process. Whatever is not committed is gone with it."""

    def __init__(self, world: World, image: bytes) -> None:
        self.world = world
        self.full = False
        """While True nothing more can be written."""
        self.images: list[bytes] = []
        """Older states of the disk, oldest first: what somebody copied and may put back."""
        self.armed: tuple[int, Fate] | None = None
        """In how many commits which fate strikes."""
        self.connection = self._open(image)

    def _open(self, image: bytes) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        if image:
            connection.deserialize(image)
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # nobody else reads this memory
        return connection

    def drop_open_transaction(self) -> None:
        """The process died."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def keep_image(self) -> None:
        """Copy the disk as it is now; a copy from before an open step's BEGIN is what a thief would get."""
        if not self.connection.in_transaction:
            self.images = [*self.images, self.connection.serialize()][-IMAGES_KEPT:]

    def put_back(self, image: bytes) -> None:
        """Replace the disk by an older copy; the process on it must be dead."""
        self.connection.close()
        self.connection = self._open(image)

    def next_fate(self) -> Fate | None:
        """Count a commit; return the fate that strikes it, or None."""
        if self.armed is None:
            return None
        left, fate = self.armed
        self.armed = (left - 1, fate) if left else None
        return None if left else fate


class DiskStore:
    """One process's handle on the disk: the fourth plug of the ledger's port."""

    def __init__(self, disk: Disk) -> None:
        self.commits = 0
        self._disk = disk
        self._connection = disk.connection
        self._written = disk.connection.total_changes

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; return the number of rows changed."""
        try:
            return self._connection.execute(sql, values).rowcount
        except sqlite3.IntegrityError as error:
            message = f"the simulated ledger's rules refused a write: {error}"
            raise LedgerRefusedError(message) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.IntegrityError as error:
            message = f"the simulated ledger's rules refused a write: {error}"
            raise LedgerRefusedError(message) from error

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return all rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def commit(self) -> None:
        """Make it durable, or meet the fate that was chosen."""
        self.commits += 1
        disk = self._disk
        written, self._written = self._written, self._connection.total_changes
        if disk.full and written != self._written:
            self._fail("disk-full", stored=False)
        fate = disk.next_fate() if disk.armed is not None else None
        if fate is None:
            self._connection.execute("COMMIT")
        elif fate in ("fsync-lost", "fsync-stored"):
            self._fail(fate, stored=fate == "fsync-stored")
        else:
            self._end(stored=fate == "power-cut-after")
            disk.world.happened["power-cut"] += 1
            disk.world.note(f"disk: {fate}")
            raise PowerCutError(fate)

    def _end(self, *, stored: bool) -> None:
        if stored:
            self._connection.execute("COMMIT")
        else:
            self._disk.drop_open_transaction()

    def _fail(self, fault: str, *, stored: bool) -> None:
        self._end(stored=stored)
        self._disk.world.happened[fault] += 1
        self._disk.world.note(f"disk: {fault}")
        message = f"simulated disk: {fault}. The hub stops, reopens its ledger and reconciles."
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
