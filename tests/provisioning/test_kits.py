"""docs/kits.md and its site files: what an installer copies from there is taken by the programs that read it."""

import re
from pathlib import Path

import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.settings import BridgeSettings, load_settings
from provisioning.site_file import SitePlan, load_site

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kits.md").read_text("utf-8")
MOST_BRIDGES = 5
LANES = {"claw-row": 8, "arcade-wired": 60, "arcade-wifi": 60, "ktv": 12}
DRIVEN_AT_START = {0, 1, 2, 3, 7, 8, 14, 15}
"""What I2C, SPI's selects and a serial console drive while a Pi starts: no output stands there."""


def load(kit: str, folder: Path) -> tuple[SitePlan, list[BridgeSettings]]:
    """Load a kit's site file, and the bridge files that are made of it: of sixty boards the first."""
    plan = load_site(ROOT / "examples" / "kits" / f"{kit}.toml", version=1)
    bridges = []
    (folder / "broker.password").write_text("secret", "utf-8")
    for name, text in list(plan.bridge_files.items())[:MOST_BRIDGES]:
        (folder / f"{name}.toml").write_text(text, "utf-8")
        bridges.append(load_settings(folder / f"{name}.toml"))
    return plan, bridges


@pytest.mark.parametrize("kit", LANES)
def test_a_kit_is_taken_by_the_office_and_by_every_bridge(tmp_path, kit):
    plan, bridges = load(kit, tmp_path)
    assert len(plan.devices.lanes) == LANES[kit]
    assert f"examples/kits/{kit}.toml" in PAGE
    plugged = {device.id for bridge in bridges for device in bridge.file.device}
    for lane in plan.devices.lanes:
        assert len(plan.bridge_files) > MOST_BRIDGES or {lane.reader, lane.output, *lane.sensors} <= plugged
    for bridge in bridges:
        for device in bridge.file.device:
            lines = bridge.profiles[device.id].transport.lines
            outputs = {device.pins[role] for role in lines.outputs if role in device.pins} if lines else set()
            assert not outputs & DRIVEN_AT_START, device.id


def test_every_kit_has_its_file_and_every_file_its_kit():
    assert {path.stem for path in (ROOT / "examples" / "kits").iterdir()} == set(LANES)


def test_each_claw_tells_its_prizes_and_the_page_says_the_same_pins(tmp_path):
    plan, (bridge,) = load("claw-row", tmp_path)
    assert [lane.sensors for lane in plan.devices.lanes] == [(f"claw-{number}-prize",) for number in range(1, 9)]
    pins = {device.id: device.pins for device in bridge.file.device}
    for words, device, role in (("coin line (out)", "coin", "coin"), ("ready (in)", "coin", "ready")):
        row = [int(cell) for cell in re.search(rf"^\| {re.escape(words)} \|(.*)\|$", PAGE, re.MULTILINE)[1].split("|")]
        assert row == [pins[f"claw-{number}-{device}"][role] for number in range(1, 9)]


def test_the_page_s_own_files_and_profiles_are_right(tmp_path):
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for number, text in enumerate(blocks):
        path = tmp_path / f"site-{number}.toml"
        path.write_text(text, "utf-8")
        assert load_site(path, version=1).devices.lanes
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+|r\d+|acr122u)`", PAGE))
    assert named - set(load_catalog()) - {"fake-hwclock"} == set()
