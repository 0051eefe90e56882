"""docs/devices.md is what the catalog and the pages of docs/wire are."""

import functools
import re

import msgspec
import pytest

from device_profiles.loading import load_catalog
from tests.support.tree import ROOT
from tools import make_devices

CATALOG = load_catalog()
made_page = functools.cache(make_devices.make_page)


def test_the_page_is_as_the_catalog_is():
    assert make_devices.FILE.read_text(encoding="utf-8") == made_page(), "run python tools/make_devices.py"


def test_every_link_between_pages_leads_to_a_file():
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "systemd" / "README.md"]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:\s]+)[#)]", page.read_text("utf-8"))]
    assert len(links) > len(pages)
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_device_has_a_page_of_its_bytes_and_a_chapter_with_what_it_was_tried_with(name):
    page = made_page()
    found = make_devices.page_of(CATALOG[name])
    assert found is not None, f"write a page in docs/wire that names {CATALOG[name].driver}.py"
    _, _, chapter = page.partition(f"### {name}\n")
    chapter = chapter.partition("\n##")[0]
    assert f"venuehub device emulate {name} " in chapter
    assert "| tried with | own simulator; software: " in chapter
    assert CATALOG[name].source.replace("|", "\\|") in chapter


def test_software_that_a_device_was_tried_with_is_in_the_test_set_or_says_how():
    """`NAME VERSION` alone is what the tests run, in the very version; anything else says behind it what it is."""
    text = (ROOT / "requirements" / "test.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+==[0-9.]+)", text, re.MULTILINE))
    running = {}
    for name, page in CATALOG.items():
        plain = [text for text in page.tried.software if not re.search(r"\(|: ", text)]
        assert {text.replace(" ", "==").lower() for text in plain} <= pinned, name
        running[name] = len(plain)
    assert running["pn532-uart"] >= 2
    assert all(running[name] >= 1 for name in ("r503", "r307", "as608"))


def test_a_driver_without_a_page_has_none():
    assert make_devices.page_of(msgspec.structs.replace(CATALOG["pn532-uart"], driver="teleport")) is None


def test_the_lines_of_a_device_are_a_table_of_pins():
    page = made_page()
    assert "| `pins.coin` | out of the Pi |  |" in page
    assert "| `pins.ready` | into the Pi | may be left out |" in page
