"""Which pages of the catalog are asked on a port."""

from device_profiles.loading import load_catalog
from firmware_bridge.probing import pages_for

CATALOG = load_catalog()


def pn532_pages(usb: str) -> list[str]:
    return [page.name for page in pages_for(usb, list(CATALOG.values())) if page.probe == "pn532"]


def test_a_page_with_usb_ids_is_asked_on_such_a_port_only_and_there_alone() -> None:
    assert pn532_pages("") == ["pn532-uart"]
    assert pn532_pages("0403:6001") == ["pn532-uart"]
    assert pn532_pages("1a86:7523") == ["pn532-usb-serial"]
    assert pn532_pages("10c4:ea60") == ["pn532-usb-serial"]


def test_pages_of_other_protocols_are_asked_on_every_port() -> None:
    others = {page.name for page in CATALOG.values() if not page.usb and page.probe not in {"", "pn532"}}
    assert others <= {page.name for page in pages_for("1a86:7523", list(CATALOG.values()))}
