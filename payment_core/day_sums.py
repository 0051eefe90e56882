"""A hub's own sums of its business dates, counted entry by entry: the third sum beside the books and the meters."""

from typing import Final

from payment_core.journal import Entry
from payment_core.posting import postings
from payment_core.telemetry import MOST_ROWS, DaySum, HubDay

MOST_DATES: Final = 40
"""Dates that are kept: a journal keeps 30 days behind a receipt. Of more, the earliest is forgotten."""

_Row = tuple[int, int, str, str]


class DaySums:
    """Counts one epoch's entries in their order, from behind `after_seq` on."""

    def __init__(self, *, epoch: int, after_seq: int) -> None:
        self.epoch = epoch
        self.after_seq = after_seq
        self.through_seq = after_seq
        self._dates: dict[int, dict[_Row, tuple[int, int]]] = {}
        self._changed: set[int] = set()

    def add(self, entry: Entry) -> None:
        """Count the next entry."""
        assert entry.header.seq == self.through_seq + 1, "entries are counted in their order"
        self.through_seq = entry.header.seq
        header = entry.header
        moved: dict[_Row, int] = {}
        for row in postings(entry):
            key = (type(entry).number(), header.tender.value, row.account.kind.value, row.unit)
            moved[key] = moved.get(key, 0) + row.amount
        if not moved:
            return
        sums = self._dates.setdefault(header.business_date, {})
        for key, amount in moved.items():
            total, count = sums.get(key, (0, 0))
            sums[key] = (total + amount, count + 1)
        self._changed.add(header.business_date)
        if len(self._dates) > MOST_DATES:
            earliest = min(self._dates)
            del self._dates[earliest]
            self._changed.discard(earliest)

    def take_changed(self, at_ms: int, *, most: int) -> list[HubDay]:
        """Return the newest `most` dates that changed since the last call, the earliest first; all are told by it."""
        dates = sorted(self._changed)[-most:]
        self._changed.clear()
        return [self.day(date, at_ms) for date in dates]

    def day(self, business_date: int, at_ms: int) -> HubDay:
        """Return a date's sums so far; no rows where nothing moved on it."""
        sums = sorted(self._dates.get(business_date, {}).items())
        rows = tuple(DaySum(*key, amount, count) for key, (amount, count) in sums[:MOST_ROWS])
        return HubDay(
            1, at_ms, business_date, self.epoch, self.after_seq, self.through_seq, rows, max(len(sums) - MOST_ROWS, 0)
        )
