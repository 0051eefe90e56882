import asyncio
import contextlib

import gpiozero
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory

from device_profiles.loading import load_catalog
from device_profiles.matching import Device, fitted_profile
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import DRIVERS, open_driver
from firmware_bridge.drivers.interface import Condition, ValueFact
from firmware_bridge.transports.interface import TransportError
from payment_core.commands import Dispense
from payment_core.events import CoinInserted
from tests.support.driving import driving, happens

CATALOG = load_catalog()
COINS = 9


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


ON_A_UART = sorted(name for name, page in CATALOG.items() if page.transport.serial and page.driver != "nfc_reader")
"""nfcpy opens its port by itself."""


@pytest.mark.parametrize("name", ON_A_UART)
def test_what_a_page_says_of_its_line_is_how_the_port_is_opened(name, monkeypatch):
    opened = []

    def serial(_path, baud, *, stopbits, **_others):
        opened.append((baud, stopbits))
        raise OSError

    monkeypatch.setattr("firmware_bridge.transports.serial_port.serial.Serial", serial)
    page = CATALOG[name]
    line = msgspec.structs.replace(page.transport.serial, baud=4_800, stop_bits=2)
    page = msgspec.structs.replace(page, transport=msgspec.structs.replace(page.transport, serial=line))
    with pytest.raises(TransportError):
        asyncio.run(open_driver(Device(id="a", profile=name, port="/dev/none"), page, last_counter=None))
    assert opened == [(4_800, 2)]


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
    device = Device(id="a", profile=name, pins={role: number for number, role in enumerate(roles, 9)})

    async def story() -> None:
        driver = await open_driver(device, fitted_profile(page, device, file="f"), last_counter=None)
        async with driving(driver) as running:
            said = await running.until(lambda said: isinstance(said, Condition))
            assert (said.state, said.reason) in {("online", ""), ("fault", "machine_not_ready"), ("fault", "door_open")}
        assert not any(pins.pin(device.pins[role]).state for role in lines.outputs if role in device.pins)

    asyncio.run(asyncio.wait_for(story(), 20))


def machine_level(page, _device, role):
    """The mutant: the level that the machine wants, on the pin."""
    assert page.tickets is not None
    return {"run": page.tickets.run_level, "notch": page.tickets.notch_level}[role]


@pytest.mark.parametrize(
    ("inverted", "pin", "mutant", "levels"),
    [
        ((), 9, None, [False, True, False]),
        (("run",), 8, None, [True, False, True]),
        ((), 9, machine_level, [True, False, True]),
    ],
    ids=["as it is wired", "inverted", "mutant"],
)
def test_a_hopper_that_runs_while_low_has_its_transistor_off_until_coins_are_wanted(
    pins, monkeypatch, inverted, pin, mutant, levels
):
    """`levels` of the pin: idle, while it runs, at the end. The mutant's hopper would empty itself while idle."""
    if mutant is not None:
        monkeypatch.setattr("firmware_bridge.drivers.factory.pin_level", mutant)
    page = CATALOG["parallel-hopper"]
    assert page.tickets is not None
    page = msgspec.structs.replace(page, tickets=msgspec.structs.replace(page.tickets, jam_ms=100))
    device = Device(id="a", profile=page.name, pins={"run": pin, "notch": 17}, inverted=inverted)

    async def story() -> None:
        driver = await open_driver(device, fitted_profile(page, device, file="f"), last_counter=None)
        async with driving(driver) as running:
            await running.condition("online")
            seen = [pins.pin(pin).state]
            running.send(Dispense(1))
            await happens(lambda: pins.pin(pin).state is not seen[0])
            seen.append(pins.pin(pin).state)
            await running.answer()
            assert [*seen, pins.pin(pin).state] == levels

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_coin_on_a_pin_is_told(pins):
    device = Device(id="a", profile="pulse-coin-mech", pins={"coin": 4, "accept": 9})

    async def story() -> None:
        async with driving(await open_driver(device, CATALOG[device.profile], last_counter=None)) as running:
            await running.condition("online")
            assert pins.pin(9).state is True
            told = None
            for _ in range(COINS):  # a busy machine may hold the pin too long for a coin
                pins.pin(4).drive_low()
                await asyncio.sleep(0.06)
                pins.pin(4).drive_high()
                with contextlib.suppress(TimeoutError):
                    told = await asyncio.wait_for(running.until(lambda said: isinstance(said, ValueFact)), 1)
                    break
            assert told is not None
            assert told.body == CoinInserted(1, 0)

    asyncio.run(asyncio.wait_for(story(), 20))
