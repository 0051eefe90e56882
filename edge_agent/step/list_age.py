"""How old the office's list is, in time that was really spent: a clock that is set back makes it no younger.

Counted by the boot clock while the hub runs, and by the wall clock over a power cut if both ends knew the time. It is
written down every five minutes and once after each start, so that pieces of days add up.
"""

from typing import Final

import msgspec

from edge_agent.ledger import marks
from edge_agent.ledger.store import Reads, Store
from edge_agent.messages import Moment
from payment_core.facts import MINUTE_MS
from payment_core.journal import TimeQuality

KEEP_MS: Final = 5 * MINUTE_MS
_HELD: Final = TimeQuality.HELD
_KEY: Final = "list_age"


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    """Its age at one moment."""

    age_ms: int
    wall_ms: int
    boot_id: bytes
    boottime_ms: int
    known: bool


class ListAge:
    """The age of the list held, in memory with its last mark on the disk."""

    def __init__(self) -> None:
        self._mark: _Mark | None = None

    def load(self, store: Reads) -> None:
        """Take up what the ledger holds."""
        kept = marks.read_bytes(store, _KEY)
        self._mark = msgspec.msgpack.decode(kept, type=_Mark) if kept is not None else None

    def minutes(self, now: Moment) -> int:
        """Return its age in whole minutes; 0 before the office was ever heard."""
        return 0 if self._mark is None else _age_ms(self._mark, now) // MINUTE_MS

    def renew(self, store: Store, now: Moment) -> None:
        """The office was heard: what the list says is what the office says."""
        self._keep(store, _mark_at(now, 0))

    def keep(self, store: Store, now: Moment) -> None:
        """Write the age down where the last mark is old, or of another boot."""
        if self._mark is not None:
            age_ms = _age_ms(self._mark, now)
            if age_ms - self._mark.age_ms >= KEEP_MS or self._mark.boot_id != now.boot_id:
                self._keep(store, _mark_at(now, age_ms))

    def _keep(self, store: Store, mark: _Mark) -> None:
        marks.write(store, _KEY, msgspec.msgpack.encode(mark))
        self._mark = mark


def _mark_at(now: Moment, age_ms: int) -> _Mark:
    return _Mark(age_ms, now.wall_ms, now.boot_id, now.boottime_ms, now.quality <= _HELD)


def _age_ms(mark: _Mark, now: Moment) -> int:
    by_wall = now.wall_ms - mark.wall_ms if mark.known and now.quality <= _HELD else 0
    by_boot = now.boottime_ms - mark.boottime_ms if mark.boot_id == now.boot_id else 0
    return mark.age_ms + max(by_wall, by_boot, 0)
