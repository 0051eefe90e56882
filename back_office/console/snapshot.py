"""One consistent look at the books for everyone who watches: asked once per change, however many pages are open."""

import asyncio
import contextlib
import time
from typing import Final

import msgspec

from back_office.console.interface import (
    AlarmRow,
    BoundRow,
    GapRow,
    HubRow,
    Live,
    LooseRow,
    MoneyRow,
    OfficeQueries,
    TapRow,
    TrialRow,
    Venue,
)
from payment_core.money import Money, shown

TAPS: Final = 40
ALARMS: Final = 20
LOOSE: Final = 12
REST_S: Final = 0.4
"""Shortest time between two looks: a busy evening changes the books a hundred times a second, an eye reads slower."""
BEAT_S: Final = 5.0
"""Longest time between two looks: ages grow while nothing happens."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows, as of `at_ms` (UTC ms)."""

    at_ms: int
    venue: Venue
    hubs: list[HubRow]
    taps: list[TapRow]
    money: list[MoneyRow]
    trial: list[TrialRow]
    gaps: list[GapRow]
    alarms: list[AlarmRow]
    loose: list[LooseRow]
    bound: list[BoundRow]

    def trial_sums(self) -> list[Money]:
        """Return the sum of all balances per unit: zeros, or the books are wrong."""
        sums: dict[str, int] = {}
        for row in self.trial:
            sums[row.amount.unit] = sums.get(row.amount.unit, 0) + row.amount.minor
        return [shown(minor, unit) for unit, minor in sorted(sums.items())]

    def balanced(self) -> bool:
        """Return whether the books balance in every unit."""
        return all(total.minor == 0 for total in self.trial_sums())

    def day_sums(self, kind: str) -> list[tuple[Money, int]]:
        """Return the day's sums of one kind with their counts, one per unit."""
        sums: dict[str, tuple[int, int]] = {}
        for row in self.money:
            if row.kind == kind:
                minor, count = sums.get(row.amount.unit, (0, 0))
                sums[row.amount.unit] = (minor + row.amount.minor, count + row.count)
        return [(shown(minor, unit), count) for unit, (minor, count) in sums.items()]


class Watch:
    """Looks at the books when they change, at most every `REST_S`, and keeps the last look for whoever comes."""

    def __init__(self, queries: OfficeQueries, live: Live) -> None:
        self._queries = queries
        self._live = live
        self._asking = asyncio.Lock()
        self._last: Snapshot | None = None
        self._last_s = 0.0
        self._seen = 0
        self._coming: asyncio.Task[Snapshot] | None = None

    async def look(self) -> Snapshot:
        """Return a look that is at most `REST_S` old."""
        async with self._asking:
            if self._last is None or time.monotonic() - self._last_s >= REST_S:
                self._last = await self._ask()
                self._last_s = time.monotonic()
            return self._last

    async def next_look(self, shown: Snapshot) -> Snapshot:
        """Return a look after the books have changed since `shown`, or after `BEAT_S`. All who wait share one."""
        if self._last is not None and self._last is not shown:
            return self._last
        if self._coming is None or self._coming.done():
            self._coming = asyncio.create_task(self._after_change(), name="console look")
        return await asyncio.shield(self._coming)

    async def _after_change(self) -> Snapshot:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                self._seen = await self._live.wait(self._seen)
        await asyncio.sleep(max(0.0, self._last_s + REST_S - time.monotonic()))
        return await self.look()

    async def _ask(self) -> Snapshot:
        venue = await self._queries.venue()
        return Snapshot(
            at_ms=time.time_ns() // 1_000_000,
            venue=venue,
            hubs=await self._queries.hubs(),
            taps=await self._queries.taps(TAPS),
            money=await self._queries.money(venue.business_date),
            trial=await self._queries.trial_balance(),
            gaps=await self._queries.gaps(),
            alarms=await self._queries.alarms(ALARMS),
            loose=await self._queries.unsettled(LOOSE),
            bound=await self._queries.bound(),
        )
