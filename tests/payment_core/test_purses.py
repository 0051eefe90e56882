"""Which purses pay: in order, pro rata, never above a price or an allowance."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.money import Money
from payment_core.purses import plan_payment


@pytest.mark.parametrize(
    ("price", "allowances", "expected"),
    [
        ([(200, "CNY")], {"CNY": 200}, [(200, "CNY")]),
        ([(200, "CNY")], {"CNY": 199}, None),
        ([(200, "CNY")], {}, None),
        ([(0, "CNY")], {}, []),
        ([(200, "bonus"), (200, "CNY")], {"bonus": 50, "CNY": 500}, [(50, "bonus"), (150, "CNY")]),
        ([(200, "bonus"), (200, "CNY")], {"bonus": 500, "CNY": 500}, [(200, "bonus")]),
        ([(3, "bonus"), (200, "CNY")], {"bonus": 1, "CNY": 500}, [(1, "bonus"), (133, "CNY")]),
        ([(1, "play"), (200, "CNY")], {"play": -5, "CNY": 500}, [(200, "CNY")]),
        ([(3, "a"), (3, "b"), (100, "CNY")], {"a": 1, "b": 1, "CNY": 99}, [(1, "a"), (1, "b"), (33, "CNY")]),
        ([], {"CNY": 500}, None),
    ],
)
def test_the_plan(price, allowances, expected):
    plan = plan_payment([Money(*full) for full in price], allowances)
    assert plan == (None if expected is None else tuple(Money(*paid) for paid in expected))


prices = st.lists(st.integers(0, 10_000), min_size=1, max_size=4).map(
    lambda amounts: [Money(amount, f"unit-{place}") for place, amount in enumerate(amounts)]
)


@given(prices, st.dictionaries(st.sampled_from([f"unit-{n}" for n in range(4)]), st.integers(-5, 12_000)))
def test_nobody_pays_more_than_the_price_or_than_he_has(price, allowances):
    plan = plan_payment(price, allowances)
    if plan is None:
        return
    full = {money.unit: money.minor for money in price}
    assert [money.unit for money in plan] == [unit for unit in full if unit in {money.unit for money in plan}]
    for money in plan:
        assert 0 < money.minor <= max(allowances.get(money.unit, 0), 0)
    share = sum((Fraction(money.minor, full[money.unit]) for money in plan), Fraction(0))
    assert share <= 1
    if all(full.values()) and plan:
        assert 1 - share < Fraction(1, min(full.values()))  # less than one unit of the purse where it was rounded


@given(prices)
def test_a_single_purse_that_has_enough_pays_exactly(price):
    last = price[-1]
    plan = plan_payment([last], {last.unit: last.minor})
    assert plan == ((last,) if last.minor else ())


@given(prices, st.integers(0, 3))
def test_more_money_never_turns_yes_into_no(price, more):
    allowances = {money.unit: money.minor // 2 for money in price}
    richer = {unit: amount + more for unit, amount in allowances.items()}
    if plan_payment(price, allowances) is not None:
        assert plan_payment(price, richer) is not None
