"""When a price counts: the venue's wall clock and business date, bands of minutes, and which days are holidays.

All of it goes by the wall clock. On the day with 25 hours a band's minutes between 02:00 and 03:00 come twice, on the
day with 23 hours they do not come: a happy hour ends when the clock on the wall says so.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec

DAY_MINUTES: Final = 1_440
MOST_SHIFTS: Final = 24
LONGEST_SHIFT: Final = 32
EVERY_DAY: Final = (1, 2, 3, 4, 5, 6, 7)
WEEKEND: Final = (6, 7)

DayKind = Literal["workday", "weekend", "holiday"]
"""workday: also a make-up working day on a Saturday. holiday: a statutory day off, whatever its weekday."""
EffectiveAt = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with its UTC offset: from when on a document counts."""
DAY_KINDS: Final[tuple[DayKind, ...]] = ("workday", "weekend", "holiday")


class LocalTime(msgspec.Struct, frozen=True):
    """The venue's wall clock: minute of the calendar day; weekday (1 Monday) and date (yyyymmdd) of the business date.

    `date` 0: not known; then no rule counts that is valid from or to a date, and a day's kind is that of its weekday.
    """

    weekday: int
    minute: int
    date: int = 0


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Minutes of the venue's day on ISO weekdays (1 Monday); `from_minute` > `to_minute` runs across midnight.

    The weekday is that of the business date, so a Friday band from 22:00 to 02:00 ends on Saturday morning. Bands of
    one name are one band together: other hours on other days.
    """

    name: str
    from_minute: int
    to_minute: int
    weekdays: tuple[int, ...] = EVERY_DAY

    def __post_init__(self) -> None:
        if not self.name:
            message = "a band needs a name"
            raise ValueError(message)
        if not (0 <= self.from_minute < DAY_MINUTES and 0 <= self.to_minute <= DAY_MINUTES):
            message = "from_minute is 0 to 1439 and to_minute 0 to 1440: minutes after midnight, 840 is 14:00"
            raise ValueError(message)
        if self.from_minute == self.to_minute:
            message = "a band that ends where it begins has no minute; the whole day is from_minute 0, to_minute 1440"
            raise ValueError(message)
        if not self.weekdays or not set(self.weekdays) <= set(EVERY_DAY):
            message = "weekdays are 1 (Monday) to 7 (Sunday), at least one"
            raise ValueError(message)


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The office's document `calendar`: business dates that are not what their weekday says. `weekend`: ISO weekdays.

    effective_at: from when on it counts. China's week of the National Day: 2026-10-01 is a `holiday`, the Saturday that
    makes up for it a `workday`. shifts: bands of the venue's day, at most one at a time; an entry names the one it is
    made in. What is not named is not sent either, so that a hub of the release before `shifts` reads the rest.
    """

    version: int
    days: dict[str, DayKind] = {}
    weekend: tuple[int, ...] = WEEKEND
    effective_at: EffectiveAt | None = None
    shifts: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        for day in self.days:
            if not _is_date(day):
                message = f"{day!r} is no date: days are written as 2026-10-01"
                raise ValueError(message)
        if not set(self.weekend) <= set(EVERY_DAY):
            message = "weekend days are 1 (Monday) to 7 (Sunday)"
            raise ValueError(message)
        _check_shifts(self.shifts)


def _check_shifts(shifts: tuple[Band, ...]) -> None:
    names = list(dict.fromkeys(shift.name for shift in shifts))
    if len(names) > MOST_SHIFTS or any(len(name) > LONGEST_SHIFT for name in names):
        message = f"at most {MOST_SHIFTS} shifts, and {LONGEST_SHIFT} characters in a name"
        raise ValueError(message)
    taken = 0
    for name in names:
        minutes = minutes_of(shifts, name)
        if taken & minutes:
            message = f"shift {name!r} has minutes that another has too: an entry is made in one shift"
            raise ValueError(message)
        taken |= minutes


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


NO_CALENDAR: Final = Calendar(0)


def in_band(band: Band, local: LocalTime) -> bool:
    """Say whether a band counts at `local`."""
    if local.weekday not in band.weekdays:
        return False
    if band.from_minute <= band.to_minute:
        return band.from_minute <= local.minute < band.to_minute
    return local.minute >= band.from_minute or local.minute < band.to_minute


def shift_of(calendar: Calendar, local: LocalTime | None) -> str | None:
    """Return the shift that `local` falls into; None: the time is not known, or it is between shifts."""
    if local is None:
        return None
    return next((shift.name for shift in calendar.shifts if in_band(shift, local)), None)


def open_bands(bands: Iterable[Band], local: LocalTime | None, *, no_clock_band: str) -> frozenset[str]:
    """Return the names of the bands that count now. `local` None: the time is not known, then only `no_clock_band`."""
    if local is None:
        return frozenset({no_clock_band} - {""})
    return frozenset(band.name for band in bands if in_band(band, local))


def day_kind(calendar: Calendar, local: LocalTime | None) -> DayKind | None:
    """Return what kind of day a business date is, or None while the time is not known."""
    if local is None:
        return None
    usual: DayKind = "weekend" if local.weekday in calendar.weekend else "workday"
    return calendar.days.get(date_text(local.date), usual) if local.date else usual


def as_number(day: date) -> int:
    """Return a date as yyyymmdd."""
    return day.year * 10_000 + day.month * 100 + day.day


def date_text(number: int) -> str:
    """Return yyyymmdd as 2026-10-01, the way a calendar and a rule write it."""
    return f"{number // 10_000:04}-{number // 100 % 100:02}-{number % 100:02}"


def local_time(wall: datetime, *, cutoff_minute: int) -> LocalTime:
    """Return the venue's time from its wall clock. Before the cut-off the business date is still the day before.

    In an hour that comes twice the business date changes at the first cut-off, and does not go back at the second.
    """
    start = wall.replace(hour=cutoff_minute // 60, minute=cutoff_minute % 60, second=0, microsecond=0, fold=0)
    begun = start.astimezone(UTC) <= wall.astimezone(UTC) if wall.fold else start <= wall
    business = wall.date() if begun else wall.date() - timedelta(days=1)
    return LocalTime(business.isoweekday(), wall.hour * 60 + wall.minute, as_number(business))


def minutes_of(bands: Iterable[Band], name: str) -> int:
    """Return the minutes of a business week in which a band counts, one bit each: two bands are compared by them."""
    bits = 0
    for band in bands:
        if band.name != name:
            continue
        whole = (1 << DAY_MINUTES) - 1
        after = whole >> band.from_minute << band.from_minute
        before = (1 << band.to_minute) - 1
        day = after & before if band.from_minute <= band.to_minute else after | before
        for weekday in set(band.weekdays):
            bits |= day << (weekday - 1) * DAY_MINUTES
    return bits
