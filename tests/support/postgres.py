"""PostgreSQL for tests: one server for each of pytest's workers, a database of its own for each test.

`postgres_url` is a migrated database, a copy of one that was migrated once; `empty_postgres_url` has no table yet.
"""

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from back_office.store.engine import open_store
from venuehub.scale import postgres

MIGRATED = "migrated"


class Databases:
    """The databases of one server. `new()` gives the address of an empty one, `migrated()` of one with our tables."""

    def __init__(self, server: postgres.Server) -> None:
        self.server = server
        self._numbers = itertools.count()
        self._has_template = False

    def new(self, template: str = "template0") -> str:
        """Return the address of a new database; its name stands in it."""
        name = f"of_test_{next(self._numbers)}"
        self._say(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.server.database(name)

    def migrated(self) -> str:
        """Return the address of a copy of a database that was migrated once."""
        if not self._has_template:
            self._say(f"CREATE DATABASE {MIGRATED}")
            open_store(self.server.database(MIGRATED), create=True).close()
            self._has_template = True
        return self.new(MIGRATED)

    def drop(self, url: str) -> None:
        """Drop a database, also where a test that failed left connections to it."""
        self._say(f"DROP DATABASE {url.partition('@/')[2].partition('?')[0]} WITH (FORCE)")

    def _say(self, statement: str) -> None:
        with psycopg.connect(driver_url(self.server.url), autocommit=True) as connection:
            connection.execute(statement)


def driver_url(url: str) -> str:
    """Return an address as psycopg takes it by itself."""
    return url.replace("postgresql+psycopg:", "postgresql:")


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[Databases]:
    """One server, from the first test of a worker that wants one until the worker's end."""
    with postgres.passing(settings=postgres.NOT_DURABLE) as server:
        yield Databases(server)


@pytest.fixture
def empty_postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """A database without a table."""
    url = postgres_databases.new()
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """A database with the office's tables in this release's version, all empty."""
    url = postgres_databases.migrated()
    yield url
    postgres_databases.drop(url)
