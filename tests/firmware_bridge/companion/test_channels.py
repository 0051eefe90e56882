"""What a board's coin input counts is what the hub's own filter counts; and what a config may not ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.companion import channels
from firmware_bridge.companion.channels import LONGEST_MS, SHORTEST_MS, Coins
from firmware_bridge.companion.program import Program
from firmware_bridge.wire.pulses import NS_PER_MS, PulseFilter


class Counted:
    """A log that counts coins: what is tried here is the filter in front of it."""

    unbooked = 0

    def __init__(self):
        self.coins = 0

    def coin(self, _position):
        self.coins += 1
        return True


STRETCHES = st.lists(st.integers(0, 60) | st.sampled_from([LONGEST_MS, LONGEST_MS + 1]), max_size=60)
"""How long the line stands at each level, in turn."""


def by_board(stretches, *, found_active):
    log = Counted()
    coins = Coins(log)
    at_ms, active = 0, found_active
    for stretch in [*stretches, 0]:
        coins.level(at_ms, active=active)
        at_ms, active = at_ms + stretch, not active
    return log.coins


def by_hub(stretches, *, found_active):
    line = PulseFilter(shortest_ms=SHORTEST_MS, longest_ms=LONGEST_MS)
    at_ms, active, found = 0, found_active, 0
    for stretch in [*stretches, 0]:
        found += line.level(at_ns=at_ms * NS_PER_MS, active=active)
        at_ms, active = at_ms + stretch, not active
    return found


@given(STRETCHES, st.booleans())
def test_a_board_counts_what_the_hub_would(stretches, found_active):
    assert by_board(stretches, found_active=found_active) == by_hub(stretches, found_active=found_active)


def test_a_line_found_low_is_no_coin_and_a_bounce_makes_no_second_one():
    assert by_board([120, 500], found_active=True) == 0
    assert by_board([500, 50, 5, 45, 100], found_active=False) == 1


def test_a_filter_that_takes_the_first_level_for_a_pulse_is_caught(monkeypatch):
    class Minting(Coins):
        def level(self, now_ms, *, active):
            if self._active is None:
                super().level(now_ms - channels.SHORTEST_MS, active=False)
            super().level(now_ms, active=active)

    monkeypatch.setitem(globals(), "Coins", Minting)
    with pytest.raises(AssertionError):
        test_a_line_found_low_is_no_coin_and_a_bounce_makes_no_second_one()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"uart": {"number": 1}, "mqtt": {}, "devices": []}, "not both"),
        ({"devices": [{"id": "racer", "kind": "ouput", "pin": 1}]}, "kind ouput of racer: one of output, coins"),
    ],
)
def test_a_config_that_would_book_twice_or_make_coins_of_a_typing_error_is_refused(config, text):
    with pytest.raises(ValueError, match=text):
        Program(config, board=None)
