"""A hub's clocks: the wall's, which can be wrong, and the one since boot, which cannot."""

from datetime import UTC, datetime, timedelta
from typing import Final

from edge_agent.messages import Moment
from payment_core.journal import TimeQuality
from payment_core.pricing import LocalTime
from venuehub.simulator.world import World

_CUTOFF: Final = timedelta(hours=6)
_MINUTE_MS: Final = 60_000


class HubClock:
    """The simulator's reading of all clocks, as edge_agent.clock makes it. `offset_ms`: how wrong the wall clock is."""

    def __init__(self, world: World) -> None:
        self.offset_ms = 0
        self.quality = TimeQuality.SYNCED
        self._world = world
        self._boot_ms = 0
        self._boot_id = world.randbytes(16)
        self._minute = -1
        self._date = 0
        self._local = LocalTime(1, 0)

    def reboot(self) -> None:
        """Power came back."""
        self._boot_id, self._boot_ms = self._world.randbytes(16), self._world.now_ms

    @property
    def boottime_ms(self) -> int:
        """Milliseconds since this boot."""
        return self._world.now_ms - self._boot_ms

    def now(self) -> Moment:
        """Return one reading."""
        wall_ms = self._world.wall_ms + self.offset_ms
        if wall_ms // _MINUTE_MS != self._minute:
            self._read_calendar(wall_ms)
        local = self._local if self.quality <= TimeQuality.HELD else None
        return Moment(wall_ms, self._boot_id, self.boottime_ms, self.quality, self._date, local)

    def _read_calendar(self, wall_ms: int) -> None:
        self._minute = wall_ms // _MINUTE_MS
        local = datetime.fromtimestamp(wall_ms // 1_000, UTC)
        business = (local - _CUTOFF).date()
        self._date = business.year * 10_000 + business.month * 100 + business.day
        self._local = LocalTime(weekday=business.isoweekday(), minute=local.hour * 60 + local.minute)

    def mend(self) -> None:
        """The wall clock is set right by the network."""
        self.offset_ms, self.quality = 0, TimeQuality.SYNCED
