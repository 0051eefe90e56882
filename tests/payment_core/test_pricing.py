"""The most specific price counts, says why, and is the same whatever was asked before and whatever else is listed."""

import random
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.money import Money
from payment_core.price_calendar import NO_CALENDAR, day_kind, in_band
from payment_core.price_rule import rank_of
from payment_core.pricing import (
    Band,
    Calendar,
    LocalTime,
    PriceList,
    PriceRule,
    Rounding,
    Tax,
    asked_price,
    find_price,
    tax_in,
)


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
    assert (found.credits, found.tax_code, found.rule) == (2, "ent", 5)


def test_of_two_equal_rules_the_first_counts():
    prices = PriceList(1, "CNY", (PriceRule(cny(1)), PriceRule(cny(2))))
    found = find_price(prices, machine="m", zone="z", local=None)
    assert found.price == cny(1)
    assert found.reasons[-1] == "before rule 2 (venue): as specific, but it stands first in the list"


def test_no_rule_is_no_price():
    prices = PriceList(1, "CNY", (PriceRule(cny(1), band="late"),), bands=(LATE,))
    assert find_price(prices, machine="m", zone="z", local=NOON) is None
    assert find_price(prices, machine="m", zone="z", local=None) is None


# --------------------------------------------------------------------------------------- everything a rule may name
NAMED = {
    "machine": PriceRule(cny(10), machine="racer-2"),
    "item": PriceRule(cny(9), item="cola"),
    "machine_group": PriceRule(cny(8), machine_group="racers"),
    "zone": PriceRule(cny(7), zone="hall"),
    "venue": PriceRule(cny(6), venue="star"),
    "tier": PriceRule(cny(5), tier="gold"),
    "group": PriceRule(cny(4), group="school"),
    "days": PriceRule(cny(3), days=("holiday", "weekend")),
    "band": PriceRule(cny(2), band="happy"),
    "dates": PriceRule(cny(1), valid_from=date(2026, 10, 1), valid_to=date(2026, 10, 7)),
    "quantity": PriceRule(cny(100), quantity=10),
}
ASKED = {
    "machine": "racer-2", "zone": "hall", "item": "cola", "venue": "star", "tier": "gold", "group": "school",
    "quantity": 10, "local": LocalTime(4, 900, 20261001),
}  # fmt: skip
OTHER = {
    "machine": {"machine": "racer-9"},
    "item": {"item": ""},
    "machine_group": {"machine": "racer-9"},
    "zone": {"zone": ""},
    "venue": {"venue": ""},
    "tier": {"tier": ""},
    "group": {"group": ""},
    "days": {"local": LocalTime(4, 900, 20261008)},
    "band": {"local": LocalTime(4, 1020, 20261001)},
    "dates": {"local": LocalTime(4, 900, 20261008)},
    "quantity": {"quantity": 9},
}
HOLIDAYS = Calendar(1, {"2026-10-01": "holiday"})


def priced(rules, **changed):
    prices = PriceList(1, "CNY", tuple(rules), bands=(HAPPY,), machine_groups={"racers": ("racer-1", "racer-2")})
    return find_price(prices, calendar=HOLIDAYS, **{**ASKED, **changed})


@pytest.mark.parametrize("name", NAMED)
def test_a_rule_counts_only_for_what_it_names(name):
    assert priced([NAMED[name]]) is not None
    assert priced([NAMED[name]], **OTHER[name]) is None


@pytest.mark.parametrize(("stronger", "weaker"), list(zip(NAMED, list(NAMED)[1:], strict=False)))
def test_what_a_rule_names_has_one_order_of_weight(stronger, weaker):
    for rules in ([NAMED[stronger], NAMED[weaker]], [NAMED[weaker], NAMED[stronger]]):
        assert priced(rules).price[0].minor == (NAMED[stronger].price[0].minor * 10) // NAMED[stronger].quantity


def test_one_stronger_name_beats_all_weaker_ones_together():
    everything_else = PriceRule(
        cny(99), item="cola", machine_group="racers", zone="hall", venue="star", tier="gold", group="school",
        days=("holiday",), band="happy", valid_from=date(2026, 10, 1), quantity=10,
    )  # fmt: skip
    assert priced([everything_else, NAMED["machine"]]).price == cny(100)


def test_a_lane_may_name_its_group_itself():
    found = priced([NAMED["machine_group"]], machine="racer-9", machine_group="racers")
    assert found.why == "machine group racers"
    assert priced([NAMED["machine_group"]], machine="racer-9", machine_group="balls") is None


