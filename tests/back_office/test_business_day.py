"""A venue's day begins when it says."""

from datetime import UTC, datetime

import pytest

from back_office.business_day import business_date


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
