"""Back-off: full jitter, doubled and capped; a resend leaves the office time to answer."""

import pytest

from cloud_sync.protocol.retry import reconnect_delay_ms, resend_delay_ms


@pytest.mark.parametrize(("attempt", "ceiling"), [(0, 500), (1, 1_000), (6, 32_000), (7, 60_000), (99, 60_000)])
def test_reconnect(attempt, ceiling):
    assert reconnect_delay_ms(attempt, dice=0.0) == 0
    assert reconnect_delay_ms(attempt, dice=0.5) == ceiling // 2
    assert ceiling - 10 <= reconnect_delay_ms(attempt, dice=0.99999) < ceiling


@pytest.mark.parametrize(("attempt", "ceiling"), [(0, 2_000), (1, 4_000), (2, 8_000), (9, 30_000)])
def test_resend(attempt, ceiling):
    assert resend_delay_ms(attempt, dice=0.0) == ceiling // 2
    assert ceiling - 10 <= resend_delay_ms(attempt, dice=0.99999) < ceiling
