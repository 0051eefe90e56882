"""A program that is told to end, ends."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Coroutine
from typing import NoReturn

import pytest

from cloud_sync import ending
from tests.support.waiting import eventually

AWAY = OSError("gone")
HANGS = """
import asyncio, sys, threading
from cloud_sync import ending
from tests.support.waiting import eventually
ending.ENDING_S = 0.2

async def main():
    ending.heed_signals(lambda: None)
    print("ready", flush=True)
    {hang}

asyncio.run(main())
"""


async def follow(started: asyncio.Event, gone: asyncio.Event) -> NoReturn:
    """Serve a device that goes away, and try again, for ever: as each link and each station does."""
    while True:
        try:
            await ending.tried(serve(started, gone))
        except* OSError:
            pass
        await ending.pause(0)


async def serve(started: asyncio.Event, gone: asyncio.Event) -> None:
    """Serve it once: the fault of one half ends the other."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_until(gone))
        started.set()
        group.create_task(_until(asyncio.Event()))


async def _until(gone: asyncio.Event) -> NoReturn:
    await gone.wait()
    raise AWAY


def _told_again(process: subprocess.Popen[str], number: int) -> bool:
    process.send_signal(number)
    return process.poll() is not None


async def _told_in_that_moment() -> bool:
    """Tell a follower to end in the moment its device goes away; say whether it ended."""
    started, gone = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(follow(started, gone))
    await started.wait()
    gone.set()
    await asyncio.sleep(0)  # now the fault is there, and the group that raises it has not woken yet
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    ended = task.cancelled()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    return ended


async def _rounds() -> int:
    """Return how often a follower began whose device goes away each time."""
    rounds, gone = 0, asyncio.Event()
    gone.set()
    task = asyncio.create_task(follow(asyncio.Event(), gone))
    for _ in range(100):
        await asyncio.sleep(0)
        rounds += not task.done()
    task.cancel()
    await asyncio.wait([task])
    return rounds


def test_whose_device_goes_away_tries_again_for_ever():
    assert asyncio.run(_rounds()) == 100


async def _in_the_same_task(attempt: Coroutine[object, object, None]) -> None:
    await attempt


def test_a_build_that_tries_in_the_loops_own_task_is_caught(monkeypatch):
    monkeypatch.setattr(ending, "tried", _in_the_same_task)
    assert asyncio.run(_rounds()) < 100


def test_who_is_told_to_end_in_the_moment_of_a_fault_ends():
    assert asyncio.run(_told_in_that_moment())


def test_a_build_that_only_sleeps_before_it_tries_again_is_caught(monkeypatch):
    monkeypatch.setattr(ending, "pause", asyncio.sleep)
    assert not asyncio.run(_told_in_that_moment())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hang", ["await asyncio.Event().wait()", "threading.Event().wait()"])
def test_a_program_that_hangs_is_over_in_the_end_and_says_where(number, hang):
    words = [sys.executable, "-c", HANGS.format(hang=hang)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        eventually(lambda: _told_again(process, number), 20)  # Python may miss one in the instant it begins to wait
        said = process.stderr.read()
    assert process.returncode == 1
    assert "most recent call first" in said


class GoneError(Exception):
    """One of ours."""


async def _two_at_once(*faults: Exception) -> None:
    async def fail(fault: Exception) -> None:
        raise fault

    with ending.first_fault(GoneError):
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(fail(fault))


@pytest.mark.parametrize("count", [1, 2])
def test_of_faults_in_the_same_moment_the_first_is_told_alone(count):
    with pytest.raises(GoneError, match="number 0"):
        asyncio.run(_two_at_once(*(GoneError(f"number {number}") for number in range(count))))


def test_a_fault_of_another_kind_is_told_with_all_of_them():
    with pytest.raises(BaseExceptionGroup) as told:
        asyncio.run(_two_at_once(GoneError("ours"), KeyError("a bug")))
    assert len(told.value.exceptions) == 2
