"""Both languages say everything, with the same placeholders."""

from string import Formatter
from typing import get_args

import pytest

from back_office.console.interface import DEMO_ACTIONS, MoneyKind, Severity, TapResult
from back_office.console.wording import LANGUAGES, Words, load
from payment_core.accounts import Kind
from payment_core.decision import DECLINE_REASONS
from payment_core.money import Money


def placeholders(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_languages_have_the_same_keys():
    assert set(load("zh-Hans")) == set(load("en"))


def test_the_languages_have_the_same_placeholders():
    chinese, english = load("zh-Hans"), load("en")
    assert [key for key in english if placeholders(chinese[key]) != placeholders(english[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("result", get_args(TapResult)),
        ("summary", get_args(MoneyKind)),
        ("severity", get_args(Severity)),
        ("demo", DEMO_ACTIONS),
        ("reason", DECLINE_REASONS),
        ("account", [str(kind) for kind in Kind]),
    ],
)
def test_every_name_the_books_use_has_a_word(language, group, names):
    texts = load(language)
    assert [name for name in names if f"{group}.{name}" not in texts] == []


def test_a_name_keeps_what_the_venue_called_it_and_a_new_one_is_shown_as_it_is():
    words = Words("en")
    assert words.named("account", "revenue:racer-2") == "Revenue racer-2"
    assert words.named("account", "moon_base") == "moon_base"


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(0, "now"), (1_000, "1 s"), (59_999, "59 s"), (60_000, "1 min"), (7_200_000, "2 h"), (2**37, "1590 d")],
)
def test_an_age_is_told_in_its_largest_whole_step(age_ms, expected):
    assert Words("en").age(age_ms) == expected


def test_a_time_that_has_lasted_less_than_a_second_is_a_moment():
    told = [Words("en").lasting("hubs.outbox_silent", age_ms) for age_ms in (-5, 999, 1_000)]
    assert told == ["not known, silent for a moment", "not known, silent for a moment", "not known, silent for 1 s"]


def test_sums_and_clock():
    words = Words("zh-Hans")
    assert words.amount(Money(-1_204_400, "CNY")) == "-¥12,044.00"
    assert words.amount(Money(12_400, "bonus")) == "12,400 赠币"
    assert words.clock(1_795_312_800_000, "Asia/Shanghai") == "10:00:00"


@pytest.mark.parametrize("at_ms", [2**53 - 1, -(2**53) + 1, 253_402_300_799_999, 2**63])
def test_a_time_that_no_calendar_has_is_a_dash(at_ms):
    assert Words("en").clock(at_ms, "Asia/Shanghai") == "–"
