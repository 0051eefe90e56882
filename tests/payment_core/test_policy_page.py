"""docs/limits.md names every key of the document `risk`, and no other."""

import re

from payment_core.policy import RiskDocument
from tests.support.tree import ROOT


def test_the_page_names_every_key():
    text = (ROOT / "docs/limits.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert sorted([*named, "version"]) == sorted(RiskDocument.__struct_fields__)