def test_of_two_dated_rules_the_later_start_counts_and_both_ends_are_included():
    rules = [
        PriceRule(cny(1), valid_to=date(2027, 1, 1)),
        PriceRule(cny(2), valid_from=date(2026, 1, 1)),
        PriceRule(cny(3), valid_from=date(2026, 10, 1), valid_to=date(2026, 10, 2)),
    ]
    days = (20251231, 20260101, 20260930, 20261001, 20261002, 20261003)
    found = [priced(rules, quantity=1, local=LocalTime(4, 1, day)).price[0].minor for day in days]
    assert found == [1, 2, 2, 3, 3, 2]


def test_without_a_known_date_or_clock_neither_dates_nor_kinds_of_day_count():
    rules = [NAMED["dates"], NAMED["days"], PriceRule(cny(50))]
    assert priced(rules, quantity=1, local=None).price == cny(50)
    assert priced(rules, quantity=1, local=LocalTime(4, 1)).price == cny(50)
    assert priced(rules, quantity=1, local=LocalTime(6, 1)).price == cny(3)  # a Saturday is one by its weekday


def test_a_make_up_working_day_costs_what_a_working_day_costs():
    rules = (PriceRule(cny(300), days=("weekend", "holiday")), PriceRule(cny(200)))
    prices = PriceList(1, "CNY", rules)
    calendar = Calendar(1, {"2026-10-10": "workday", "2026-10-01": "holiday"})
    paid = {
        day: find_price(prices, machine="m", zone="z", local=local, calendar=calendar).price[0].minor
        for day, local in {
            "thursday off": LocalTime(4, 600, 20261001),
            "saturday of work": LocalTime(6, 600, 20261010),
            "saturday": LocalTime(6, 600, 20261017),
        }.items()
    }
    assert paid == {"thursday off": 300, "saturday of work": 200, "saturday": 300}


# ------------------------------------------------------------------------------------ quantity, cash, tax and reasons
def test_from_so_many_pieces_on_each_costs_less_and_what_is_left_over_is_the_guests():
    rules = (PriceRule(cny(200), credits=2), PriceRule(cny(500), quantity=3), PriceRule(cny(1_500), quantity=10))
    prices = PriceList(1, "CNY", rules)
    found = {n: find_price(prices, machine="m", zone="z", local=NOON, quantity=n) for n in (1, 2, 3, 4, 9, 10, 12)}
    assert {n: price.price[0].minor for n, price in found.items()} == {
        1: 200, 2: 400, 3: 500, 4: 666, 9: 1_500, 10: 1_500, 12: 1_800,
    }  # fmt: skip
    assert [found[n].credits for n in (1, 2, 3)] == [2, 4, 3]
    assert found[12].quantity == 12
    assert found[12].reasons == (
        "rule 3: quantity 10",
        "before rule 2 (quantity 3): it is for more pieces",
        "before rule 1 (venue): it is for more pieces",
    )


@pytest.mark.parametrize("quantity", [0, 10_001])
def test_a_quantity_nobody_buys_is_a_bug_of_the_caller(quantity):
    with pytest.raises(AssertionError):
        find_price(LIST, machine="m", zone="z", local=None, quantity=quantity)


def test_a_currency_without_minor_units_and_cash_in_notes():
    rule = PriceRule((Money(20_300, "bonus"), Money(20_300, "VND")))
    for how, cash in (("down", 20_000), ("nearest", 20_500), ("up", 20_500)):
        prices = PriceList(1, "VND", (rule,), cash=Rounding(500, how))
        found = find_price(prices, machine="m", zone="z", local=None)
        assert (found.shown, found.in_unit("VND"), found.cash) == (Money(20_300, "VND"), 20_300, Money(cash, "VND"))
    exact = find_price(PriceList(1, "VND", (rule,)), machine="m", zone="z", local=None)
    assert exact.cash == Money(20_300, "VND")


def test_what_money_cannot_buy_has_no_price_in_cash_and_no_tax():
    rule = PriceRule((Money(20, "ticket"),), tax_code="vat")
    found = find_price(PriceList(1, "CNY", (rule,), taxes={"vat": Tax(6_000)}), machine="m", zone="z", local=None)
    assert (found.cash, found.tax) == (None, None)


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_cash_is_a_multiple_of_the_step_and_less_than_a_step_away(minor, step):
    down, nearest, up = (Rounding(step, how).applied(minor) for how in ("down", "nearest", "up"))
    assert down % step == nearest % step == up % step == 0
    assert minor - step < down <= minor <= up < minor + step
    assert 2 * abs(nearest - minor) <= step
    assert nearest == down or 2 * (minor - down) > step


