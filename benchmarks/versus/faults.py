"""The faults, as data: what is done to a rig, and what is read from it. Both arms go through the very same ones."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable

import msgspec

from benchmarks.versus.rig import Rig, filled

Figures = dict[str, float]
COUNTED = 3_000
"""Events over which written bytes are counted."""


class Fault(msgspec.Struct, frozen=True):
    """One row of the table. `act` gets a rig whose edge takes events already, but for `cold`: then nothing is started.

    counts: lost and doubled events are the row; else it is a measure of a quiet system. disk_mb: the size of
    a disk of its own, for which one has to be root; 0: none.
    """

    name: str
    what: str
    act: Callable[[Rig], Awaitable[Figures]]
    counts: bool = True
    cold: bool = False
    disk_mb: int = 0


async def _half_open(rig: Rig) -> Figures:
    await rig.feed(200, per_second=100)
    rig.line.go_quiet()
    await rig.feed(1_000, per_second=100)
    return {}


async def _cuts(rig: Rig) -> Figures:
    for _cut in range(10):
        await rig.feed(200, per_second=100)
        rig.line.pull()
        await rig.feed(100, per_second=100)
        rig.line.plug()
    return {}


async def _killed(rig: Rig) -> Figures:
    for _kill in range(3):
        await rig.feed(3_000, per_second=1_000)
        await rig.kill_edge()
    return {}


async def _full_disk(rig: Rig) -> Figures:
    await rig.feed(200, per_second=100)
    with filled(rig.state):
        await rig.feed(1_000, per_second=100)
        await asyncio.sleep(2)
    await rig.feed(200, per_second=100)
    return {}


async def _cold(rig: Rig) -> Figures:
    rig.line.pull()
    await rig.start_edge()
    await asyncio.sleep(5)
    await rig.feed(500, per_second=100)
    await asyncio.sleep(2)
    await rig.kill_edge()
    await asyncio.sleep(3)
    await rig.start_far()
    rig.line.plug()
    return {}


async def _backlog(rig: Rig) -> Figures:
    rig.line.pull()
    await rig.feed(10_500, per_second=500)
    rig.line.plug()
    return {}


async def _same_ms(rig: Rig) -> Figures:
    rig.same_ms = True
    await rig.feed(800, per_second=400)
    return {}


async def _latency(rig: Rig) -> Figures:
    first = len(rig.sent_at)
    feeding = asyncio.create_task(rig.feed(1_000, per_second=50))
    while not feeding.done():
        rig.arrived()
        await asyncio.sleep(0.005)
    await feeding
    for _look in range(400):
        if len(rig.arrived()) == len(rig.sent_at):
            break
        await asyncio.sleep(0.005)
    took = [
        rig.first_at[number] - at for number, at in rig.sent_at.items() if number >= first and number in rig.first_at
    ]
    cuts = statistics.quantiles(took, n=100)
    return {"p50_ms": cuts[49] * 1_000, "p99_ms": cuts[98] * 1_000}


async def _bytes(rig: Rig) -> Figures:
    written, sent = rig.edge_written(), rig.line.bytes_up
    await rig.feed(COUNTED, per_second=100)
    await asyncio.sleep(5)
    return {
        "disk_bytes": (rig.edge_written() - written) / COUNTED,
        "wire_bytes": (rig.line.bytes_up - sent) / COUNTED,
    }


async def _idle(rig: Rig) -> Figures:
    await rig.feed(500, per_second=100)
    await asyncio.sleep(5)
    cpu = rig.edge_cpu_s()
    await asyncio.sleep(20)
    return {
        "memory_mib": rig.edge_status("VmRSS") / 1_024,
        "threads": rig.edge_status("Threads"),
        "cpu_percent": (rig.edge_cpu_s() - cpu) / 20 * 100,
    }


FAULTS = (
    Fault("half-open", "the line goes quiet without a word, 1,000 events", _half_open),
    Fault("cuts", "ten cuts of the line, 3,000 events", _cuts),
    Fault("killed", "kill -9 three times at 1,000 events/s, 9,000 events", _killed),
    Fault("full-disk", "the disk is full for 1,000 events", _full_disk, disk_mb=64),
    Fault("cold", "starts while its far side is away, kill -9, 500 events", _cold, cold=True),
    Fault("backlog", "10,500 events wait for the line", _backlog),
    Fault("same-ms", "400 times two events of a device in one millisecond", _same_ms),
    Fault("latency", "event to far side, 50 events/s", _latency, counts=False),
    Fault("bytes", "100 events/s, bytes an event", _bytes, counts=False),
    Fault("idle", "20 quiet seconds", _idle, counts=False),
)

TOGETHER = (("half-open", "full-disk"), ("cuts", "cold", "same-ms"), ("bytes",), ("idle",))
"""Both arms of all of a line go through it at the same time: they wait for timers, and what is read there is counted.

The others fill a core or are a measure of time: each arm goes through them with nothing beside it.
"""
