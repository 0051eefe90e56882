"""The booths as plain data: what bridge and hub are told of them fits, and the page of the demo names them all."""

from pathlib import Path

import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.settings import load_settings
from firmware_bridge.simulators.kinds import SIMULATORS, OnLines
from payment_core.pricing import find_price
from venuehub.demo.places import BOOTH_KINDS, COIN_LINE, READER
from venuehub.demo.plan import STEP_UP_OVER, Folder, make_plan
from venuehub.demo.venue import found_arcade, write_settings

PLAN = make_plan(1)
DOCS = Path(__file__).parents[3] / "docs" / "demo.md"


def price_at(place):
    return find_price(PLAN.prices, machine=place.lane.machine, zone=place.lane.zone, local=None)


def test_there_is_one_booth_of_each_kind_in_a_lane_of_its_own():
    assert sorted(booth.kind for booth in PLAN.booths) == sorted(BOOTH_KINDS)
    lanes = [lane for hall in PLAN.halls for lane in hall.devices.lanes]
    assert len({lane.id for lane in lanes}) == len({lane.machine for lane in lanes}) == len(lanes) == 20
    assert len({booth.guest.card for booth in PLAN.booths} | {member.card for member in PLAN.members}) == 48


def test_only_a_finger_and_a_face_stand_behind_a_dear_play():
    dear = {booth.kind for booth in PLAN.booths if price_at(booth.place).price[0].minor > STEP_UP_OVER}
    named = {booth.kind for booth in PLAN.booths if booth.place.lane.step_up_reader}
    assert named == {"finger", "face"}
    assert dear == named | {"note"}, "a note needs nobody's face"
    assert all(price_at(place).price[0].minor <= STEP_UP_OVER for place in PLAN.places)


@pytest.mark.parametrize("booth", PLAN.booths, ids=lambda booth: booth.kind)
def test_a_booths_simulators_listen_where_they_are_said_to(booth):
    catalog = load_catalog()
    for device in booth.devices:
        assert isinstance(SIMULATORS[catalog[device.profile].simulator], OnLines) == device.on_lines
    assert f"| {booth.place.lane.id} |" in DOCS.read_text()
    assert f"`{booth.device.profile}`" in DOCS.read_text()


def test_the_bridge_can_read_what_it_is_told_of_them(tmp_path):
    folder = Folder(tmp_path)
    folder.make(PLAN.halls)
    arcade = found_arcade(PLAN, folder, uplink_port=1)
    write_settings(arcade, PLAN, folder, bus_port=1, uplink_port=1)
    profiles = load_settings(folder.hall(PLAN.halls[0].name).bridge / "bridge.toml").profiles
    for booth in PLAN.halls[0].booths:
        assert profiles[booth.place.lane.reader].name == READER
        assert not booth.has_machine or profiles[booth.place.lane.output].name == COIN_LINE
        assert {device.id: profiles[device.id].name for device in booth.devices} == {
            device.id: device.profile for device in booth.devices
        }
        assert booth.device_ids <= set(profiles)
