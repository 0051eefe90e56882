"""Back-off: a floor, full jitter, doubled and capped; a resend leaves the office time to answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.protocol import retry
from cloud_sync.protocol.retry import CAP_MS, FLOOR_MS, reconnect_delay_ms, resend_delay_ms

DICE = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("attempt", "ceiling"), [(0, 500), (1, 1_000), (6, 32_000), (7, 59_500), (99, 59_500)])
def test_reconnect(attempt, ceiling):
    assert reconnect_delay_ms(attempt, dice=0.0) == FLOOR_MS
    assert reconnect_delay_ms(attempt, dice=0.5) == FLOOR_MS + ceiling // 2
    assert FLOOR_MS + ceiling - 10 <= reconnect_delay_ms(attempt, dice=0.99999) < FLOOR_MS + ceiling


@pytest.mark.parametrize(("attempt", "ceiling"), [(0, 2_000), (1, 4_000), (2, 8_000), (9, 30_000)])
def test_resend(attempt, ceiling):
    assert resend_delay_ms(attempt, dice=0.0) == ceiling // 2
    assert ceiling - 10 <= resend_delay_ms(attempt, dice=0.99999) < ceiling


def most_in_a_second(tries):
    """The most connects in any second, of tries that each fail at once: (attempt, dice)."""
    at_ms, starts = 0, [0]
    for attempt, dice in tries:
        delay_ms = reconnect_delay_ms(attempt, dice=dice)
        assert delay_ms <= CAP_MS
        at_ms += delay_ms
        starts.append(at_ms)
    return max(sum(start <= other < start + 1_000 for other in starts) for start in starts)


@given(st.lists(st.tuples(st.integers(0, 40), DICE), max_size=30))
def test_a_hub_connects_twice_a_second_at_most_whatever_the_dice_say(tries):
    assert most_in_a_second(tries) <= 2


def test_a_build_without_the_floor_is_caught(monkeypatch):
    monkeypatch.setattr(retry, "FLOOR_MS", 0)
    assert most_in_a_second([(attempt, 0.1) for attempt in range(3)]) > 2


def test_hubs_that_lose_their_broker_together_come_back_apart():
    waits = {reconnect_delay_ms(2, dice=hub / 500) for hub in range(500)}
    assert len(waits) == 500
    assert max(waits) - min(waits) > 1_900
