"""When to try again: exponential back-off with full jitter over a floor. The dice are an argument."""

from typing import Final

FLOOR_MS: Final = 500
"""The least between the end of one connect and the next one: at most two connects a second, whatever happens."""
BASE_MS: Final = 500
CAP_MS: Final = 60_000
SILENT_CAP_MS: Final = 10_000
"""Behind a connect that had no answer at all, not even a refusal: who took it is there, and may go on at any moment."""
RESEND_BASE_MS: Final = 2_000
RESEND_CAP_MS: Final = 30_000


def reconnect_delay_ms(attempt: int, *, dice: float, cap_ms: int = CAP_MS) -> int:
    """Return how long to wait before connect number `attempt` (0 is the first retry); `dice` is in [0, 1)."""
    return FLOOR_MS + int(_ceiling(attempt, BASE_MS, cap_ms - FLOOR_MS) * dice)


def resend_delay_ms(attempt: int, *, dice: float) -> int:
    """Return how long to wait for a receipt before resend `attempt`; never under half the ceiling."""
    return upper_half_ms(_ceiling(attempt, RESEND_BASE_MS, RESEND_CAP_MS), dice=dice)


def upper_half_ms(ceiling_ms: int, *, dice: float) -> int:
    """Return a time from half of a ceiling to all of it."""
    return int(ceiling_ms / 2 + ceiling_ms / 2 * dice)


def _ceiling(attempt: int, base_ms: int, cap_ms: int) -> int:
    return min(cap_ms, base_ms << min(attempt, 16))
