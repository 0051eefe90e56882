"""A rule that cannot be charged is refused, and its rank is a total order with a reason for every step."""

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.money import Money
from payment_core.price_rule import DIMENSIONS, MAX_PRICE, MAX_QUANTITY, PriceRule, claim_over, rank_of, words_of
from payment_core.pricing import Rounding, Tax


@pytest.mark.parametrize(
    "rule",
    [
        {"price": []},
        {"price": [[-1, "CNY"]]},
        {"price": [[1.5, "CNY"]]},
        {"price": [[1, "CNY"]], "credits": 0},
        {"price": [[MAX_PRICE + 1, "CNY"]]},
        {"price": [[1, "CNY"], [2, "CNY"]]},
        {"price": [[1, "CNY"]], "quantity": 0},
        {"price": [[1, "CNY"]], "quantity": MAX_QUANTITY + 1},
        {"price": [[1, "bonus"], [1, "CNY"]], "asks": True},
        {"price": [[1, "CNY"]], "asks": True, "credits": 2},
        {"price": [[1, "CNY"]], "asks": True, "quantity": 2},
        {"price": [[1, "CNY"]], "days": ["feast"]},
        {"price": [[1, "CNY"]], "valid_from": "tomorrow"},
        {"price": [[1, "CNY"]], "machin": "racer-2"},
    ],
)
def test_a_rule_that_cannot_be_charged_is_refused(rule):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rule, PriceRule)


@pytest.mark.parametrize(
    ("shape", "table"),
    [
        (Tax, {"milli_percent": -1}),
        (Tax, {"milli_percent": 100_001}),
        (Rounding, {"step": 0}),
        (Rounding, {"step": 5, "how": "away"}),
    ],
)
def test_a_tax_or_rounding_that_cannot_be_is_refused(shape, table):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, shape)


ONE = {
    "machine": {"machine": "m"}, "item": {"item": "i"}, "machine_group": {"machine_group": "g"}, "zone": {"zone": "z"},
    "venue": {"venue": "v"}, "tier": {"tier": "t"}, "group": {"group": "c"}, "days": {"days": ("holiday",)},
    "band": {"band": "b"}, "dates": {"valid_to": date(2026, 1, 1)}, "quantity": {"quantity": 2},
}  # fmt: skip


def rule(names):
    told = {key: value for name in names for key, value in ONE[name].items()}
    return PriceRule((Money(1, "CNY"),), **told)


def test_every_dimension_has_its_place_in_the_rank():
    assert [dimension.name for dimension in DIMENSIONS] == list(ONE)
    ranks = [rank_of(rule([name])) for name in ONE]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ONE)


NAMES = st.sets(st.sampled_from(list(ONE)))


@given(NAMES, NAMES)
def test_the_strongest_name_that_only_one_has_decides_and_is_the_reason(first, second):
    one, two = rank_of(rule(first)), rank_of(rule(second))
    differing = [dimension for dimension in DIMENSIONS if dimension.name in first ^ second]
    if not differing:
        assert one == two
        assert claim_over(one, two) == "as specific, but it stands first in the list"
        return
    assert (one > two) is (differing[0].name in first)
    assert claim_over(max(one, two), min(one, two)) == differing[0].claim


def test_a_rule_in_words():
    everything = rule(ONE)
    assert words_of(everything) == (
        "machine m, item i, machine group g, zone z, venue v, tier t, group c, days holiday, band b, to 2026-01-01, "
        "quantity 2"
    )
    assert words_of(rule(())) == "venue"
