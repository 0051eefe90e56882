"""Hub and office one release apart, either one the newer, over a real broker: equal books, no loss, nothing refused.

One release takes over from the other while batches wait and the link is cut: a hub on its old state folder, an office
on its old books. Whoever is first.
"""

import asyncio
import json

import pytest

from back_office.settings import database_file
from back_office.store.downgrade import go_down
from back_office.store.engine import sqlite_url
from tests.support.releases import newest_release
from tests.support.venue import open_venue
from venuehub.demo.audit import read_books
from venuehub.demo.processes import python_module

pytestmark = pytest.mark.slow
SEED = 4_711
FEW = 3
TOLD_OFF = ("uplink.refused", "uplink.rejected", "uplink.frozen", "uplink.message_failed")


class Rolling:
    """A venue of the release before, and the programs of this one that take over."""

    def __init__(self, venue, old):
        self.venue, self.old = venue, old
        self.first = 0

    async def guests_come(self):
        """Let some members tap and put coins in, whoever is connected to whom."""
        venue = self.venue
        machines, members = venue.stage.plan.places, venue.stage.plan.members
        for number in range(FEW):
            await venue.tap(machines[number % len(machines)], members[self.first + number])
        self.first += FEW
        for place in machines[:2]:
            venue.stage.guests.insert_coins(place, 1)
        await venue.coins_booked()

    async def cut_and_play(self):
        self.venue.stage.relay.pull()
        await self.guests_come()
        assert self.venue.unsynced() > 0

    async def plug(self):
        ups = self.venue.said("hub", "uplink.up")
        self.venue.stage.relay.plug()
        await self.venue.until(lambda: self.venue.said("hub", "uplink.up") > ups, "the hub is at its broker again")
        await self.venue.settled()

    async def newer_hub(self):
        """This release's hub on the state folder of the one before."""
        await self.venue.end_hub()
        hub = self.venue.hub
        hub.command = [*python_module("edge_agent.app"), *hub.command[len(self.old.python) + 1 :]]
        await self.venue.start_hub()
        await self.venue.devices_online()

    async def newer_office(self):
        """This release's office on the books of the one before."""
        office = self.venue.child("office")
        await office.stop()
        office.command = [*python_module("venuehub"), *office.command[len(self.old.python) + 1 :]]
        office._stopping = False
        await office.start()

    async def books_are_equal(self, *, by_old_office=False):
        venue, folder = self.venue, self.venue.stage.folder
        await venue.settled()
        if by_old_office:
            words = ("--dir", str(folder.office), "--ledger", str(venue.ledger), "--json")
            assert json.loads(self.old.run("venuehub", "office", "verify", *words))["ok"]
        else:
            books = read_books(venue.stage.arcade, folder)
            assert (books.faults, books.balanced, books.office_equals_hubs) == ([], True, True)
            assert (books.booked, books.gaps, books.duplicates) == (venue.read().entries, 0, 0)
        assert {name: venue.said(name, event) for name in ("hub", "office") for event in TOLD_OFF} == {
            "hub": 0, "office": 0,
        }  # fmt: skip


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    release = newest_release(tmp_path_factory.mktemp("release"))
    for room in ("edge_agent", "back_office", "cloud_sync", "venuehub"):
        assert release.place_of(room).startswith(str(release.tree))
    return release


@pytest.mark.parametrize("first", ["office", pytest.param("hub", marks=pytest.mark.full)])
def test_one_release_after_the_other_and_nothing_is_lost_or_refused(tmp_path, old, first):
    def of_the_release_before(stage):
        go_down(sqlite_url(database_file(stage.folder.office)), old.books_version)

    async def story():
        replace = {"hub": [*old.python, "edge_agent.app"], "office": [*old.python, "venuehub"]}
        async with open_venue(tmp_path, SEED, replace=replace, before_programs=of_the_release_before) as venue:
            rolling = Rolling(venue, old)
            await rolling.guests_come()
            await rolling.cut_and_play()
            if first == "office":
                await rolling.newer_office()
            else:
                await rolling.newer_hub()
            await rolling.plug()
            await rolling.guests_come()
            await rolling.cut_and_play()
            await rolling.plug()
            await rolling.books_are_equal(by_old_office=first == "hub")
            await rolling.cut_and_play()
            if first == "office":
                await rolling.newer_hub()
            else:
                await rolling.newer_office()
            await rolling.plug()
            await rolling.guests_come()
            await rolling.books_are_equal()

    asyncio.run(story())
