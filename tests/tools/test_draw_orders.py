"""docs/payments.md shows the payment order's table as it is, and names files that exist."""

import re

from payment_core.orders import TABLE
from tests.support.tree import ROOT
from tools.draw_orders import PAGE, diagram, mend


def test_the_page_shows_the_table_of_today():
    page = PAGE.read_text(encoding="utf-8")
    assert diagram() in page, "run: python tools/draw_orders.py"
    assert mend(page) == page


def test_every_row_is_drawn():
    drawn = diagram()
    for (state, step), after in TABLE.items():
        (line,) = re.findall(rf"^    {state.value} --> {after.value}: (.*)$", drawn, re.MULTILINE)
        assert step.value in line.split(", ")


def test_the_page_names_files_that_are_there():
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_.*]*)", page))
    missing = [name for name in named if not list(ROOT.glob(name.rstrip("/")))]
    assert missing == []
