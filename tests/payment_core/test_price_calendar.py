"""Bands hold exactly the minutes of the days they name, and the wall clock decides on days with 23 and 25 hours."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.price_calendar import (
    DAY_MINUTES,
    EVERY_DAY,
    NO_CALENDAR,
    Band,
    Calendar,
    LocalTime,
    as_number,
    date_text,
    day_kind,
    in_band,
    local_time,
    minutes_of,
    open_bands,
    shift_of,
)

CUTOFF = 6 * 60
LATE = Band("late", 22 * 60, 2 * 60, weekdays=(5,))
HAPPY = Band("happy", 14 * 60, 17 * 60)
BANDS = st.builds(
    lambda start, length, days: Band("b", start, (start + length) % DAY_MINUTES, weekdays=tuple(days)),
    st.integers(0, DAY_MINUTES - 1),
    st.integers(1, DAY_MINUTES - 1),
    st.sets(st.sampled_from(EVERY_DAY), min_size=1),
)


@pytest.mark.parametrize(
    ("minute", "inside"), [(22 * 60 - 1, False), (22 * 60, True), (1_439, True), (0, True), (119, True), (120, False)]
)
def test_a_band_across_midnight(minute, inside):
    assert in_band(LATE, LocalTime(5, minute)) is inside


@pytest.mark.parametrize(("minute", "inside"), [(839, False), (840, True), (1_019, True), (1_020, False)])
def test_a_band_within_a_day(minute, inside):
    assert in_band(HAPPY, LocalTime(1, minute)) is inside


@given(BANDS, st.integers(1, 7), st.integers(0, DAY_MINUTES - 1))
def test_a_band_and_the_rest_of_its_days_share_no_minute_and_leave_none(band, weekday, minute):
    local = LocalTime(weekday, minute)
    rest = Band("rest", band.to_minute, band.from_minute, weekdays=band.weekdays)
    assert in_band(band, local) + in_band(rest, local) == (weekday in band.weekdays)


@given(BANDS)
def test_every_minute_of_a_band_belongs_to_exactly_the_days_named(band):
    inside = [
        (weekday, minute)
        for weekday in EVERY_DAY
        for minute in range(DAY_MINUTES)
        if in_band(band, LocalTime(weekday, minute))
    ]
    length = (band.to_minute - band.from_minute) % DAY_MINUTES
    assert Counter(weekday for weekday, _minute in inside) == dict.fromkeys(sorted(band.weekdays), length)
    bits = sum(1 << (weekday - 1) * DAY_MINUTES + minute for weekday, minute in inside)
    assert minutes_of((band,), "b") == bits
    assert minutes_of((band,), "other") == 0


def test_the_whole_day_and_bands_of_one_name():
    week = (Band("busy", 0, DAY_MINUTES, weekdays=(6, 7)), Band("busy", 18 * 60, 22 * 60, weekdays=(1, 2)))
    assert open_bands(week, LocalTime(6, 0), no_clock_band="") == {"busy"}
    assert open_bands(week, LocalTime(1, 18 * 60), no_clock_band="") == {"busy"}
    assert open_bands(week, LocalTime(1, 0), no_clock_band="") == set()
    assert minutes_of(week, "busy").bit_count() == 2 * DAY_MINUTES + 2 * 240


def test_without_a_clock_one_band_counts_or_none():
    assert open_bands((HAPPY,), None, no_clock_band="late") == {"late"}
    assert open_bands((HAPPY,), None, no_clock_band="") == set()


@pytest.mark.parametrize(
    ("band", "says"),
    [
        ({"name": "", "from_minute": 1, "to_minute": 2}, "needs a name"),
        ({"name": "b", "from_minute": 5, "to_minute": 5}, "no minute"),
        ({"name": "b", "from_minute": 1_440, "to_minute": 5}, "minutes after midnight"),
        ({"name": "b", "from_minute": 0, "to_minute": 1_441}, "minutes after midnight"),
        ({"name": "b", "from_minute": -1, "to_minute": 5}, "minutes after midnight"),
        ({"name": "b", "from_minute": 1, "to_minute": 5, "weekdays": []}, "at least one"),
        ({"name": "b", "from_minute": 1, "to_minute": 5, "weekdays": [0]}, "1 \\(Monday\\)"),
    ],
)
def test_a_band_that_cannot_be_is_refused(band, says):
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert(band, Band)


# ------------------------------------------------------------------------------------------------------ kinds of day
GOLDEN_WEEK = Calendar(3, {"2026-10-01": "holiday", "2026-10-10": "workday"})


@pytest.mark.parametrize(
    ("local", "kind"),
    [
        (LocalTime(4, 600, 20261001), "holiday"),  # a Thursday off
        (LocalTime(6, 600, 20261010), "workday"),  # the Saturday that makes up for it
        (LocalTime(6, 600, 20261017), "weekend"),
        (LocalTime(4, 600, 20261008), "workday"),
        (LocalTime(4, 600), "workday"),  # no date known: what the weekday says
        (LocalTime(7, 600), "weekend"),
        (None, None),
    ],
)
def test_the_kind_of_a_day(local, kind):
    assert day_kind(GOLDEN_WEEK, local) == kind


def test_a_weekend_is_what_the_country_says():
    gulf = Calendar(1, weekend=(5, 6))
    assert [day_kind(gulf, LocalTime(day, 0, 20260101)) for day in (4, 5, 6, 7)] == [
        "workday", "weekend", "weekend", "workday",
    ]  # fmt: skip
    assert day_kind(NO_CALENDAR, LocalTime(5, 0, 20260101)) == "workday"


def test_a_calendar_is_read_from_plain_json_and_refuses_what_is_no_day():
    text = b'{"version": 3, "days": {"2026-10-01": "holiday", "2026-10-10": "workday"}}'
    assert msgspec.json.decode(text, type=Calendar) == GOLDEN_WEEK
    assert msgspec.json.decode(msgspec.json.encode(GOLDEN_WEEK), type=Calendar) == GOLDEN_WEEK
    for wrong in (b'{"2026-13-01": "holiday"}', b'{"20261001": "holiday"}', b'{"2026-10-01": "feast"}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b'{"version": 1, "days": ' + wrong + b"}", type=Calendar)
    with pytest.raises(msgspec.ValidationError, match="weekend days"):
        msgspec.json.decode(b'{"version": 1, "weekend": [8]}', type=Calendar)


@given(st.dates())
def test_a_date_is_a_number_and_back(day):
    assert date_text(as_number(day)) == day.isoformat()


# ------------------------------------------------------------------------------------------------ days of 23, 25 hours
def minutes_by_business_date(zone: str, first: date, days: int) -> dict[int, list[LocalTime]]:
    """Return what the wall clock showed in every real minute of these business dates."""
    start = datetime(first.year, first.month, first.day, CUTOFF // 60, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    shown: dict[int, list[LocalTime]] = {}
    for minute in range(days * DAY_MINUTES + 120):
        wall = (start + timedelta(minutes=minute)).astimezone(ZoneInfo(zone))
        local = local_time(wall, cutoff_minute=CUTOFF)
        shown.setdefault(local.date, []).append(local)
    last = as_number(first + timedelta(days=days - 1))
    return {day: minutes for day, minutes in shown.items() if day <= last}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 28), 23),  # the clock springs in the small hours of the 29th
        ("Europe/Berlin", date(2026, 10, 24), 25),
        ("America/New_York", date(2026, 3, 7), 23),
        ("America/New_York", date(2026, 10, 31), 25),
        ("Asia/Shanghai", date(2026, 3, 28), 24),
        ("Asia/Shanghai", date(2026, 10, 24), 24),
    ],
)
def test_a_business_day_is_as_long_as_the_clock_makes_it(zone, day, hours):
    shown = minutes_by_business_date(zone, day - timedelta(days=1), 3)
    assert {date_: len(minutes) for date_, minutes in shown.items()} == {
        as_number(day - timedelta(days=1)): DAY_MINUTES,
        as_number(day): hours * 60,
        as_number(day + timedelta(days=1)): DAY_MINUTES,
    }
    for number, minutes in shown.items():
        assert {local.weekday for local in minutes} == {date.fromisoformat(date_text(number)).isoweekday()}
        assert (minutes[0].minute, minutes[-1].minute) == (CUTOFF, CUTOFF - 1)


@pytest.mark.parametrize(
    ("zone", "day", "real_minutes"),
    [
        ("Europe/Berlin", date(2026, 3, 28), 180),  # there is no 02:00 to 03:00
        ("Europe/Berlin", date(2026, 10, 24), 300),  # 02:00 to 03:00 comes twice
        ("America/New_York", date(2026, 3, 7), 180),
        ("America/New_York", date(2026, 10, 31), 300),
        ("Asia/Shanghai", date(2026, 3, 28), 240),
    ],
)
def test_a_night_band_ends_when_the_wall_says_so(zone, day, real_minutes):
    night = Band("night", 0, 4 * 60, weekdays=(day.isoweekday(),))
    shown = minutes_by_business_date(zone, day - timedelta(days=1), 3)
    counted = [
        (number, local.minute) for number, minutes in shown.items() for local in minutes if in_band(night, local)
    ]
    assert {number for number, _minute in counted} == {as_number(day)}
    assert len(counted) == real_minutes
    assert max(minute for _number, minute in counted) == 4 * 60 - 1


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Shanghai"])
def test_a_band_across_midnight_starts_and_ends_on_one_business_date(zone):
    for day in (date(2026, 3, 27), date(2026, 10, 23), date(2026, 6, 12)):  # Fridays, some before a change
        shown = minutes_by_business_date(zone, day, 2)
        counted = {number for number, minutes in shown.items() for local in minutes if in_band(LATE, local)}
        assert counted == {as_number(day)}


# ------------------------------------------------------------------------------------------------------------- shifts
EARLY, NIGHT = Band("early", 360, 840), Band("夜班", 1_320, 360)
ROSTER = Calendar(1, shifts=(EARLY, Band("late", 840, 1_320), NIGHT))


@pytest.mark.parametrize(
    ("minute", "shift"), [(360, "early"), (839, "early"), (840, "late"), (1_320, "夜班"), (0, "夜班"), (359, "夜班")]
)
def test_every_minute_has_its_shift(minute, shift):
    assert shift_of(ROSTER, LocalTime(3, minute, 20260101)) == shift


def test_without_a_known_time_or_between_shifts_there_is_none():
    assert shift_of(ROSTER, None) is None
    assert shift_of(Calendar(1, shifts=(EARLY,)), LocalTime(3, 900)) is None
    assert shift_of(NO_CALENDAR, LocalTime(3, 900)) is None


@pytest.mark.parametrize(
    ("shifts", "why"),
    [
        (
            [{"name": "a", "from_minute": 0, "to_minute": 600}, {"name": "b", "from_minute": 599, "to_minute": 1}],
            "anot",
        ),
        ([{"name": "a" * 33, "from_minute": 0, "to_minute": 600}], "32 characters"),
        ([{"name": str(n), "from_minute": n, "to_minute": n + 1} for n in range(25)], "at most 24"),
        ([{"name": "", "from_minute": 0, "to_minute": 1}], "needs a name"),
    ],
)
def test_shifts_that_cannot_be_are_refused(shifts, why):
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert({"version": 1, "shifts": shifts}, Calendar)


def test_shifts_of_other_weekdays_may_have_the_same_minutes():
    week = Calendar(1, shifts=(Band("week", 0, 1_440, (1, 2, 3, 4, 5)), Band("weekend", 0, 1_440, (6, 7))))
    assert [shift_of(week, LocalTime(day, 5)) for day in (5, 6)] == ["week", "weekend"]


def test_a_hub_of_the_release_before_reads_a_calendar_without_shifts():
    assert b"shifts" not in msgspec.json.encode(GOLDEN_WEEK)
    assert msgspec.json.decode(msgspec.json.encode(ROSTER), type=Calendar) == ROSTER
