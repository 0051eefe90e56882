"""`venuehub bench catchup`: a hub that was offline for seven days sends what it owes while guests go on tapping.

The office is a process of the same machine, at the lowest priority: a venue's office is elsewhere. It is stopped while
it is to be quiet, so that nothing but its answers is missing then.
"""

import asyncio
import contextlib
import signal
import statistics
import tempfile
import time
from pathlib import Path
from subprocess import Popen

from benchmarks.offline_hub import OfflineHub
from benchmarks.processes import status
from benchmarks.report import Report, Row, finished, judge
from benchmarks.tap import Lanes
from cloud_sync.mqtt_link import MqttLink, MqttSettings

ENTRIES = 50_000
"""Of seven days in a busy arcade."""
LANES = 20
CARDS = 60
RATE = 20
"""Live taps a second."""
QUIET_S = 20.0
SETTLE_S = 3.0
LOOK_S = 0.25
LATE_S = 300.0
HUNDRED = 100
RATE_GOAL = 500
MEMORY_GOAL_MIB = 32


class Taps:
    """Guests who tap all the time, and how long each waited for his machine's command."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.made = 0

    async def go_on(self) -> None:
        """Tap RATE times a second, evenly, until cancelled."""
        begin = time.perf_counter()
        while True:
            await asyncio.sleep(max(0.0, begin + self.made / RATE - time.perf_counter()))
            self.made += 1
            await self.lanes.tap()

    def p99_ms(self, begin: int, end: int) -> float:
        """Of the answers `begin` to `end`, in ms: the median over hundreds of them, each with its p99."""
        p99s = []
        for first in range(begin, max(end - HUNDRED, begin) + 1, HUNDRED):
            took = sorted(self.lanes.took_s[first : min(first + HUNDRED, end)])
            p99s.append(took[int(len(took) * 0.99) - 1] * 1_000)
        return statistics.median(p99s)


def run(*, entries: int = ENTRIES, quiet_s: float = QUIET_S) -> Report:
    """Measure all rows."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        hub = OfflineHub(Path(name), lanes=LANES, cards=CARDS)
        try:
            hub.move_in()
            hub.play_on(entries)
            office, agent = hub.start_office(), hub.start_agent()
            rows = asyncio.run(_measure(hub, office, agent, quiet_s))
            hub.until(lambda: hub.waiting() == 0, "the office has everything")
            hub.end(agent)
            hub.end(office)
            faults = hub.faults()
            assert not faults, faults
            return finished(rows)
        finally:
            hub.processes.stop()


async def _measure(hub: OfflineHub, office: Popen[bytes], agent: Popen[bytes], quiet_s: float) -> list[Row]:
    settings = MqttSettings(host="127.0.0.1", port=hub.bus_port, client_id="bench-taps")
    async with MqttLink(settings) as link:
        lanes = Lanes(link, hub.hub, lanes=LANES, cards=CARDS)
        office.send_signal(signal.SIGSTOP)
        try:
            await lanes.introduce()
            await asyncio.sleep(SETTLE_S)
            taps = Taps(lanes)
            tasks = [asyncio.create_task(lanes.listen()), asyncio.create_task(taps.go_on())]
            await asyncio.sleep(SETTLE_S)
            first = len(lanes.took_s)
            await asyncio.sleep(quiet_s)
            before, memory = len(lanes.took_s), status(agent.pid, "VmRSS")
        finally:
            office.send_signal(signal.SIGCONT)
        rate = await caught_up(hub)
        after, grown = len(lanes.took_s), status(agent.pid, "VmHWM") - memory
        await asyncio.sleep(quiet_s)
        last = len(lanes.took_s)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.sleep(SETTLE_S)
    middle = (before + after) // 2
    p99s = [
        (taps.p99_ms(first, before), taps.p99_ms(before, middle)),
        (taps.p99_ms(after, last), taps.p99_ms(middle, after)),
    ]
    return [
        judge("catch_up", "1/s", [(RATE_GOAL, rate)], at_least=1),
        judge("p99_of_taps", "ms", p99s, at_most=2),
        judge("memory", "MiB", [(MEMORY_GOAL_MIB, grown / 1_024)], at_most=1),
    ]


async def caught_up(hub: OfflineHub) -> float:
    """Wait until the hub owes no more than what guests play just now; return entries per second since it began."""
    owed = await asyncio.to_thread(hub.waiting)
    begin, begun_s = owed, time.monotonic()
    started = begun_s
    while owed > RATE * 3:
        await asyncio.sleep(LOOK_S)
        now = await asyncio.to_thread(hub.waiting)
        if now >= begin:  # the hub has not been heard yet
            begin, begun_s = now, time.monotonic()
        owed = now
        assert time.monotonic() - started < LATE_S, f"{owed} entries wait: {hub.last_words()}"
    return (begin - owed) / (time.monotonic() - begun_s)
