"""DUR-8: a disk that turns read-only under load: guests are told at once, the office too, and nobody crashes in a loop.

A real hub on an ext4 that is aborted, as a card in protect mode makes the kernel do, and mounted anew later.
"""

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.disks import make_ext4, mounted, require_disks
from tests.support.one_hub import OneHub, furnish, open_hub
from tests.support.sizes import count

pytestmark = [pytest.mark.slow, pytest.mark.root]
DECLINES_S = 2.0
WATCHED_S = 60
"""A crash loop is more than one start a minute: so long in the full size, a few seconds in the others."""


def abort(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,abort", disk], check=True)


def mount_anew(image: Path, disk: Path) -> None:
    """Put the card in again; the hub still holds files of the old one, so the kernel would give that back."""
    subprocess.run(["umount", "-l", disk], check=True)
    again = shutil.copy(image, image.with_name("again.img"))
    subprocess.run(["mount", "-o", "loop", again, disk], check=True)


async def tap_for(one: OneHub, seconds: float, *, starts: int) -> None:
    """Let guests tap for so long, or until the hub has started too often."""
    until = time.monotonic() + seconds
    over = lambda: time.monotonic() > until or one.hub.restarts > starts  # noqa: E731 - a condition, not a function
    await one.until(over, "time has passed", seconds=2 * seconds + 10, again=one.tap)


async def turn_read_only(one: OneHub, disk: Path) -> list[str]:
    """Let the disk go while guests tap; return what was not kept."""
    for _ in range(5):
        await one.sell()
    restarts = one.hub.restarts
    abort(disk)
    since = time.monotonic()
    told_s = await one.until(lambda: one.closed_views(since), "a guest is turned away", again=one.tap)
    broken = [f"guests were told after {told_s:.1f} s"] if told_s > DECLINES_S else []
    given = len(one.given)
    await tap_for(one, max(8, count(WATCHED_S)), starts=restarts + 1)
    if one.hub.restarts - restarts > 1:
        return [*broken, "more than one start within a minute"]
    assert one.said("hub.closed") == 1
    assert one.states[-1] == {"state": "closed", "fault": "read_only", "why": one.states[-1]["why"]}
    if len(one.given) > given:
        broken.append("a sale was made on a read-only disk")
    since = time.monotonic()
    await one.until(lambda: one.closed_views(since), "guests are still turned away", again=one.tap)
    if len(one.given) > one.paid():
        broken.append(f"{len(one.given)} given, {one.paid()} paid")
    return broken


def play(folder: Path, mutant: str = "") -> list[str]:
    async def story() -> list[str]:
        with mounted(image, place) as disk:
            furnish(disk / "state")
            async with open_hub(folder, disk / "state", mutant=mutant) as one:
                broken = await turn_read_only(one, disk)
                if broken:
                    return broken
                mount_anew(image, disk)
                await one.sell()
                assert len(one.given) <= one.paid()
                await one.until(lambda: one.states[-1] == {"state": "online"}, "the office hears that all is well")
        return broken

    require_disks()
    image, place = folder / "disk.img", folder / "disk"
    make_ext4(image, 16)
    return asyncio.run(story())


def test_a_read_only_disk_closes_the_door_and_opens_it_again(tmp_path):
    assert play(tmp_path) == []


def test_a_build_that_ends_at_a_shut_ledger_is_caught(tmp_path):
    broken = play(tmp_path, mutant="ends-when-shut")
    assert any("more than one start" in promise for promise in broken), broken
