"""Which business day a moment belongs to: a venue's day begins at an hour of its own, not at midnight."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def business_date(now_ms: int, *, timezone: str, day_begins_minute: int) -> int:
    """Return yyyymmdd of the business day that `now_ms` (UTC) falls into. `timezone` is an IANA name."""
    local = datetime.fromtimestamp(now_ms // 1_000, tz=UTC).astimezone(ZoneInfo(timezone))
    day = (local - timedelta(minutes=day_begins_minute)).date()
    return day.year * 10_000 + day.month * 100 + day.day


def time_of_day(minute: int) -> str:
    """Return a minute of the day as people write it: 360 is 06:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def day_bounds(date: int, *, timezone: str, day_begins_minute: int) -> tuple[int, int] | None:
    """Return the first moment of a business day and the first one after it, UTC ms; None: yyyymmdd that is no date."""
    try:
        day = datetime(date // 10_000, date // 100 % 100, date % 100, tzinfo=ZoneInfo(timezone))
        begins = day + timedelta(minutes=day_begins_minute)  # by the clock on the wall
        ends = begins + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return int(begins.timestamp() * 1_000), int(ends.timestamp() * 1_000)
