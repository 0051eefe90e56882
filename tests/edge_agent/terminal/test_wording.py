"""All languages say everything, with the same placeholders."""

from string import Formatter
from typing import get_args

import pytest

from cloud_sync.protocol.slips import SlipRefusal
from edge_agent.takings.codes import Foreign
from edge_agent.takings.slips import UNREADABLE
from edge_agent.tap.verifying import Shown
from edge_agent.terminal.wording import LANGUAGES, UnknownLanguageError, Words, load, next_language, spoken_first
from payment_core.bus import DeviceState, View
from payment_core.decision import DECLINE_REASONS


def placeholders(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


REASONS = (*DECLINE_REASONS, *get_args(SlipRefusal), UNREADABLE, *get_args(Foreign), *get_args(Shown), "other")
"""What a view may name: a tap's refusals, a slip's and those of other codes, and what a module waits for."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_languages_have_the_same_keys_and_placeholders(language):
    other, english = load(language), load("en")
    assert set(other) == set(english)
    assert [key for key in english if placeholders(other[key]) != placeholders(english[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_vending_machine_says_otherwise_stands_in_the_place_of_something(language):
    texts = load(language)
    own = {key.removeprefix("vend."): key for key in texts if key.startswith("vend.")}
    del own["item"]
    assert {key for key in own if key not in texts} == set()
    assert [key for key in own if placeholders(texts[own[key]]) != placeholders(texts[key])] == []
    assert [key for key in own if texts[own[key]] == texts[key]] == []


def test_the_switch_goes_through_all_languages_and_names_the_next():
    names = {language: load(language)["name.own"] for language in LANGUAGES}
    assert [load(language)["name.other"] for language in LANGUAGES] == [
        names[next_language(language)] for language in LANGUAGES
    ]


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("zh-TW,zh;q=0.9", "zh-Hant"), ("zh-Hant-HK", "zh-Hant"), ("zh-MO;q=0.8, en", "zh-Hant"), ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"), ("zh-Hans-HK", "zh-Hans"), ("en-GB", "en"), ("th, en;q=0.1", "en"), ("", "zh-Hans"),
    ],
)  # fmt: skip
def test_a_browser_gets_the_language_it_speaks(wish, language):
    assert spoken_first(wish) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_a_word_and_tells_what_to_do(language):
    texts = load(language)
    for reason in REASONS:
        assert texts[f"reason.{reason}.word"]
        assert len(texts[f"reason.{reason}.advice"]) > len(texts[f"reason.{reason}.word"]) / 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reason_is_left_over(language):
    named = {key.split(".")[1] for key in load(language) if key.startswith("reason.")}
    assert named == set(REASONS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_of_view_and_device_has_a_word(language):
    texts = load(language)
    states = set(get_args(View.__annotations__["state"])) - {"idle"}
    assert [state for state in states if f"state.{state}" not in texts] == []
    device_states = get_args(DeviceState.__annotations__["state"])
    assert [state for state in device_states if f"device.{state}" not in texts] == []


def test_a_reason_newer_than_the_page_gets_the_general_sentence():
    assert Words("en").reason("moon_phase", "word") == "Not possible right now"


@pytest.mark.parametrize(
    ("language", "minor", "unit", "expected"),
    [
        ("en", 200, "CNY", "¥2.00"),
        ("zh-Hans", 123_450, "CNY", "¥1,234.50"),
        ("en", 12, "play:racing", "12 plays"),
        ("zh-Hans", 12, "play:racing", "12 次"),
        ("zh-Hans", 1_200, "point", "1,200 积分"),
        ("en", 5, "shell", "5 shell"),
    ],
)
def test_sums_are_written_as_the_language_does(language, minor, unit, expected):
    assert Words(language).amount(minor, unit) == expected


def test_a_language_without_texts_is_refused_by_name():
    with pytest.raises(UnknownLanguageError, match="language 'th': this page speaks zh-Hans, zh-Hant, en"):
        load("th")
