"""The driver of what types, over real descriptors of input events: a pipe, and a simulator's pseudo-terminal."""

import asyncio
import contextlib
import os

import pytest

from device_profiles.loading import load_catalog
from device_profiles.matching import Device
from firmware_bridge.drivers import hid_keys
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.hid_keys import HidKeys
from firmware_bridge.simulators.hid_keys import HidKeysSimulator
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.usb_hid import InputEvents
from firmware_bridge.wire.hid_keys import typed
from payment_core.commands import Identify
from payment_core.events import CodeScanned, CredentialPresented
from tests.support.driving import driving
from tests.support.on_a_pty import on_a_pty


@contextlib.asynccontextmanager
async def keyboard(*, cards=False, same_ms=1_000):
    """Give a running driver on one end of a pipe, and the other end."""
    here, there = os.pipe()
    driver = HidKeys(InputEvents(here, "recording", lambda: os.close(here)), cards=cards, same_ms=same_ms)
    try:
        async with driving(driver) as running:
            await running.condition("online")
            yield running, there
    finally:
        with contextlib.suppress(OSError):
            os.close(there)


def test_a_scanners_lines_are_codes_each_told_once():
    async def story():
        async with keyboard() as (running, there):
            for text in ("VH1:0 A", "VH1:0 A", "4710000000000"):
                os.write(there, typed(text))
            assert await running.wish() == CodeScanned("VH1:0 A")
            assert await running.wish() == CodeScanned("4710000000000")
            assert (await running.ask(Identify())).reason == "not_supported"

    asyncio.run(story())


def test_a_card_readers_lines_are_cards_of_low_trust_and_all_else_is_noise(monkeypatch):
    monkeypatch.setattr(hid_keys, "NOISE_EVERY_S", 0.02)

    async def story():
        async with keyboard(cards=True, same_ms=1) as (running, there):
            os.write(there, typed("VH1:0") + typed("12", gap_ms=90) + typed("04A1B2C3"))
            assert await running.wish() == CredentialPresented("hid", "04A1B2C3", "C")
            noisy = await running.until(lambda item: getattr(item, "noise", 0) > 0)
            assert noisy.state == "online"

    asyncio.run(story())


def test_single_bytes_and_an_unplugged_device():
    async def story():
        async with keyboard() as (running, there):
            for byte in typed("A1"):
                os.write(there, bytes([byte]))
                await asyncio.sleep(0)
            assert await running.wish() == CodeScanned("A1")
            os.write(there, typed("B")[:50])
            os.close(there)
            with pytest.raises(TransportClosedError):
                await running.task

    asyncio.run(story())


def test_from_its_profile_over_a_simulators_terminal(tmp_path):
    async def story(link):
        device = Device(id="cards", profile="hid-card-reader", port=str(link))
        profile = load_catalog()["hid-card-reader"]
        async with driving(await open_driver(device, profile, last_counter=None)) as running:
            await running.condition("online")
            keys.say("person 04A1B2C3", "scan 0004123456")
            assert await running.wish() == CredentialPresented("hid", "003EEB40", "C")

    with on_a_pty(HidKeysSimulator(), tmp_path / "keys") as keys:
        asyncio.run(story(keys.link))
