"""All clocks of a hub in one reading: wall time with its quality, time since boot, and the venue's business date."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.messages import Moment
from payment_core.journal import TimeQuality
from payment_core.pricing import LocalTime, local_time

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SYNCED: Final = Path("/run/systemd/timesync/synchronized")
_BATTERY_CLOCKS: Final = Path("/sys/class/rtc")
_MINUTE_MS: Final = 60_000
JUMP_MS: Final = 2 * _MINUTE_MS
"""By how much the wall clock may part from the boot clock between two looks; more is a jump."""


def venue_time(wall_ms: int, *, zone: ZoneInfo, cutoff_minute: int) -> LocalTime:
    """Return the venue's wall clock and business date at a moment (UTC ms), summer time included."""
    wall = datetime.fromtimestamp(wall_ms // 1000, UTC).astimezone(zone)
    return local_time(wall, cutoff_minute=cutoff_minute)


class Clock:
    """Reads the machine's clocks. `floor_ms`: the newest wall time in the ledger; an earlier one is not trusted.

    Nor is one that jumped while the hub ran, until the network says the time again.
    """

    def __init__(self, *, timezone: str, cutoff_minute: int, floor_ms: int) -> None:
        self._zone = ZoneInfo(timezone)
        self._cutoff_minute = cutoff_minute
        self._floor_ms = floor_ms
        self._boot_id = bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
        self._minute = -1
        self._local = LocalTime(weekday=1, minute=0)
        self._quality = TimeQuality.NONE
        self._was_synced = False
        self._last_ms: tuple[int, int] | None = None
        self._sync_mark = _sync_mark()
        self._jumped = False

    def now(self) -> Moment:
        """Return one reading. The calendar and the quality are worked out once a minute."""
        wall_ms = time.time_ns() // 1_000_000
        if wall_ms // _MINUTE_MS != self._minute:
            self._read_calendar(wall_ms)
        known = self._quality <= TimeQuality.HELD
        return Moment(
            wall_ms, self._boot_id, boottime_ms(), self._quality, self._local.date, self._local if known else None
        )

    def _read_calendar(self, wall_ms: int) -> None:
        self._minute = wall_ms // _MINUTE_MS
        self._local = venue_time(wall_ms, zone=self._zone, cutoff_minute=self._cutoff_minute)
        self._look_for_a_jump(wall_ms)
        if wall_ms < self._floor_ms or self._jumped:
            self._quality = TimeQuality.NONE
        else:
            self._quality = self._own_quality()

    def _look_for_a_jump(self, wall_ms: int) -> None:
        """Compare with the clock that never jumps; the network setting the time is the one who may."""
        now, last = (wall_ms, boottime_ms()), self._last_ms
        self._last_ms = now
        mark = _sync_mark()
        if mark != self._sync_mark:
            self._sync_mark, self._jumped = mark, self._jumped and mark is None
        elif last is not None and self._quality <= TimeQuality.HELD:
            self._jumped |= abs((now[0] - last[0]) - (now[1] - last[1])) > JUMP_MS

    def _own_quality(self) -> TimeQuality:
        """Return how far the machine itself is to be trusted: a Pi without a clock wakes at the time it fell asleep."""
        if _SYNCED.exists():
            self._was_synced = True
            return TimeQuality.SYNCED
        return TimeQuality.HELD if self._was_synced or any(_BATTERY_CLOCKS.glob("rtc*")) else TimeQuality.FLOOR


def _sync_mark() -> int | None:
    """Return when the network last said the time, by the file that says so; None where it never did."""
    try:
        return _SYNCED.stat().st_mtime_ns
    except OSError:
        return None


def boottime_ms() -> int:
    """Return milliseconds since boot, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
