"""`venuehub load` whose own database connection is cut, or whose database stays away."""

import asyncio
from functools import partial

import msgspec
import psycopg
import pytest

from back_office.fleet.founding import found_office
from back_office.settings import keep_database_url
from back_office.store.engine import open_store
from back_office.store.faults import StoreUnavailableError
from back_office.store.places import Tenant
from cloud_sync.identity import load_office
from tests.support.postgres import driver_url
from venuehub.errors import CliError
from venuehub.load import books
from venuehub.load.books import asked, booked
from venuehub.load.run import LoadOptions, run_load
from venuehub.load.stage import LOOPBACK, OwnOffice

pytestmark = pytest.mark.slow


def cut_all(url):
    """End every connection that there is to a database, as a server does that is started again; return how many."""
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        return connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()[0]


async def load(folder, url, cut):
    """Run a small fleet at an office on a server, and `cut` once all its hubs are there."""
    options = LoadOptions(
        hubs=2, seconds=1, plays_per_second=10, broker=None, office=None, outage=0, storm=False, seed=1, keep=None
    )
    async with OwnOffice(folder) as own:
        keep_database_url(own.folder, url)
        store = open_store(url)
        tenant = Tenant(load_office(own.folder).tenant_id, "Load", 1)
        found_office(store, tenant, venue_id=bytes([7]) * 16, venue="Load", timezone="UTC")
        store.close()
        await own.start_office()
        at = f"mqtts://{LOOPBACK}:{own.port}"
        options = msgspec.structs.replace(options, office=own.folder, broker=at)
        return await run_load(options, say=cut)


@pytest.mark.full
def test_a_run_whose_connections_are_cut_goes_on(tmp_path, postgres_url):
    cuts = []

    def cut(words):
        if words.startswith("all hubs are there"):
            cuts.append(cut_all(postgres_url))

    report = asyncio.run(load(tmp_path, postgres_url, cut))
    assert len(cuts) == 1
    assert cuts[0] >= 2, "the run's own connection and the office's"
    assert (report.wrong, report.proof, report.fleet.lost, report.fleet.booked) == ((), True, 0, report.fleet.entries)


@pytest.fixture
def cut_store(postgres_url):
    """A store whose one connection was cut."""
    store = open_store(postgres_url)
    booked(store, bytes(16), ())
    cut_all(postgres_url)
    yield store
    store.close()


def test_a_question_whose_connection_was_cut_is_put_again(cut_store):
    assert asyncio.run(asked(partial(booked, cut_store, bytes(16), ()))) == {}


def test_a_build_that_asks_once_is_caught(cut_store, monkeypatch):
    monkeypatch.setattr(books, "AWAY_S", 0.0)
    with pytest.raises(CliError):
        test_a_question_whose_connection_was_cut_is_put_again(cut_store)


def test_a_database_that_stays_away_is_told_as_that(monkeypatch):
    monkeypatch.setattr(books, "AWAY_S", 0.1)
    monkeypatch.setattr(books, "PAUSE_S", 0.01)
    tries = []

    def gone():
        tries.append(1)
        message = "the database cannot be used: connection refused; look at its disk"
        raise StoreUnavailableError(message)

    with pytest.raises(CliError) as told:
        asyncio.run(asked(gone))
    assert (told.value.code, told.value.exit_code, len(tries) > 1) == ("database_unreachable", 69, True)
