"""The two clocks of a bridge: one that only goes on, one that people read."""

import time


def now_ms() -> int:
    """Return milliseconds of the monotonic clock."""
    return time.monotonic_ns() // 1_000_000


def utc_ms() -> int:
    """Return UTC milliseconds of the wall clock."""
    return time.time_ns() // 1_000_000
