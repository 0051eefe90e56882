"""Which business day the caps of hub and staff count on: one a trusted clock said, or time really spent has reached.

A wall clock that jumps opens no day and ends none; one that is wrong by years leaves no mark that later days wait for.
The cap per card and day is none of them: it counts on the date of the moment itself, and while the time is not known on
all days together (payment_core.usage).
"""

from datetime import date, timedelta
from typing import Final

import msgspec

from edge_agent.ledger import marks
from edge_agent.ledger.store import Reads, Store
from edge_agent.messages import Moment
from payment_core.journal import TimeQuality

DAY_MS: Final = 24 * 3_600_000
_HELD: Final = TimeQuality.HELD
_KEY: Final = "day_count"
_FIRST_DATE: Final = 10_000_000
"""Days before anybody knew the date are counted from 0; dates (yyyymmdd) lie above them."""


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    """A day, and since when (boottime) it is counted in this boot."""

    day: int
    boot_id: bytes
    boottime_ms: int


class DayCount:
    """The day that counts, in memory with its mark on the disk. It only rises."""

    def __init__(self) -> None:
        self._mark = _Mark(0, b"", 0)

    @property
    def day(self) -> int:
        """The business date (yyyymmdd) that counts; a small number before any was known."""
        return self._mark.day

    def load(self, store: Reads) -> None:
        """Take up what the ledger holds."""
        kept = marks.read_bytes(store, _KEY)
        if kept is not None:
            self._mark = msgspec.msgpack.decode(kept, type=_Mark)

    def follow(self, store: Store, now: Moment) -> None:
        """Begin a new day where a trusted clock says one, or where 24 hours have really passed without such a clock."""
        mark, known = self._mark, now.quality <= _HELD
        if known and now.business_date > mark.day:
            self._keep(store, _Mark(now.business_date, now.boot_id, now.boottime_ms))
        elif mark.boot_id != now.boot_id:
            self._keep(store, _Mark(mark.day, now.boot_id, now.boottime_ms))
        elif not known and now.boottime_ms - mark.boottime_ms >= DAY_MS:
            self._keep(store, _Mark(_next_day(mark.day), now.boot_id, now.boottime_ms))

    def _keep(self, store: Store, mark: _Mark) -> None:
        marks.write(store, _KEY, msgspec.msgpack.encode(mark))
        self._mark = mark


def _next_day(day: int) -> int:
    if day < _FIRST_DATE:
        return day + 1
    after = date(day // 10_000, day // 100 % 100, day % 100) + timedelta(days=1)
    return after.year * 10_000 + after.month * 100 + after.day
