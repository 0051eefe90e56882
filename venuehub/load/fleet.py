"""A fleet of hubs in one process and one event loop. It knows brokers' addresses and hubs' keys, and nobody's process.

    async with Fleet(settings) as fleet:
        await fleet.all_up(seconds=60)
        report = await fleet.run(30, books=ask)

Who started the broker and the office, and who stops them meanwhile, is the caller's business.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import msgspec

from edge_agent.clock import Clock
from venuehub.load.hub import Counts, LoadHub, Seat
from venuehub.load.report import Booked, FleetReport, percentile

CONNECTS_TOGETHER: Final = 64
"""TLS handshakes at the same time: a hub's connect blocks a thread, and no hub is to wait for another's."""
DRAIN_S: Final = 120.0
"""How long entries may wait for their receipt once nobody plays any more; a reconnect alone may take a minute."""
LOOK_S: Final = 0.05
TIMEZONE: Final = "UTC"
CUTOFF_MINUTE: Final = 6 * 60

Ask = Callable[[], Awaitable[Mapping[bytes, Booked]]]
"""Asks the office's books: what is booked of each seat's epoch."""


class FleetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`plays_per_second`: of all hubs together. `start_per_second`: how many hubs are switched on in a second."""

    seats: tuple[Seat, ...]
    plays_per_second: float = 50.0
    start_per_second: float = 100.0
    seed: int = 1


class Fleet:
    """All hubs of a run. `async with` switches them on, one after another, and off at the end."""

    def __init__(self, settings: FleetSettings) -> None:
        self.counts = Counts()
        self._settings = settings
        self._dice = random.Random(settings.seed)  # noqa: S311 - where guests play, not a key
        clock = Clock(timezone=TIMEZONE, cutoff_minute=CUTOFF_MINUTE, floor_ms=0)
        self.hubs = [
            LoadHub(seat, self.counts, clock=clock, number=number, dice=self._dice)
            for number, seat in enumerate(settings.seats)
        ]
        self._starting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to switch the hubs on; `all_up` waits for them."""
        threads = ThreadPoolExecutor(CONNECTS_TOGETHER, thread_name_prefix="connect")
        asyncio.get_running_loop().set_default_executor(threads)
        self._starting = asyncio.create_task(self._start_one_by_one())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Switch all hubs off."""
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        await self.switch_off()

    async def _start_one_by_one(self) -> None:
        for hub in self.hubs:
            hub.start()
            await asyncio.sleep(1 / self._settings.start_per_second)

    def switch_on(self) -> None:
        """Switch all hubs on in the same moment, as when a city has power again: nobody waits for his dice."""
        for hub in self.hubs:
            hub.start()

    async def switch_off(self) -> None:
        """Switch all hubs off; their journals stay, and guests go on playing there."""
        await asyncio.gather(*(hub.stop() for hub in self.hubs))

    @property
    def away(self) -> int:
        """Count the hubs that the office has not answered on their present connection."""
        return sum(not hub.up for hub in self.hubs)

    async def all_up(self, *, seconds: float) -> bool:
        """Wait until the office has answered every hub on its present connection."""
        return await _until(lambda: not self.away, seconds)

    async def any_up(self, *, seconds: float) -> bool:
        """Wait until the office has answered one hub at least."""
        return await _until(lambda: any(hub.up for hub in self.hubs), seconds)

    async def all_down(self, *, seconds: float) -> bool:
        """Wait until every hub has noticed that its link is gone."""
        return await _until(lambda: not any(hub.up for hub in self.hubs), seconds)

    async def all_quiet(self, *, seconds: float) -> bool:
        """Wait until the office has given a receipt for every entry."""
        return await _until(lambda: all(hub.is_quiet for hub in self.hubs), seconds)

    async def play(self, seconds: float) -> None:
        """Let guests play at hubs at random, at a steady rate, whether the hubs have a link or not."""
        began = time.monotonic()
        played = 0
        while (elapsed := time.monotonic() - began) < seconds:
            due = round(elapsed * self._settings.plays_per_second)
            for _ in range(due - played):
                self._dice.choice(self.hubs).play()
            played = due
            await asyncio.sleep(LOOK_S)

    async def run(self, seconds: float, *, books: Ask | None = None, drain_s: float = DRAIN_S) -> FleetReport:
        """Let guests play for a while, wait for every receipt, ask the books, and report."""
        await self.play(seconds)
        await self.all_quiet(seconds=drain_s)
        return self.report(await books() if books is not None else None)

    def report(self, booked: Mapping[bytes, Booked] | None = None) -> FleetReport:
        """Report what was so far; `lost` and `doubled` need the books, and are None without."""
        counts, hubs = self.counts, self.hubs
        found = [(hub.journal, (booked or {}).get(hub.seat.identity.hub_id)) for hub in hubs]
        lost = sum(max(journal.last_seq - (have.entries if have else 0), 0) for journal, have in found)
        doubled = sum(have.doubled + max(have.entries - journal.last_seq, 0) for journal, have in found if have)
        other = sum(have.tail_hash != journal.tail_hash for journal, have in found if have)
        return FleetReport(
            hubs=len(hubs),
            up=sum(hub.up for hub in hubs),
            plays=sum(hub.journal.plays for hub in hubs),
            entries=sum(hub.journal.last_seq for hub in hubs),
            receipts=counts.receipts,
            with_receipt=sum(hub.journal.acked_seq for hub in hubs),
            p50_ms=percentile(counts.latency, 0.50),
            p99_ms=percentile(counts.latency, 0.99),
            longest_ms=counts.longest_ms,
            booked=None if booked is None else sum(have.entries for _, have in found if have),
            lost=None if booked is None else lost,
            doubled=None if booked is None else doubled,
            other_books=None if booked is None else other,
            connects=counts.connects,
            connects_per_s=counts.connects_per_s,
            frozen=len(counts.frozen),
        )


async def _until(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(LOOK_S)
    return True
