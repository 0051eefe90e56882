"""An operator is told of rules that never count, and of pairs that only their order tells apart."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.money import Money
from payment_core.price_calendar import EVERY_DAY
from payment_core.price_check import PROBLEMS_TOLD, check_prices
from payment_core.pricing import Band, LocalTime, PriceList, PriceRule, Rounding, Tax, find_price

BANDS = (
    Band("day", 10 * 60, 18 * 60),
    Band("noon", 12 * 60, 13 * 60),
    Band("evening", 17 * 60, 22 * 60),
    Band("monday", 10 * 60, 18 * 60, weekdays=(1,)),
    Band("late", 22 * 60, 2 * 60, weekdays=(5, 6)),
)


def rule(minor=100, **names):
    return PriceRule((Money(minor, "CNY"),), **names)


def checked(*rules, bands=BANDS, **more):
    prices = PriceList(1, "CNY", rules, bands=bands, **more)
    return [(problem.kind, problem.key) for problem in check_prices(prices, cutoff_minute=360)]


@pytest.mark.parametrize(
    "rules",
    [
        (rule(), rule(200, zone="hall"), rule(300, machine="racer-1"), rule(90, band="day")),
        (rule(band="day"), rule(200, band="late")),
        (rule(days=("holiday",)), rule(200, days=("workday", "weekend"))),
        (rule(tier="gold"), rule(200, tier="silver")),
        (rule(quantity=10), rule(200, quantity=20)),
        (rule(valid_to=date(2026, 1, 1)), rule(200, valid_from=date(2026, 1, 1))),
        (rule(band="day"), rule(100, band="evening")),  # they meet, and cost the same
    ],
)
def test_a_list_in_which_every_rule_has_its_place_is_not_spoken_of(rules):
    assert checked(*rules) == []


@pytest.mark.parametrize(
    "rules",
    [
        (rule(), rule(200)),
        (rule(zone="hall", band="day"), rule(200, zone="hall", band="noon")),
        (rule(band="day"), rule(200, band="monday")),
        (rule(days=("holiday", "weekend")), rule(200, days=("weekend",))),
        (rule(valid_to=date(2026, 5, 1)), rule(200, valid_to=date(2026, 4, 1))),
        (rule(machine_group="all"), rule(200, machine_group="racers")),
    ],
)
def test_a_rule_behind_one_that_counts_whenever_it_would_never_counts(rules):
    groups = {"all": ("racer-1", "racer-2", "ball-1"), "racers": ("racer-1", "racer-2"), "balls": ("ball-1",)}
    assert checked(*rules, machine_groups=groups) == [("unreachable", "rule 2")]
    wider_last = checked(*reversed(rules), machine_groups=groups)
    assert wider_last == [("unreachable" if rules == (rule(), rule(200)) else "ambiguous", "rule 2")]


def test_rules_that_meet_at_some_minute_are_told_as_a_pair():
    assert checked(rule(band="day"), rule(200, band="evening")) == [("ambiguous", "rule 2")]
    prices = PriceList(1, "CNY", (rule(band="day"), rule(200, band="evening")), bands=BANDS)
    (problem,) = check_prices(prices, cutoff_minute=360)
    assert problem.text == "is as specific as rule 1 (band day) and can count with it: the first wins"


def test_a_rule_that_counts_without_a_clock_is_not_covered_by_another_band():
    rules = (rule(band="day"), rule(200, band="noon"))
    assert checked(*rules, no_clock_band="noon") == [("ambiguous", "rule 2")]


def test_names_that_nothing_has():
    found = checked(
        rule(band="dya"), rule(machine_group="racer"), rule(zone="z", tax_code="vat"), rule(zone="y"),
        taxes={"ent": Tax(6_000)}, no_clock_band="nigth", machine_groups={"racers": ("racer-1",)},
    )  # fmt: skip
    assert found == [("unknown_name", f"rule {n}") for n in (1, 2, 3)] + [("unknown_name", "no_clock_band")]
    assert checked(rule(band="only-blind"), rule(), no_clock_band="only-blind") == []


def test_dates_the_wrong_way_round():
    rules = (rule(valid_from=date(2026, 2, 1), valid_to=date(2026, 1, 1)), rule(200, valid_from=date(2026, 2, 1)))
    assert checked(*rules) == [("unreachable", "rule 1")]


@pytest.mark.parametrize(
    ("band", "cut"),
    [
        (Band("b", 4 * 60, 8 * 60, weekdays=(6,)), True),
        (Band("b", 22 * 60, 7 * 60, weekdays=(6,)), True),
        (Band("b", 4 * 60, 8 * 60), False),  # on every day it makes no difference
        (Band("b", 6 * 60, 8 * 60, weekdays=(6,)), False),
        (Band("b", 22 * 60, 6 * 60, weekdays=(6,)), False),
        (Band("b", 0, 1_440, weekdays=(6,)), False),
    ],
)
def test_a_band_on_some_days_that_contains_the_change_of_date(band, cut):
    assert checked(rule(band="b"), bands=(band,)) == ([("split_band", 'band "b"')] if cut else [])


def test_a_price_that_cash_rounds_to_nothing():
    assert checked(rule(0), rule(400, zone="a"), rule(500, zone="b"), cash=Rounding(500)) == [
        ("free_in_cash", "rule 2")
    ]


def test_a_hopeless_list_is_told_in_part():
    found = checked(*(rule(band=f"b{n}") for n in range(PROBLEMS_TOLD + 5)))
    assert len(found) == PROBLEMS_TOLD + 1
    assert found[-1][0] == "truncated"


RULES = st.builds(
    rule,
    st.integers(1, 5),
    zone=st.sampled_from(["", "hall"]),
    band=st.sampled_from(["", *(band.name for band in BANDS)]),
    days=st.sampled_from([(), ("workday",), ("workday", "weekend")]),
)


@given(st.lists(RULES, max_size=8))
def test_a_rule_told_to_be_unreachable_wins_at_no_minute_of_the_week(rules):
    prices = PriceList(1, "CNY", tuple(rules), bands=BANDS)
    dead = {problem.key for problem in check_prices(prices, cutoff_minute=360) if problem.kind == "unreachable"}
    for weekday in EVERY_DAY:
        for minute in range(0, 1_440, 30):
            found = find_price(prices, machine="m", zone="hall", local=LocalTime(weekday, minute, 20260105 + weekday))
            assert found is None or f"rule {found.rule}" not in dead
