"""Which pages of the catalog are asked on a port."""

import asyncio

from device_profiles.loading import load_catalog
from firmware_bridge.probing import Answered, pages_for, probe_gm65
from firmware_bridge.simulators.gm65 import Gm65Simulator
from firmware_bridge.transports.memory import memory_pipes

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


def test_a_scanner_is_known_by_its_settings_byte() -> None:
    async def story() -> Answered | None:
        host, device = memory_pipes()
        simulator = Gm65Simulator()
        asking = asyncio.create_task(probe_gm65(host, CATALOG["gm65-serial"]))
        await device.write(b"\xff" + simulator.feed(await device.read(), now_ms=0))
        return await asking

    assert asyncio.run(story()) == Answered("gm65", "settings D4")
