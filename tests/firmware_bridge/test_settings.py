from pathlib import Path

import pytest

from device_profiles.loading import SettingsError
from firmware_bridge.settings import load_settings
from tests.support.tree import ROOT

HEAD = 'bridge = "hall"\nhub = "0198a000-0000-7000-8000-000000000001"\nstate_dir = "/tmp/x"\n'
LINE = '[[device]]\nid = "racer-{n}"\nprofile = "arcade-coin-line"\nsocket = "/run/m{n}.sock"\n'


def load(folder: Path, text: str):
    path = folder / "bridge.toml"
    path.write_text(text)
    return load_settings(path)


def test_settings_bring_each_device_s_profile_with_the_site_s_overrides(tmp_path):
    (tmp_path / "secret").write_text("open sesame\n")
    text = (
        HEAD + '[broker]\nport = 1884\nusername = "hall"\npassword_file = "secret"\n'
        + LINE.format(n=1) + "[device.pulse]\nwidth_ms = 80\n"
    )  # fmt: skip
    settings = load(tmp_path, text)
    assert settings.profiles["racer-1"].pulse is not None
    assert settings.profiles["racer-1"].pulse.width_ms == 80
    mqtt = settings.mqtt(will_topic="t", will_payload=b"w")
    assert (mqtt.host, mqtt.port, mqtt.username, mqtt.password) == ("127.0.0.1", 1884, "hall", "open sesame")
    assert mqtt.client_id == "bridge-0198a000-0000-7000-8000-000000000001-hall"
    assert (mqtt.will_topic, mqtt.will_payload) == ("t", b"w")


PAGE = (ROOT / "device_profiles/catalog/acceptors/pulse-coin-mech.toml").read_text("utf-8")
OWN = (
    PAGE.partition("[[golden]]")[0]
    .replace('"pulse-coin-mech"', '"our-mech"')
    .replace("width_ms = 100", "width_ms = 50")
)


def test_a_venue_s_own_page_stands_beside_the_shipped_ones(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "our-mech.toml").write_text(OWN)
    text = f'profiles = "own"\n{HEAD}' + LINE.format(n=1).replace("arcade-coin-line", "our-mech") + LINE.format(n=2)
    settings = load(tmp_path, text)
    assert settings.profiles["racer-1"].acceptor is not None
    assert settings.profiles["racer-1"].acceptor.pulses.width_ms == 50
    assert settings.profiles["racer-2"].name == "arcade-coin-line"


@pytest.mark.parametrize(
    ("name", "page", "complaint"),
    [
        ("pulse-coin-mech", PAGE, "'pulse-coin-mech' is in this release too. Give yours another name."),
        ("our-mech", OWN.replace("width_ms = 50", "width_ms = 20"), "acceptor.pulses.width_ms"),
        ("our-mech", OWN.replace('["coin"]', '["coyn"]'), "transport.lines.inputs has to be ['coin']"),
        ("ours", OWN, "name is 'our-mech', the file 'ours.toml'"),
    ],
)
def test_a_page_of_one_s_own_is_held_to_the_rules(tmp_path, name, page, complaint):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{name}.toml").write_text(page)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f'profiles = "own"\n{HEAD}')
    assert complaint in str(caught.value)
    with pytest.raises(SettingsError, match="is no folder"):
        load(tmp_path, f'profiles = "none"\n{HEAD}')


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "bridge.toml: bridge is missing. Add it."),
        (HEAD + "[brokr]\n", "brokr is not a setting. Did you mean broker?"),
        (HEAD + "[broker]\nport = 0\n", "broker.port = 0 is not allowed"),
        (HEAD.replace("hall", "Hall"), "bridge = 'Hall' is not allowed"),
        (HEAD + LINE.format(n=1) * 2, 'two devices are called "racer-1"'),
        (
            HEAD + LINE.format(n=1) + LINE.format(n=2).replace("m2.sock", "m1.sock"),
            'devices "racer-1" and "racer-2" are both on socket /run/m1.sock',
        ),
        (HEAD + LINE.format(n=1).replace("arcade-coin-line", "arcade-coinline"), "Did you mean arcade-coin-line?"),
        (HEAD + LINE.format(n=1).replace("racer-1", "hall"), "has the bridge's own id"),
        (HEAD + LINE.format(n=1).replace("socket", "port"), "needs pins or socket, the file gives port"),
        (HEAD + '[broker]\npassword_file = "no"\n', "broker.password_file = 'no' cannot be read"),
        (HEAD + "".join(LINE.format(n=n) for n in range(201)), "201 devices on one bridge; at most 200"),
    ],
)
def test_a_mistake_is_named_with_place_and_remedy(tmp_path, text, complaint):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("bridge.toml: ")


def test_the_example_is_right():
    settings = load_settings(Path(__file__).parents[2] / "examples/bridge.toml")
    assert {profile.kind for profile in settings.profiles.values()} == {"reader", "output", "acceptor"}
