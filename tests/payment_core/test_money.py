"""Money is whole minor units of one unit; anything else is a fault."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.errors import UnitMismatchError
from payment_core.money import MAX_MINOR, Money, minor_digits, money_text

amounts = st.integers(-(10**9), 10**9)


@given(amounts, amounts)
def test_sums_are_exact(a, b):
    assert Money(a, "CNY") + Money(b, "CNY") == Money(a + b, "CNY")
    assert Money(a, "CNY") - Money(b, "CNY") == Money(a - b, "CNY")
    assert (Money(a, "CNY") <= Money(b, "CNY")) is (a <= b)


@pytest.mark.parametrize("wrong", [1.0, True, "1", None])
def test_only_whole_numbers(wrong):
    with pytest.raises(TypeError, match="whole number of minor units"):
        Money(wrong, "CNY")


def test_no_float_comes_in_as_json():
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'[2.5,"CNY"]', type=Money)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_amount_that_json_readers_would_round_is_refused(sign):
    assert Money(sign * MAX_MINOR, "CNY").minor == sign * MAX_MINOR
    with pytest.raises(ValueError, match="is beyond"):
        Money(sign * (MAX_MINOR + 1), "CNY")


@pytest.mark.parametrize(
    "operation", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a <= b], ids=["add", "subtract", "compare"]
)
def test_two_units_never_meet(operation):
    with pytest.raises(UnitMismatchError, match="CNY met bonus in one sum"):
        operation(Money(1, "CNY"), Money(1, "bonus"))


@pytest.mark.parametrize(
    ("minor", "unit", "text"),
    [
        (200, "CNY", "¥2.00"), (-50, "CNY", "-¥0.50"), (123_456_789, "CNY", "¥1,234,567.89"), (2_000, "VND", "₫2,000"),
        (12, "point", "12 point"), (-3, "play:racing", "-3 play:racing"), (5, "MYR", "0.05 MYR"), (0, "HKD", "HK$0.00"),
    ],
)  # fmt: skip
def test_as_people_read_it(minor, unit, text):
    assert money_text(Money(minor, unit)) == text


def test_units_without_a_point():
    assert [minor_digits(unit) for unit in ("CNY", "TWD", "point")] == [2, 0, 0]
