"""Which business date an entry counts to: the one it names, where that agrees with the moment that it names.

A date is a hub's own word, and sums of money stand under it. What is no date, or not of its own moment, or of a moment
before the hub was enrolled or ahead of the office's clock, would stand in no Z, or in one that nobody ever makes: it
counts to the date on which it came, and is told. How long it was on its way says nothing: a hub may be away for weeks.
"""

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from back_office.business_day import business_date, day_bounds
from back_office.ledger.findings import Days, Writer
from back_office.store import dated
from back_office.store.engine import Transaction
from back_office.store.places import Hub, Venue
from payment_core.journal import BroughtIn, Entry, Header, Source

MARGIN_MS: Final = 24 * 3_600_000
"""How far a moment may be from its date, and how wrong a clock may be: nobody is told of it."""
_SPANS_KEPT: Final = 512


class CountedDates:
    """Says of the entries of one transaction on which date each counts. received_ms: when they came, UTC ms."""

    def __init__(self, tx: Transaction, tenant_id: bytes, *, received_ms: int) -> None:
        """Nothing is asked of the books before the first entry that needs it."""
        self._tx, self._tenant_id, self._received_ms = tx, tenant_id, received_ms
        self._oldest: dict[bytes, int] = {}
        self._days: dict[tuple[bytes, int], int] = {}

    def of(self, entry: Entry, writer: Writer) -> int:
        """Return yyyymmdd of the date that an entry counts to; that of a writer without `days` is its own word.

        What lanes give is capped by the day: where the books have a later date of that hub, older days are over.
        What counts to another date than it names is capped there by `days_on`.
        """
        named, days = entry.header.business_date, writer.days
        if days is None:
            return named
        fits = _agrees(entry.header, days, self._received_ms)
        if fits and isinstance(entry, BroughtIn) and entry.source is Source.LANE_CREDIT:
            fits = named >= self._oldest_open(writer.hub_id, days)
        return named if fits else self._came_on(days)

    def days_on(self, date: int, writer: Writer) -> int:
        """Return how many days of a hub's own may count to a date on which they came, where its clock is wrong.

        Those since the date it had booked before, or its enrolment, and one more: its days may begin at any hour.
        """
        assert writer.days is not None, "what the office writes itself counts to the dates it names"
        key = (writer.hub_id, date)
        if key not in self._days:
            booked = dated.newest_date(self._tx, self._tenant_id, writer.hub_id, through=_moved(date, -1))
            before = max(booked, came_on(writer.days.enrolled_ms, writer.days))
            self._days[key] = max(_days_between(before, date), 1) + 1
        return self._days[key]

    def _oldest_open(self, hub_id: bytes, days: Days) -> int:
        """Return the day before the newest that is booked of a hub; 0: nothing is."""
        if hub_id not in self._oldest:
            newest = dated.newest_date(self._tx, self._tenant_id, hub_id, through=_moved(self._came_on(days), 1))
            self._oldest[hub_id] = _moved(newest, -1) if newest else 0
        return self._oldest[hub_id]

    def _came_on(self, days: Days) -> int:
        return came_on(self._received_ms, days)


def days_of(hub: Hub, venue: Venue) -> Days:
    """Return what a hub's dates are held against at its venue."""
    return Days(venue.timezone, venue.day_begins_minute, hub.enrolled_ms)


def came_on(received_ms: int, days: Days) -> int:
    """Return the business date of the moment at which something came."""
    return business_date(received_ms, timezone=days.timezone, day_begins_minute=days.day_begins_minute)


# ---- inside ----


def _agrees(header: Header, days: Days, received_ms: int) -> bool:
    span = _span(header.business_date, days.timezone, days.day_begins_minute)
    if span is None or not span[0] - MARGIN_MS <= header.wall_ms < span[1] + MARGIN_MS:
        return False
    return days.enrolled_ms - MARGIN_MS <= header.wall_ms <= received_ms + MARGIN_MS


@lru_cache(maxsize=_SPANS_KEPT)
def _span(named: int, timezone: str, day_begins_minute: int) -> tuple[int, int] | None:
    return day_bounds(named, timezone=timezone, day_begins_minute=day_begins_minute)


def _days_between(first: int, last: int) -> int:
    try:
        return (_date(last) - _date(first)).days
    except ValueError:  # a release before took what is no date
        return 0


def _date(named: int) -> date:
    return date(named // 10_000, named // 100 % 100, named % 100)


def _moved(named: int, by_days: int) -> int:
    try:
        moved = _date(named) + timedelta(days=by_days)
    except (ValueError, OverflowError):  # a release before took what is no date
        return 0
    return moved.year * 10_000 + moved.month * 100 + moved.day
