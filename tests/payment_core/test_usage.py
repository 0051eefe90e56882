"""What cards and accounts used: per card and day, per window, over several places, whatever the clock does."""

from hypothesis import given
from hypothesis import strategies as st

from payment_core.facts import Recent
from payment_core.policy import Velocity
from payment_core.usage import NO_USE, CardDay, Tapped, Usage, read_usage, recent, spent_today, usage_bytes, with_tap

MINUTE, HOUR = Velocity(60_000, 9, 999), Velocity(3_600_000, 9, 999)
ANNA, BEN = b"anna" * 4, b"bens" * 4


def tap(card=ANNA, *, day=20251122, now_ms=1_000_000, cost=200):
    return Tapped(card, day, now_ms, cost)


def after(*taps, rules=(MINUTE, HOUR), usage=NO_USE):
    for one in taps:
        usage = with_tap(usage, one, rules, per_card=True)
    return usage


def test_two_cards_of_one_account_have_a_day_each():
    used = after(tap(), tap(BEN, cost=50), tap())
    assert (spent_today([used], ANNA, 20251122), spent_today([used], BEN, 20251122)) == (400, 50)


def test_a_new_day_begins_anew_and_a_clock_set_back_does_not():
    used = after(tap(), tap(BEN), tap(day=20251123, cost=70))
    assert spent_today([used], ANNA, 20251123) == 70
    assert spent_today([used], BEN, 20251123) == 0
    assert spent_today([after(tap(day=20251122), usage=used)], ANNA, 20251122) == 270


def test_while_the_time_is_not_known_no_day_ends():
    used = after(tap(), tap(day=None, cost=30))
    assert spent_today([used], ANNA, None) == 230
    assert spent_today([used], ANNA, 20251122) == 230


def test_what_was_counted_before_cards_were_told_apart_counts_for_each():
    old = Usage((CardDay(b"", 20251122, 90),))
    assert spent_today([old, after(tap())], BEN, 20251122) == 90
    assert spent_today([old, after(tap())], ANNA, 20251122) == 290


def test_each_window_has_its_own_end():
    used = after(tap(), tap(now_ms=1_059_999), tap(BEN, now_ms=1_060_000))
    assert recent([used], (MINUTE, HOUR), 1_060_000) == (Recent(1, 200), Recent(3, 600))
    assert recent([used], (MINUTE, HOUR), 1_120_000) == (Recent(0, 0), Recent(3, 600))
    assert recent([used], (MINUTE,), 1_060_000 - 400 * 86_400_000) == (Recent(0, 0),)


def test_places_are_added():
    places = [after(tap()), NO_USE, after(tap(BEN), tap())]
    assert recent(places, (MINUTE,), 1_000_000) == (Recent(3, 600),)
    assert spent_today(places, ANNA, 20251122) == 400


def test_what_nobody_asks_about_is_let_go():
    assert after(tap(), rules=(MINUTE,), usage=after(tap())).windows[0].count == 2
    assert len(after(tap(), rules=(MINUTE,), usage=after(tap())).windows) == 1
    assert with_tap(NO_USE, tap(), (), per_card=False) == NO_USE


@given(st.lists(st.tuples(st.sampled_from([ANNA, BEN]), st.integers(0, 10**7), st.integers(0, 10**6))))
def test_every_use_is_kept_and_read_again(taps):
    used = after(*(tap(card, now_ms=now_ms, cost=cost) for card, now_ms, cost in taps))
    assert read_usage(usage_bytes(used)) == used
    wanted = {card: sum(cost for other, _at, cost in taps if other == card) for card in (ANNA, BEN)}
    assert {card: spent_today([used], card, 20251122) for card in (ANNA, BEN)} == wanted
    assert read_usage(b"") == NO_USE