def test_a_machine_that_asks_gets_what_it_asks_up_to_its_most():
    rules = (PriceRule((Money(500, "CNY"),), asks=True, tax_code="vat6"),)
    price = find_price(PriceList(1, "CNY", rules), machine="snacks", zone="hall", local=None)
    assert (price.asks, price.shown, price.cash) == (True, Money(500, "CNY"), None)
    asked = asked_price(price, 350)
    assert (asked.shown, asked.tax_code, asked.credits, asked.rule) == (Money(350, "CNY"), "vat6", 1, 1)
    assert asked.reasons[-1] == "the machine asked 350 CNY, it may ask 500"
    assert asked_price(price, 501).shown == Money(500, "CNY")
    fixed = msgspec.structs.replace(price, asks=False)
    assert asked_price(fixed, 350) is fixed


def test_half_a_step_goes_down():
    assert Rounding(100, "nearest").applied(250) == 200
    assert Rounding(100, "nearest").applied(251) == 300


def test_the_tax_a_price_includes():
    prices = PriceList(
        1,
        "CNY",
        (PriceRule((Money(200, "bonus"), Money(200, "CNY")), tax_code="vat"),),
        taxes={"vat": Tax(6_000, "VAT")},
    )
    found = find_price(prices, machine="m", zone="z", local=None, quantity=3)
    assert (found.tax_code, found.tax) == ("vat", 34)  # 600 × 6/106 = 33.96


@pytest.mark.parametrize(
    ("gross", "rate", "tax"),
    [
        (106, 6_000, 6),
        (200, 6_000, 11),
        (0, 6_000, 0),
        (100, 0, 0),
        (100, 100_000, 50),
        (3, 100_000, 2),
        (1_000, 8_875, 82),
    ],
)
def test_tax_is_whole_minor_units_half_up(gross, rate, tax):
    assert tax_in(gross, rate) == tax


@given(st.integers(0, 2**53 - 1), st.integers(0, 100_000))
def test_tax_is_the_nearest_whole_unit(gross, rate):
    assert abs(2 * tax_in(gross, rate) * (100_000 + rate) - 2 * gross * rate) <= 100_000 + rate


def test_the_reasons_name_the_rules_that_lost_and_why():
    found = find_price(LIST, machine="racer-2", zone="hall", local=LocalTime(5, 22 * 60))
    assert found.reasons == (
        "rule 6: machine racer-2, band late",
        "before rule 5 (machine racer-2): it names a band",
        "before rule 3 (zone hall): it names the machine",
        "before rule 1 (venue): it names the machine",
    )
    blind = find_price(LIST, machine="x", zone="hall", local=None)
    assert blind.reasons[1] == "the time is not known: of all bands only no_clock_band counts"


def test_very_many_rules_that_lost_are_counted():
    prices = PriceList(1, "CNY", tuple(PriceRule(cny(n)) for n in range(20)))
    assert find_price(prices, machine="m", zone="z", local=NOON).reasons[-1] == "and before 11 more"


# ---------------------------------------------------------------------------------------------------- any list at all
NAMES = st.sampled_from(["", "", "a", "b"])
RULES = st.builds(
    PriceRule,
    st.integers(0, 999).map(cny),
    machine=NAMES,
    zone=NAMES,
    item=NAMES,
    machine_group=st.sampled_from(["", "", "g", "h"]),
    venue=NAMES,
    tier=NAMES,
    group=NAMES,
    band=st.sampled_from(["", "", "late", "happy", "none"]),
    days=st.sampled_from([(), (), ("holiday",), ("workday", "weekend")]),
    valid_from=st.sampled_from([None, None, date(2026, 9, 1), date(2026, 10, 1)]),
    valid_to=st.sampled_from([None, None, date(2026, 10, 1), date(2026, 11, 1)]),
    quantity=st.sampled_from([1, 1, 3, 10]),
)
TIMES = st.sampled_from(
    [None, LocalTime(4, 900, 20261001), LocalTime(5, 1, 20261002), LocalTime(5, 1_380, 20260831), LocalTime(6, 900)]
)
QUESTIONS = st.fixed_dictionaries(
    {
        "machine": NAMES, "zone": NAMES, "item": NAMES, "venue": NAMES, "tier": NAMES, "group": NAMES,
        "quantity": st.sampled_from([1, 3, 12]), "local": TIMES, "calendar": st.sampled_from([None, HOLIDAYS]),
    }
)  # fmt: skip
GROUPS = {"g": ("a",), "h": ("a", "b")}


