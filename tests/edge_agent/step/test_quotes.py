"""What a page showed within the last 30 s is never too little to pay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.step.quotes import HONOURED_MS, SHOWN_KEPT, Quote, ShownPrices, Tariff
from payment_core.money import Money
from payment_core.policy import Lane
from payment_core.price_calendar import NO_CALENDAR
from payment_core.pricing import Price, PriceList, PriceRule
from payment_core.records import ListStamp

OLD, NEW = ListStamp(1, b"1" * 32), ListStamp(2, b"2" * 32)


def quote(minor, stamp=OLD, unit="CNY"):
    return Quote(Price((Money(minor, unit),), 1, "", "venue", 1, ("rule 1: venue",)), stamp)


def paid(quote):
    return (quote.price.shown.minor, quote.stamp.version, quote.honoured)


def test_a_lower_price_shown_is_paid_for_thirty_seconds_and_names_its_own_list():
    shown = ShownPrices()
    shown.note("lane-1", quote(200), 0)
    shown.note("lane-1", quote(300, NEW), 100_000)
    now = quote(300, NEW)
    assert paid(shown.best("lane-1", now, 100_000)) == (200, 1, True)
    assert paid(shown.best("lane-1", now, 100_000 + HONOURED_MS)) == (200, 1, True)
    assert paid(shown.best("lane-1", now, 100_001 + HONOURED_MS)) == (300, 2, False)
    assert paid(shown.best("lane-2", now, 100_000)) == (300, 2, False)
    assert shown.best("lane-1", now, 100_000).price.reasons == (
        "shown on the page within the last 30 s, and honoured",
        "rule 1: venue",
    )


def test_a_price_that_stands_on_the_page_counts_until_the_page_changes():
    shown = ShownPrices()
    shown.note("lane-1", quote(200), 0)
    assert paid(shown.best("lane-1", quote(300, NEW), 10**9)) == (200, 1, True)


def test_a_higher_price_shown_is_never_paid():
    shown = ShownPrices()
    shown.note("lane-1", quote(300), 0)
    shown.note("lane-1", quote(200, NEW), 1)
    assert paid(shown.best("lane-1", quote(200, NEW), 1)) == (200, 2, False)
    assert paid(shown.best("lane-1", quote(150, NEW), 1)) == (150, 2, False)


def test_what_was_on_sale_a_moment_ago_still_is():
    shown = ShownPrices()
    shown.note("lane-1", quote(200), 0)
    shown.note("lane-1", None, 1_000)
    assert paid(shown.best("lane-1", None, 31_000)) == (200, 1, True)
    assert shown.best("lane-1", None, 31_001) is None


def test_a_price_in_another_unit_is_honoured_once_it_is_gone_and_no_sooner():
    shown = ShownPrices()
    shown.note("lane-1", quote(200), 0)
    tickets = quote(5, NEW, "ticket")
    assert paid(shown.best("lane-1", tickets, 1)) == (5, 2, False)  # this guest's own rule; the page shows the usual
    shown.note("lane-1", tickets, 2)
    assert paid(shown.best("lane-1", tickets, 3)) == (200, 1, True)


def test_new_lanes_begin_anew():
    shown = ShownPrices()
    shown.note("lane-1", quote(200), 0)
    shown.forget()
    assert paid(shown.best("lane-1", quote(300), 1)) == (300, 1, False)


PRICES = st.one_of(st.none(), st.integers(0, 5).map(lambda minor: quote(minor * 100)))


@given(st.lists(st.tuples(PRICES, st.integers(0, 20_000)), max_size=6), st.integers(0, 60_000), PRICES)
def test_a_tap_pays_the_lowest_of_all_that_was_on_the_page_within_thirty_seconds(history, later, now):
    shown, at = ShownPrices(), 0
    seen = []
    for price, pause in history:
        shown.note("lane-1", price, at)
        seen.append((price, at))
        at += pause
    at += later
    ends = [start for _price, start in seen[1:]] + [at] * bool(seen)
    fresh = [price for (price, _), end in zip(seen, ends, strict=True) if price and at - end <= HONOURED_MS]
    wanted = min((price.price.shown.minor for price in [*fresh, now] if price), default=None)
    found = shown.best("lane-1", now, at)
    assert (found.price.shown.minor if found else None) == wanted
    assert len(shown._lanes.get("lane-1", ())) <= SHOWN_KEPT


@pytest.mark.parametrize(("tier", "group", "minor"), [("", "", 200), ("gold", "", 150), ("", "school", 120)])
def test_a_tariff_prices_a_lane_for_a_guest(tier, group, minor):
    rules = (
        PriceRule((Money(200, "CNY"),)),
        PriceRule((Money(150, "CNY"),), machine_group="racers", tier="gold"),
        PriceRule((Money(120, "CNY"),), venue="here", group="school"),
    )
    tariff = Tariff(PriceList(1, "CNY", rules), OLD)
    lane = Lane("lane-1", "racer-1", "hall", "reader-1", "coin-1", group="racers")
    found = tariff.quote(lane, None, calendar=NO_CALENDAR, venue="here", tier=tier, group=group)
    assert (found.price.shown.minor, found.stamp) == (minor, OLD)
    empty = Tariff(PriceList(1, "CNY", ()), OLD)
    assert empty.quote(lane, None, calendar=NO_CALENDAR, venue="here") is None
