"""The most specific price counts, bands run across midnight, and a hub without a clock has its own band."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.money import Money
from payment_core.pricing import Band, LocalTime, PriceList, PriceRule, find_price, in_band


def cny(minor):
    return (Money(minor, "CNY"),)


LATE = Band("late", 22 * 60, 2 * 60, weekdays=(5,))
HAPPY = Band("happy", 14 * 60, 17 * 60)
LIST = PriceList(
    1,
    "CNY",
    (
        PriceRule(cny(800)),
        PriceRule(cny(700), band="happy"),
        PriceRule(cny(600), zone="hall"),
        PriceRule(cny(500), zone="hall", band="happy"),
        PriceRule(cny(400), machine="racer-2", credits=2, tax_code="ent"),
        PriceRule(cny(300), machine="racer-2", band="late"),
        PriceRule(cny(200), machine="racer-3", zone="bar"),
    ),
    bands=(LATE, HAPPY),
    no_clock_band="happy",
)
NOON, HAPPY_HOUR = LocalTime(3, 720), LocalTime(3, 900)


@pytest.mark.parametrize(
    ("machine", "zone", "local", "minor", "why"),
    [
        ("x", "y", NOON, 800, "venue"),
        ("x", "y", HAPPY_HOUR, 700, "band happy"),
        ("x", "hall", NOON, 600, "zone hall"),
        ("x", "hall", HAPPY_HOUR, 500, "zone hall, band happy"),
        ("racer-2", "hall", HAPPY_HOUR, 400, "machine racer-2"),
        ("racer-2", "hall", LocalTime(5, 22 * 60), 300, "machine racer-2, band late"),
        ("racer-2", "hall", LocalTime(5, 119), 300, "machine racer-2, band late"),
        ("racer-2", "hall", LocalTime(6, 119), 400, "machine racer-2"),
        ("racer-3", "bar", NOON, 200, "machine racer-3, zone bar"),
        ("racer-3", "hall", NOON, 600, "zone hall"),
        ("x", "hall", None, 500, "zone hall, band happy"),
        ("racer-2", "hall", None, 400, "machine racer-2"),
    ],
)
def test_the_most_specific_price(machine, zone, local, minor, why):
    found = find_price(LIST, machine=machine, zone=zone, local=local)
    assert (found.price, found.why) == (cny(minor), why)


def test_credits_and_tax_code_come_with_the_rule():
    found = find_price(LIST, machine="racer-2", zone="", local=NOON)
    assert (found.credits, found.tax_code) == (2, "ent")


def test_of_two_equal_rules_the_first_counts():
    prices = PriceList(1, "CNY", (PriceRule(cny(1)), PriceRule(cny(2))))
    assert find_price(prices, machine="m", zone="z", local=None).price == cny(1)


def test_no_rule_is_no_price():
    prices = PriceList(1, "CNY", (PriceRule(cny(1), band="late"),), bands=(LATE,))
    assert find_price(prices, machine="m", zone="z", local=NOON) is None
    assert find_price(prices, machine="m", zone="z", local=None) is None


@pytest.mark.parametrize(
    ("minute", "inside"), [(22 * 60 - 1, False), (22 * 60, True), (1_439, True), (0, True), (119, True), (120, False)]
)
def test_a_band_across_midnight(minute, inside):
    assert in_band(LATE, LocalTime(5, minute)) is inside


@pytest.mark.parametrize(("minute", "inside"), [(839, False), (840, True), (1_019, True), (1_020, False)])
def test_a_band_within_a_day(minute, inside):
    assert in_band(HAPPY, LocalTime(1, minute)) is inside


@given(st.integers(0, 1_439), st.integers(0, 1_439), st.integers(1, 7), st.integers(0, 1_439))
def test_a_band_and_its_complement_share_no_minute(start, end, weekday, minute):
    if start == end:
        return
    local = LocalTime(weekday, minute)
    assert in_band(Band("a", start, end), local) is not in_band(Band("b", end, start), local)


@pytest.mark.parametrize(
    "rule", [{"price": []}, {"price": [[-1, "CNY"]]}, {"price": [[1.5, "CNY"]]}, {"price": [[1, "CNY"]], "credits": 0}]
)
def test_a_rule_that_cannot_be_charged_is_refused(rule):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rule, PriceRule)
