"""The venue's broker dies and comes back, devices are unplugged and plugged in again: nothing is lost or doubled."""

import asyncio
import json
import sys

import pytest

from tests.support.venue import HALL, TRIES, Venue, broken_promises_of, open_venue

pytestmark = pytest.mark.slow
SEED = 815


async def identified(venue: Venue, device: str) -> tuple[int | None, str]:
    """What an installer is told who asks a device to blink."""
    port = venue.stage.addresses["device_bus"]
    password = venue.stage.folder.hall(HALL).hub / "hub.password"
    words = ["device", "identify", device, "--broker", port, "--username", "hub", "--password-file", str(password)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "venuehub", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    stdout, stderr = await process.communicate()
    return process.returncode, (stdout + stderr).decode()


def moved(venue: Venue) -> tuple[int, int]:
    """How many coins the acceptors took and how many they gave back, since each was started."""
    told = [json.loads(file.read_bytes()) for file in venue.stage.folder.dev.glob("acceptor-*.json")]
    return sum(status["coins_inserted"] for status in told), sum(status["coins_given_back"] for status in told)


async def a_coin_in_every_box(venue: Venue) -> None:
    """One that a busy machine's acceptor gives back is inserted again."""
    missing = venue.stage.plan.places
    wanted = moved(venue)[0] + len(missing)
    for _ in range(TRIES):
        all_moved = sum(moved(venue)) + len(missing)
        for place in missing:
            venue.stage.guests.insert_coins(place, 1)
        await venue.until(lambda many=all_moved: sum(moved(venue)) == many, "the coins have fallen, or come back")
        missing = missing[: wanted - moved(venue)[0]]
    assert not missing, "the coins have not fallen"


def test_coins_that_fall_while_the_broker_is_gone_are_booked_when_it_is_back(tmp_path):
    async def story() -> None:
        async with open_venue(tmp_path, SEED) as venue:
            machines, members = venue.stage.plan.places, venue.stage.plan.members
            await venue.tap(machines[0], members[0])
            await venue.settled()
            broker, ups = venue.child("venue-broker"), venue.said("hub", "bus.up")
            await venue.away(broker)
            await a_coin_in_every_box(venue)
            assert venue.read().coins == 0
            await broker.start()
            await venue.until(lambda: venue.said("hub", "bus.up") > ups, "the hub is on the bus again")
            await venue.coins_booked()
            await venue.tap(machines[1], members[1])
            assert await broken_promises_of(venue) == []
            ledger, seen = venue.read(), await venue.credits_seen()
            assert (ledger.coins, ledger.lost) == (len(machines), 0)
            assert {play.state for play in ledger.plays.values()} == {"captured"}
            assert sum(seen.values()) == sum(play.delivered for play in ledger.plays.values())

    asyncio.run(story())


def test_readers_and_acceptors_unplugged_and_plugged_in_again_serve_on(tmp_path):
    async def story() -> None:
        async with open_venue(tmp_path, SEED) as venue:
            machines, members = venue.stage.plan.places, venue.stage.plan.members
            await a_coin_in_every_box(venue)
            await venue.settled()
            reader = machines[0].lane.reader
            assert await identified(venue, reader) == (1, f"{reader}: refused not_supported\n")
            walls = (venue.child("readers"), venue.child("acceptors"))
            unplugged = {place.lane.reader for place in machines} | {place.lane.acceptor for place in machines}
            for wall in walls:
                await venue.away(wall)
            await venue.until(lambda: not unplugged & venue.stage.observer.online, "the devices are offline")
            for wall in walls:
                await wall.start()
            await venue.devices_online()
            assert venue.bridge.restarts == 0
            await a_coin_in_every_box(venue)
            await venue.until(lambda: venue.read().coins == 2 * len(machines), "the coins are booked")
            await venue.tap(machines[0], members[0])
            ledger = venue.read()
            assert ledger.lost == 0
            assert [play.state in ("commanded", "captured") for play in ledger.plays.values() if not play.cash] == [
                True
            ]

    asyncio.run(story())
