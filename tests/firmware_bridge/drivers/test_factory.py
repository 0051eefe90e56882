import asyncio

import msgspec
import pytest

from device_profiles.loading import load_catalog
from device_profiles.matching import Device
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import DRIVERS, open_driver

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
