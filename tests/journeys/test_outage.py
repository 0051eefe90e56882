"""The uplink is cut, the office killed, the hub's ledger set back: money stays right, or the hub stops trading."""

import asyncio
import shutil

import pytest

from back_office.settings import database_file
from back_office.store import places
from back_office.store.engine import open_store, sqlite_url
from tests.support.venue import Venue, broken_promises_of, open_venue
from venuehub.demo.audit import read_books

pytestmark = pytest.mark.slow
SEED = 4_711
FEW = 6


async def everything_is_right(venue: Venue) -> None:
    assert await broken_promises_of(venue) == []
    ledger = venue.read()
    books = read_books(venue.stage.arcade, venue.stage.folder)
    assert (books.faults, books.balanced, books.office_equals_hubs) == ([], True, True)
    assert (books.booked, books.gaps, books.duplicates) == (ledger.entries, 0, 0)


async def some_guests(venue: Venue, first: int) -> None:
    """Taps of members who have not tapped yet, and a coin at each machine."""
    machines, members = venue.stage.plan.places, venue.stage.plan.members
    for number in range(FEW):
        await venue.tap(machines[number % len(machines)], members[first + number])
    for place in machines:
        venue.stage.guests.insert_coins(place, 1)
    await venue.coins_booked()


def captured(venue: Venue) -> int:
    """How many plays are paid."""
    return sum(play.state == "captured" for play in venue.read().plays.values())


def test_guests_play_on_without_an_office_and_the_books_have_it_all_in_the_end(tmp_path):
    async def story() -> None:
        async with open_venue(tmp_path, SEED) as venue:
            await some_guests(venue, 0)
            await venue.until(lambda: venue.unsynced() == 0, "the office has everything")
            venue.stage.relay.pull()
            await some_guests(venue, FEW)
            await venue.killed_and_back(venue.hub, "bus.up")
            await some_guests(venue, 2 * FEW)
            assert venue.unsynced() > FEW
            await venue.until(lambda: captured(venue) > 2 * FEW, "what was played is captured")
            office, ups = venue.child("office"), venue.said("hub", "uplink.up")
            venue.stage.relay.plug()
            await venue.until(lambda: venue.said("hub", "uplink.up") > ups, "the hub is at the office's broker again")
            await venue.away(office)
            await office.start()
            await everything_is_right(venue)

    asyncio.run(story())


@pytest.mark.parametrize(
    "taken", [12, pytest.param(1, marks=pytest.mark.full), pytest.param(40, marks=pytest.mark.full)]
)
def test_an_office_killed_while_it_takes_batches_in_books_each_once(tmp_path, taken):
    async def story() -> None:
        async with open_venue(tmp_path, SEED) as venue:
            office = venue.child("office")
            venue.stage.relay.pull()
            await some_guests(venue, 0)
            await some_guests(venue, FEW)
            waiting = venue.unsynced()
            assert waiting > taken
            venue.stage.relay.plug()
            await venue.until(lambda: venue.unsynced() <= waiting - taken, "the office takes batches in")
            await venue.away(office)
            await some_guests(venue, 2 * FEW)
            await office.start()
            await everything_is_right(venue)

    asyncio.run(story())


def frozen_at_office(venue: Venue) -> str:
    """Why the office froze the hub."""
    store = open_store(sqlite_url(database_file(venue.stage.folder.office)))
    try:
        with store.reading() as tx:
            hub = places.hub(tx, venue.stage.arcade.tenant_id, venue.hub_id)
            return hub.frozen if hub else ""
    finally:
        store.close()


def test_a_hub_whose_ledger_was_set_back_is_frozen_at_the_first_exchange_and_stays_so(tmp_path):
    async def story() -> None:
        async with open_venue(tmp_path, SEED) as venue:
            place, members = venue.stage.plan.places[0], venue.stage.plan.members
            await venue.tap(place, members[0])
            await venue.settled()
            await venue.end_hub()
            state, older = venue.ledger.parent, tmp_path / "older"
            shutil.copytree(state, older)
            await venue.start_hub()
            await venue.tap(place, members[1])
            await venue.settled()
            entries = venue.read().entries
            await venue.end_hub()
            shutil.rmtree(state)
            shutil.copytree(older, state)
            await venue.start_hub()
            await venue.until(lambda: venue.said("hub", "till.frozen") > 0, "the hub is frozen")
            assert venue.read().entries < entries
            seen = await venue.credits_seen()
            await venue.tap(place, members[2])
            assert set(venue.read().declined) == {"hub_closed"}
            assert frozen_at_office(venue) in ("rolled_back", "fork")
            refused = venue.read().declined["hub_closed"]
            await venue.end_hub()
            await venue.start_hub()
            await venue.tap(place, members[3])
            assert venue.read().declined["hub_closed"] > refused
            assert await venue.credits_seen() == seen

    asyncio.run(story())
