"""The simulators by name, and the profiles that name them."""

from pathlib import Path

import msgspec
import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.probing import PROBES
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.kinds import SIMULATORS, Options, Serial, make_simulator, verbs_help

CATALOG = load_catalog()
LINK = Path("port")


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_page_of_the_catalog_has_its_simulator_and_probe(name):
    page = CATALOG[name]
    stand = SIMULATORS[page.simulator]
    assert isinstance(stand, Serial) == (page.transport.lines is None)
    assert page.probe in {"", *PROBES}
    if isinstance(stand, Serial):
        assert make_simulator(page, Options(link=LINK)).status()


def test_every_simulator_is_somebodys_and_its_lines_are_in_the_help():
    assert set(SIMULATORS) == {page.simulator for page in CATALOG.values()}
    text = "\n".join(verbs_help())
    for name, stand in SIMULATORS.items():
        assert f"Lines of {name}:" in text
        assert all(usage in text for usage in stand.verbs)


def test_options_that_a_device_has_no_use_for_are_named():
    for profile, options in (
        ("pn532-uart", Options(link=LINK, crc=True)),
        ("pn532-uart", Options(link=LINK, echo=True)),
        ("cctalk-coin-acceptor", Options(link=LINK, card="ntag213:04A1B2C3D4E580")),
    ):
        with pytest.raises(ScriptError, match="has no use for it"):
            make_simulator(CATALOG[profile], options)


def test_a_simulator_is_what_its_profile_says():
    page = CATALOG["cctalk-coin-acceptor"]
    other = msgspec.structs.replace(page, acceptor=msgspec.structs.replace(page.acceptor, address=7))
    answer_to_7 = bytes.fromhex("07 00 01 FE FA")
    assert make_simulator(other, Options(link=LINK)).feed(answer_to_7, now_ms=0) != b""
    assert make_simulator(page, Options(link=LINK)).feed(answer_to_7, now_ms=0) == b""