def a_list(rules):
    return PriceList(1, "CNY", tuple(rules), bands=(LATE, HAPPY), no_clock_band="late", machine_groups=GROUPS)


def counts(rule, question):
    """Say in the plainest words whether a rule counts; slow, and not how the product does it."""
    local = question["local"]
    bands = {"late"} if local is None else {band.name for band in (LATE, HAPPY) if in_band(band, local)}
    kind = day_kind(question["calendar"] or Calendar(0), local)
    dated = rule.valid_from is not None or rule.valid_to is not None
    today = date.fromisoformat(str(local.date)) if local and local.date else None
    return (
        all(
            getattr(rule, name) in ("", question[name])
            for name in ("machine", "zone", "item", "venue", "tier", "group")
        )
        and (not rule.machine_group or question["machine"] in GROUPS[rule.machine_group])
        and (not rule.band or rule.band in bands)
        and (not rule.days or kind in rule.days)
        and (not dated or (today is not None and (rule.valid_from or today) <= today <= (rule.valid_to or today)))
        and rule.quantity <= question["quantity"]
    )


def plain_answer(rules, question):
    """Return the rule that must win."""
    best = None
    for rule in rules:
        if counts(rule, question) and (best is None or rank_of(rule) > rank_of(best)):
            best = rule
    return best


@given(st.lists(RULES, max_size=30), st.lists(QUESTIONS, min_size=1, max_size=8))
def test_the_index_answers_as_a_plain_reading_of_the_whole_list_does(rules, questions):
    prices = a_list(rules)
    for question in questions:
        found, wanted = find_price(prices, **question), plain_answer(rules, question)
        assert (found is None) == (wanted is None)
        if found is not None:
            assert rules[found.rule - 1] is wanted
            assert found.price == cny(wanted.price[0].minor * question["quantity"] // wanted.quantity)


@given(st.lists(RULES, max_size=20), st.lists(QUESTIONS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_an_answer_does_not_depend_on_what_was_asked_before(rules, questions, dice):
    prices = a_list(rules)
    first = [find_price(prices, **question) for question in questions]
    order = list(range(len(questions))) * 2
    dice.shuffle(order)
    assert all(find_price(prices, **questions[n]) == first[n] for n in order)
    assert [find_price(a_list(rules), **question) for question in questions] == first
    read_again = msgspec.json.decode(msgspec.json.encode(prices), type=PriceList)
    assert read_again == prices
    assert [find_price(read_again, **question) for question in questions] == first


@given(st.lists(RULES, max_size=20), QUESTIONS, st.randoms(use_true_random=False))
def test_rules_that_do_not_count_change_nothing_wherever_they_stand(rules, question, dice):
    found = find_price(a_list(rules), **question)
    counting = [rule for rule in rules if counts(rule, question)]
    others = [rule for rule in rules if not counts(rule, question)]
    mixed = list(counting)
    for rule in others:
        mixed.insert(dice.randint(0, len(mixed)), rule)
    for changed in (mixed, counting):
        again = find_price(a_list(changed), **question)
        assert (again and (again.price, again.why)) == (found and (found.price, found.why))


def test_answers_are_bounded_and_kept_while_time_means_the_same(monkeypatch):
    monkeypatch.setattr("payment_core.price_index.ANSWERS_KEPT", 8)
    prices = a_list([PriceRule(cny(5), zone="hall"), PriceRule(cny(4), valid_to=date(2026, 10, 1))])
    dice = random.Random(3)
    for _ in range(100):
        found = find_price(prices, machine=str(dice.randrange(40)), zone="hall", local=NOON)
        assert found.price == cny(5)
        assert len(prices.index.answers(NOON, NO_CALENDAR)) <= 8
        assert len(prices.index._places) <= 8
    kept = prices.index.answers(NOON, NO_CALENDAR)
    assert kept
    assert prices.index.answers(LocalTime(3, 721), NO_CALENDAR) is kept
    changes = [HAPPY_HOUR, LocalTime(6, 900), LocalTime(6, 900, 20261001), LocalTime(6, 900, 20261002), None]
    for local in changes:
        assert prices.index.answers(local, NO_CALENDAR) == {}
        find_price(prices, machine="m", zone="hall", local=local)
        assert len(prices.index.answers(local, NO_CALENDAR)) == 1
