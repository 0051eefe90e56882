"""docs/authorization.md says what the code does: checks, reasons and the places of packed facts."""

import re

from payment_core.checks import CHECKS, DECLINE_REASONS
from payment_core.facts import Packed
from tests.support.tree import ROOT

PAGE = (ROOT / "docs/authorization.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|", PAGE, re.MULTILINE)


def test_the_checks_stand_in_their_order():
    assert [(int(number), name) for number, name, _reasons in ROWS] == [
        (number, name) for number, (name, _check) in enumerate(CHECKS, 1)
    ]


def test_every_reason_is_told_once_and_in_order():
    assert tuple(re.findall(r"`(\w+)`", " ".join(reasons for _number, _name, reasons in ROWS))) == DECLINE_REASONS


def test_the_places_of_packed_facts_are_told_in_order():
    places = re.search(r"version 1 \(`payment_core/facts.py`\):\n\n(.*?)\n\n", PAGE, re.DOTALL)[1]
    assert tuple(re.findall(r"`(\w+)`", places)) == Packed.__struct_fields__
