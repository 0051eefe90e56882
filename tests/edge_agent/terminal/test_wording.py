"""Both languages say everything, with the same placeholders."""

from string import Formatter
from typing import get_args

import pytest

from edge_agent.terminal.wording import LANGUAGES, UnknownLanguageError, Words, load
from payment_core.bus import DeviceState, View
from payment_core.decision import DECLINE_REASONS


def placeholders(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_languages_have_the_same_keys():
    assert set(load("zh-Hans")) == set(load("en"))


def test_the_languages_have_the_same_placeholders():
    chinese, english = load("zh-Hans"), load("en")
    assert [key for key in english if placeholders(chinese[key]) != placeholders(english[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_a_word_and_tells_what_to_do(language):
    texts = load(language)
    for reason in (*DECLINE_REASONS, "other"):
        assert texts[f"reason.{reason}.word"]
        assert len(texts[f"reason.{reason}.advice"]) > len(texts[f"reason.{reason}.word"]) / 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reason_is_left_over(language):
    named = {key.split(".")[1] for key in load(language) if key.startswith("reason.")}
    assert named == {*DECLINE_REASONS, "other"}


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
    with pytest.raises(UnknownLanguageError, match="language 'th': this page speaks zh-Hans, en"):
        load("th")
