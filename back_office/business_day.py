"""Which business day a moment belongs to: a venue's day begins at an hour of its own, not at midnight."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def business_date(now_ms: int, *, timezone: str, day_begins_minute: int) -> int:
    """Return yyyymmdd of the business day that `now_ms` (UTC) falls into. `timezone` is an IANA name."""
    local = datetime.fromtimestamp(now_ms // 1_000, tz=UTC).astimezone(ZoneInfo(timezone))
    day = (local - timedelta(minutes=day_begins_minute)).date()
    return day.year * 10_000 + day.month * 100 + day.day
