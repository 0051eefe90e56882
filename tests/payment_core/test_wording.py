"""One is one: a count and its noun."""

import pytest

from payment_core.wording import counted


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [(1, ("line",), "1 line"), (2, ("line",), "2 lines"), (0, ("entry", "entries"), "0 entries"),
     (1, ("entry", "entries"), "1 entry")],
)  # fmt: skip
def test_a_count_is_said_with_its_noun(count, words, said):
    assert counted(count, *words) == said
