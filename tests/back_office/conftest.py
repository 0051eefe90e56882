"""An office for every test of this room: on SQLite, and for what touches the database itself on PostgreSQL too.

In full size every test runs on both. `OFFICE_DATABASE=postgresql` runs all of them on PostgreSQL alone. A test that
looks into the file itself is marked `sqlite`.
"""

import os
from pathlib import Path

import pytest

from back_office.store.engine import open_store
from tests.back_office.world import Office, found
from tests.support.sizes import size

ROOM = Path(__file__).parent
SQLITE, POSTGRESQL = "sqlite", "postgresql"
ON_BOTH = {
    "store/test_transaction.py", "store/test_orders.py", "ingest/test_hub_books.py", "ingest/test_heard_of.py",
    "ingest/test_partitions.py", "ingest/test_together.py", "ingest/test_bad_network.py",
    "ledger/test_dates.py", "ledger/test_verify.py", "ledger/test_closing.py", "test_worker.py",
    "api/test_together.py",
}  # fmt: skip
"""What runs on both in every size."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases of a test."""
    if "database" not in metafunc.fixturenames or metafunc.definition.get_closest_marker(SQLITE):
        return
    only = os.environ.get("OFFICE_DATABASE", "")
    module = Path(metafunc.module.__file__).relative_to(ROOM).as_posix()
    second = pytest.param(POSTGRESQL, marks=pytest.mark.slow)
    if only == POSTGRESQL:
        metafunc.parametrize("database", [second])
    elif module in ON_BOTH or size() == "full":
        metafunc.parametrize("database", [SQLITE, second])


@pytest.fixture
def database() -> str:
    """Name the database of a test for which nothing was chosen."""
    return SQLITE


@pytest.fixture(scope="session")
def founded_database(postgres_databases):
    """Name a database on the server that has founded books; each test gets a copy."""
    url = postgres_databases.migrated()
    store = open_store(url)
    found(store)
    store.close()
    return url.partition("@/")[2].partition("?")[0]


@pytest.fixture
def postgres_founded(postgres_databases, founded_database):
    """Return where founded books are on a server."""
    url = postgres_databases.new(founded_database)
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def books_url(database, request):
    """Return where founded books are on a server, or nothing: a file."""
    return "" if database == SQLITE else request.getfixturevalue("postgres_founded")


@pytest.fixture
def office(tmp_path, books_url):
    made = Office(tmp_path, books_url)
    yield made
    made.store.close()
