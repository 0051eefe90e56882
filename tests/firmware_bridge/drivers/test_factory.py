import asyncio

import gpiozero
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory

from device_profiles.loading import load_catalog
from device_profiles.matching import Device, fitted_profile
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import DRIVERS, open_driver
from firmware_bridge.drivers.interface import Condition, ValueFact
from payment_core.events import CoinInserted
from tests.support.driving import driving

CATALOG = load_catalog()


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_page_of_the_catalog_has_its_driver(name):
    assert CATALOG[name].driver in DRIVERS


def test_a_driver_this_release_does_not_have_is_named():
    profile = msgspec.structs.replace(CATALOG["arcade-coin-line"], driver="teleport")
    with pytest.raises(DriverError, match="asks for driver 'teleport'"):
        asyncio.run(open_driver(Device(id="a", profile="p", socket="/s"), profile, last_counter=None))


def test_a_reader_is_made_without_opening_anything():
    device = Device(id="a", profile="pn532-uart", port="/dev/null")
    assert asyncio.run(open_driver(device, CATALOG["pn532-uart"], last_counter=None))


ON_LINES = sorted(name for name, page in CATALOG.items() if page.transport.lines is not None)


@pytest.fixture
def pins(monkeypatch):
    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.close()


@pytest.mark.parametrize("all_of_them", [True, False])
@pytest.mark.parametrize("name", ON_LINES)
def test_every_device_on_lines_is_driven_on_pins_also_without_what_may_be_left_out(pins, name, all_of_them):
    page = CATALOG[name]
    lines = page.transport.lines
    roles = [role for role in (*lines.outputs, *lines.inputs) if all_of_them or role not in lines.optional]
    device = Device(id="a", profile=name, pins={role: number for number, role in enumerate(roles, 4)})

    async def story() -> None:
        driver = await open_driver(device, fitted_profile(page, device, file="f"), last_counter=None)
        async with driving(driver) as running:
            said = await running.until(lambda said: isinstance(said, Condition))
            assert (said.state, said.reason) in {("online", ""), ("fault", "machine_not_ready"), ("fault", "door_open")}
        assert not lines.outputs or pins.pin(4).state is idle_level(page, roles[0])

    asyncio.run(asyncio.wait_for(story(), 10))


def idle_level(page, output: str) -> bool:
    """Return the level of an output while nobody drives it: high where it is active low."""
    if page.io is not None:
        return page.io.outputs[output].active_level == "low"
    if page.tickets is not None:
        return page.tickets.run_level == "low"
    return True


def test_a_coin_on_a_pin_is_told(pins):
    device = Device(id="a", profile="pulse-coin-mech", pins={"coin": 4, "accept": 5})

    async def story() -> None:
        async with driving(await open_driver(device, CATALOG[device.profile], last_counter=None)) as running:
            await running.condition("online")
            assert pins.pin(5).state is False
            pins.pin(4).drive_low()
            await asyncio.sleep(0.06)
            pins.pin(4).drive_high()
            assert (await running.until(lambda said: isinstance(said, ValueFact))).body == CoinInserted(1, 0)

    asyncio.run(asyncio.wait_for(story(), 10))
