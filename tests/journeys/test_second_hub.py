"""A hub plays without its office and its box dies for good: what its neighbour had taken in reaches the office."""

import asyncio
import shutil
import sqlite3
import sys

import pytest

from back_office.ledger.verify import prove_books
from back_office.settings import database_file
from back_office.store import chains
from back_office.store.chains import Chain
from back_office.store.engine import open_store, sqlite_url
from tests.support.venue import HALL, STAGE, open_venue, two_halls

pytestmark = pytest.mark.slow
SEED = 4_711
FEW = 4
HURRIED = [sys.executable, "-m", "tests.support.hurried_child"]


def one_of(file, sql):
    """Return one number of a database that somebody else writes; 0 where it is not there yet."""
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            return connection.execute(sql).fetchone()[0] or 0
    except sqlite3.OperationalError:
        return 0


def records_of(venue):
    with sqlite3.connect(f"file:{venue.ledger}?mode=ro", uri=True) as connection:
        return [bytes(row[0]) for row in connection.execute("SELECT record FROM entries ORDER BY seq")]


def booked(venue):
    """Return the records of the first hall's hub that the office has, in order."""
    stage = venue.stage
    store = open_store(sqlite_url(database_file(stage.folder.office)))
    try:
        with store.reading() as tx:
            rows = chains.entries_of(tx, stage.arcade.tenant_id, Chain(hub_id=venue.hub_id, stream=0, epoch=1))
            return [bytes(row.record) for row in rows]
    finally:
        store.close()


def books_are_right(venue):
    store = open_store(sqlite_url(database_file(venue.stage.folder.office)))
    try:
        with store.reading() as tx:
            return prove_books(tx, venue.stage.arcade.tenant_id).ok
    finally:
        store.close()


async def guests_play_and_pay(venue):
    stage = venue.stage
    here = stage.plan.halls[0].places
    for number in range(FEW):
        await venue.tap(here[number % len(here)], stage.plan.members[number])
    for place in here:
        stage.guests.insert_coins(place, 1)
    await venue.guests_done()


def test_a_box_that_dies_takes_nothing_with_it_that_its_neighbour_had(tmp_path):
    async def story():
        replace = {"hub": HURRIED, "hub-stage": HURRIED}
        async with open_venue(tmp_path, SEED, replace=replace, plan=two_halls) as venue:
            stage = venue.stage
            await venue.until(lambda: venue.unsynced() == 0, "the office has everything")
            stage.relay.pull()
            await guests_play_and_pay(venue)
            assert venue.unsynced() > FEW
            carried = stage.folder.hall(STAGE).ledger.with_name("carried.sqlite3")
            newest = "SELECT max(last_rec) FROM carried"
            written = "SELECT max(seq) FROM entries"
            await venue.until(lambda: one_of(carried, newest) == venue.one(written), "the neighbour has everything")
            had = records_of(venue)[: one_of(carried, newest)]
            hub = venue.hub
            hub._stopping = True  # nobody starts it again
            await venue.away(hub)
            shutil.rmtree(stage.folder.hall(HALL).hub)
            stage.relay.plug()
            await venue.until(lambda: len(booked(venue)) >= len(had), "the neighbour has brought it")
            assert booked(venue) == had
            assert len(had) > FEW
            await venue.until(lambda: one_of(carried, "SELECT count(*) FROM carried") == 0, "it is let go")
            assert books_are_right(venue)

    asyncio.run(story())
