"""DUR-5: a disk that is full sells nothing, still takes the results of what is under way, and needs no hand to go on.

A real hub on an ext4 of 8 MiB; guests tap, the disk fills up at another moment each time, and is freed again.
"""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from tests.support.disks import small_ext4
from tests.support.one_hub import OPEN_ONES, OneHub, furnish, open_hub
from tests.support.sizes import count

pytestmark = [pytest.mark.slow, pytest.mark.root]
DISK_MIB = 8
POINTS = 24
RESUMES_S = 10.0
RECORDED_S = 8.0
UNDER_WAY = 8
STARTS = 2
"""A full disk ends the process once; it may end once more where even the ballast was not enough at once."""


def fill(disk: Path, leave_kib: int) -> Path:
    """Write until nothing fits any more, then give a little back, so that it ends in the middle of another commit."""
    filler = disk / "photos"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4_096)):
            pass
    with filler.open("r+b") as file:
        file.truncate(max(filler.stat().st_size - leave_kib * 1_024, 0))
    return filler


async def fill_and_free(one: OneHub, disk: Path, point: int) -> list[str]:
    """Play one point; return what was not kept."""
    for _ in range(point % 7):
        await one.sell()
    one.answers = False
    for _ in range(UNDER_WAY):
        await one.sell()  # this machine is still counting its coins when the disk is full
    before, restarts, since = len(one.given), one.hub.restarts, time.monotonic()
    filler = fill(disk, leave_kib=4 * (point % 5))
    await one.until(lambda: one.closed_views(since), "a guest is turned away", again=one.tap)
    broken = []
    await one.speak_again()
    try:
        await one.until(lambda: one.one(OPEN_ONES) == 0, "results are recorded", seconds=RECORDED_S)
    except AssertionError as late:
        broken.append(f"what was under way is not recorded while the disk is full: {late}")
    sold, since = len(one.given), time.monotonic()
    await one.until(lambda: one.closed_views(since), "the door is closed", again=one.tap)
    if len(one.given) > sold:
        broken.append("a sale was made without ballast")
    if len(one.given) > one.paid():
        broken.append(f"{len(one.given)} given, {one.paid()} paid")
    if one.hub.restarts - restarts > STARTS:
        broken.append(f"{one.hub.restarts - restarts} starts for one full disk")
    filler.unlink()
    sold = len(one.given)
    took_s = await one.until(lambda: len(one.given) > sold, "the hub sells again", again=one.tap)
    if took_s > RESUMES_S:
        broken.append(f"it took {took_s:.1f} s to sell again")
    assert len(one.given) > before
    return [f"point {point}: {promise}" for promise in broken]


def play(folder: Path, points: int, mutant: str = "") -> list[str]:
    async def story(disk: Path) -> list[str]:
        broken = []
        furnish(disk / "state")
        async with open_hub(folder, disk / "state", mutant=mutant) as one:
            for point in range(points):
                broken += await fill_and_free(one, disk, point)
        return broken

    with small_ext4(folder, DISK_MIB) as disk:
        return asyncio.run(story(disk))


def test_a_full_disk_loses_nothing_and_goes_on_by_itself(tmp_path):
    assert play(tmp_path, max(3, count(POINTS))) == []


def test_a_build_that_keeps_its_ballast_is_caught(tmp_path):
    broken = play(tmp_path, 1, mutant="ballast-kept")
    assert any("not recorded while the disk is full" in promise for promise in broken), broken
