"""Script lines: words, places, times."""

import pytest

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.script import ScriptLine, milliseconds, script_lines, whole_number


@pytest.mark.parametrize(("word", "ms"), [("300ms", 300), ("2s", 2000), ("0", 0), ("45", 45), ("3600s", 3_600_000)])
def test_times(word, ms):
    assert milliseconds(word) == ms


@pytest.mark.parametrize("word", ["", "ms", "-1", "1.5s", "3m", "3601s", "٣ms"])
def test_what_is_not_a_time_is_named(word):
    with pytest.raises(ScriptError, match="is not a time: write 300ms or 2s"):
        milliseconds(word)


@pytest.mark.parametrize("word", ["0", "17", "x", "-3", "1e1", "9999999999999"])
def test_what_is_not_a_number_in_bounds_is_named(word):
    assert whole_number("16", lowest=1, highest=16) == 16
    with pytest.raises(ScriptError, match=f"'{word}' is not a whole number from 1 to 16"):
        whole_number(word, lowest=1, highest=16)


def test_comments_and_empty_lines_are_left_out_and_places_kept():
    assert script_lines("# evening\n\ncoin  5 # a guest\npause 2s\n", source="evening.script") == [
        ScriptLine(("coin", "5"), "evening.script:3"),
        ScriptLine(("pause", "2s"), "evening.script:4"),
    ]
