from pathlib import Path

import msgspec
import pytest

from device_profiles.loading import (
    SettingsError,
    convert_strictly,
    load_catalog,
    profile_schema,
    read_strictly,
    read_toml,
)
from device_profiles.matching import Device
from device_profiles.schema import Profile


class Hub(msgspec.Struct, forbid_unknown_fields=True):
    hub: str
    device: list[Device] = []


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    profile: list[Profile]


WASHER = {"id": "washer-2", "profile": "arcade-coin-line"}


def complaint(table: dict[str, object]) -> str:
    with pytest.raises(SettingsError) as caught:
        convert_strictly(table, Hub, file="hub.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"hub": "h", "device": [{**WASHER, "pulse": {"widht_ms": 5}}]},
            'hub.toml: device "washer-2": pulse.widht_ms is not a setting. Did you mean pulse.width_ms?',
        ),
        (
            {"hub": "h", "device": [{**WASHER, "pulse": {"width_ms": "50"}}]},
            "hub.toml: device \"washer-2\": pulse.width_ms = '50': write a whole number.",
        ),
        (
            {"hub": "h", "device": [{**WASHER, "power": {"active_level": "lo"}}]},
            "hub.toml: device \"washer-2\": power.active_level = 'lo' is not known. Did you mean low?",
        ),
        ({"hub": "h", "device": [{"id": "washer-2"}]}, 'hub.toml: device "washer-2": profile is missing. Add it.'),
        ({"hub": "h", "device": [{"profile": "x"}]}, "hub.toml: device number 1: id is missing. Add it."),
        ({"hbu": "h"}, "hub.toml: hbu is not a setting. Did you mean hub?"),
        ({}, "hub.toml: hub is missing. Add it."),
        ({"hub": True}, "hub.toml: hub = True: write text in quotes."),
        (
            {"hub": "h", "device": [{**WASHER, "pins": {"coin": 99}}]},
            "hub.toml: device \"washer-2\": pins = {'coin': 99} is not allowed: expected `int` <= 53.",
        ),
        (
            {"hub": "h", "device": [{**WASHER, "zzz": 1}]},
            (
                'hub.toml: device "washer-2": zzz is not a setting. '
                "Known: address, id, inverted, pins, port, positions, power, profile, pulse, serial, socket."
            ),
        ),
    ],
)
def test_an_error_names_file_place_value_and_remedy(table, text):
    assert complaint(table) == text


def test_a_missing_file_a_folder_and_bad_bytes_are_named(tmp_path: Path):
    with pytest.raises(SettingsError, match="there is no such file"):
        read_toml(tmp_path / "no.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_toml(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"hub = '\xff'")
    with pytest.raises(SettingsError, match="byte 7 is not UTF-8"):
        read_toml(bad)
    bad.write_text("hub = \n")
    with pytest.raises(SettingsError, match=r"bad\.toml: not TOML: .*line 1"):
        read_toml(bad)
    bad.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(SettingsError, match="larger than"):
        read_toml(bad)


def test_the_catalog_loads_and_a_second_page_of_one_name_is_refused(tmp_path: Path):
    catalog = load_catalog()
    assert {"arcade-coin-line", "pn532-uart", "cctalk-coin-acceptor"} <= set(catalog)
    page = (Path(__file__).parents[2] / "device_profiles/catalog/outputs/arcade-coin-line.toml").read_text()
    (tmp_path / "a.toml").write_text(page)
    (tmp_path / "b.toml").write_text(page)
    with pytest.raises(SettingsError, match="already in the catalog"):
        load_catalog(tmp_path)


def test_positions_are_numbers_though_toml_keys_are_text(tmp_path: Path):
    path = tmp_path / "site.toml"
    path.write_text('hub = "h"\n[[device]]\nid = "coins"\nprofile = "cctalk-coin-acceptor"\npositions = { 1 = 50 }\n')
    assert read_strictly(path, Hub).device[0].positions == {1: 50}


def test_the_schema_for_editors_names_every_setting():
    schema = msgspec.json.decode(profile_schema())
    assert set(schema["$defs"]["Pulse"]["properties"]) == {
        "width_ms", "gap_ms", "pulses_per_credit", "active_level", "ready_level",
    }  # fmt: skip
    assert schema["$defs"]["Profile"]["additionalProperties"] is False
