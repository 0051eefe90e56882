"""Every till roll comes out as it is written, and a roll that lies is caught."""

from pathlib import Path

import pytest

from tests.support.till_roll import RollError, run_roll

pytestmark = pytest.mark.long
ROLLS = sorted(Path(__file__).parent.glob("*.roll"))


@pytest.mark.parametrize("path", ROLLS, ids=lambda path: path.stem)
def test_the_story_comes_out_as_written(path, tmp_path):
    run_roll(path, tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tap card-7 racer-1 -> captured a1", "lie.roll:2: .*came out as 'held a1', not 'captured a1'"),
        ("balance card-7 9.99", "lie.roll:2: card-7 is 10.00, not 9.99"),
        ("dance", "lie.roll:2: no verb 'dance'"),
        ("card card-7 singing", "lie.roll:2: a card is blocked or proves-itself, not singing"),
    ],
)
def test_a_roll_that_lies_is_caught(tmp_path, line, words):
    path = tmp_path / "lie.roll"
    path.write_text(f"lease 10.00 CNY for card-7\n{line}\n", encoding="utf-8")
    with pytest.raises(RollError, match=words):
        run_roll(path, tmp_path)


def test_there_are_stories():
    assert len(ROLLS) >= 40
