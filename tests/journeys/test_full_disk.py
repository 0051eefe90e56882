"""The hub's disk fills up while guests play: it stops with a clear word, and goes on by itself once there is room."""

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.venue import broken_promises_of, open_venue

pytestmark = [pytest.mark.slow, pytest.mark.root]
SEED = 99
DISK_BYTES = 4 << 20


@contextlib.contextmanager
def disk_at(place: Path):
    """A small disk of its own."""
    place.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("hardware: a disk of its own can only be mounted by root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], check=False).returncode:
        pytest.skip("hardware: no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> None:
    """Write until nothing fits any more."""
    with contextlib.suppress(OSError), (place / "photos").open("wb", buffering=0) as file:
        while file.write(bytes(512)):
            pass


def test_nothing_is_lost_and_nothing_given_twice_when_the_disk_is_full_for_a_while(tmp_path):
    async def story() -> None:
        async with open_venue(tmp_path, SEED) as venue:
            machines, members = venue.stage.plan.places, venue.stage.plan.members
            await venue.tap(machines[0], members[0])
            state = venue.ledger.parent
            fill(state)
            number = 0
            while venue.hub.restarts == 0:
                number += 1
                venue.stage.guests.tap(machines[number % len(machines)], members[number % len(members)])
                await asyncio.sleep(0.3)  # one guest after the other, until the last free page is written
                assert number < 300
            venue.stage.guests.insert_coins(machines[0], 1)
            await venue.until(lambda: venue.said("hub", "hub.closed") > 0, "the hub closes its door")
            said = (venue.stage.folder.logs / "hub.log").read_text()
            assert "ledger.sqlite3" in said
            assert "free" in said
            assert "Traceback" not in said
            ups = venue.said("hub", "bus.up")
            (state / "photos").unlink()
            await venue.until(lambda: venue.said("hub", "bus.up") > ups, "the hub goes on by itself")
            await venue.settled()
            await venue.tap(machines[1], members[1])
            assert await broken_promises_of(venue) == []
            assert (await venue.devices()).coins_inserted == venue.read().coins == 1

    with disk_at(tmp_path / "venue" / "hub" / "state"):
        asyncio.run(story())
