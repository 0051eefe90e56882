"""A venue's day begins when it says."""

from datetime import UTC, datetime

import pytest

from back_office.business_day import business_date, day_bounds


@pytest.mark.parametrize(
    ("moment", "timezone", "begins", "date"),
    [
        ("2026-11-22T21:59:59", "Asia/Shanghai", 360, 20261122),
        ("2026-11-22T22:00:00", "Asia/Shanghai", 360, 20261123),
        ("2026-12-31T21:00:00", "Asia/Shanghai", 360, 20261231),
        ("2026-11-22T00:00:00", "UTC", 0, 20261122),
        ("2026-03-29T00:30:00", "Europe/Berlin", 360, 20260328),
    ],
)
def test_business_dates(moment, timezone, begins, date):
    now_ms = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000
    assert business_date(now_ms, timezone=timezone, day_begins_minute=begins) == date


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Pacific/Apia"])
@pytest.mark.parametrize("minute", [0, 120, 360])
@pytest.mark.parametrize("date", [20260308, 20261101, 20260329, 20261025, 20261231])
def test_the_bounds_of_a_day_are_where_its_date_changes(zone, minute, date):
    begins_ms, ends_ms = day_bounds(date, timezone=zone, day_begins_minute=minute)
    inside = [business_date(ms, timezone=zone, day_begins_minute=minute) for ms in (begins_ms, ends_ms - 1_000)]
    assert inside == [date, date]
    assert business_date(ends_ms, timezone=zone, day_begins_minute=minute) != date
    assert business_date(begins_ms - 1_000, timezone=zone, day_begins_minute=minute) != date


def test_what_is_no_date_has_no_bounds():
    assert day_bounds(20260230, timezone="Asia/Shanghai", day_begins_minute=360) is None
    assert day_bounds(0, timezone="Asia/Shanghai", day_begins_minute=360) is None
