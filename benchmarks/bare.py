"""What a database's driver does without the office's store: to compare with, and to count what the office wrote."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from back_office.store.engine import Store, make_engine, open_store

_BEGIN: Final = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN ISOLATION LEVEL SERIALIZABLE"}


class Bared:
    """The database at a URL, with the office's tables and settings. `store`: as the office uses it."""

    def __init__(self, url: str) -> None:
        """Make the tables."""
        open_store(url, create=True).close()
        self._engine = make_engine(sa.make_url(url))
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        self.store = Store(self._engine)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """Hand out the driver's own connection within a transaction that writes."""
        with self._connection() as driver:
            driver.execute(_BEGIN[self._engine.dialect.name])
            yield driver
            driver.commit()

    def rows_written(self) -> int:
        """Return how many rows were written so far: by this process into a file, by anybody on a server."""
        with self._connection() as driver:
            if self.is_sqlite:
                return int(driver.total_changes)
            driver.execute("SELECT pg_stat_force_next_flush()")
            found = driver.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables")
            return int(found.fetchone()[0])

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        with contextlib.closing(self._engine.raw_connection()) as connection:
            driver: Any = connection.driver_connection
            if not (self.is_sqlite or driver.autocommit):
                driver.autocommit = True
            yield driver
