import tomllib
from pathlib import Path

import pytest

from device_profiles.loading import SettingsError
from firmware_bridge.settings import load_settings
from payment_core.policy import CoinValue, Lane
from provisioning.site_file import load_site

EXAMPLE = (Path(__file__).parents[2] / "examples/site.toml").read_text("utf-8")
SOCKET = "/dev/serial/by-path/platform-fe980000.usb-usb-0:1."
SECOND_READER = '[[device]]\nid = "second"\nprofile = "pn532-uart"\nport = "/dev/ttyUSB{n}"\n'
SECOND_LANE = '[[lane]]\nid = "{id}"\nmachine = "racer-2"\nreader = "second"\noutput = "racer-2-coin"\n'


def load(folder: Path, text: str):
    path = folder / "site.toml"
    path.write_text(text, "utf-8")
    return load_site(path, version=4)


def test_the_example_becomes_a_bridge_file_and_a_document(tmp_path):
    plan = load(tmp_path, EXAMPLE)
    assert plan.devices.version == 4
    assert plan.devices.lanes == (
        Lane(
            id="racer-2", machine="racer-2", zone="racing", reader="racer-2-reader", output="racer-2-coin",
            acceptor="racer-2-acceptor", name="Racer 2",
        ),
    )  # fmt: skip
    worth = [(1, 10), (2, 50), (3, 100), (4, 500)]
    assert plan.devices.coins["racer-2-acceptor"] == tuple(CoinValue(position=p, amount=a) for p, a in worth)
    assert tomllib.loads(plan.bridge_files["hall"]) == {
        "bridge": "hall",
        "hub": "0198a000-0000-7000-8000-000000000001",
        "state_dir": "/var/lib/venuehub/bridge",
        "broker": {},
        "device": [
            {"id": "racer-2-reader", "profile": "pn532-uart", "port": f"{SOCKET}1:1.0-port0"},
            {
                "id": "racer-2-coin", "profile": "arcade-coin-line", "pins": {"coin": 17, "ready": 27},
                "pulse": {"width_ms": 60},
            },
            {
                "id": "racer-2-acceptor", "profile": "cctalk-coin-acceptor", "port": f"{SOCKET}2:1.0-port0",
                "positions": {"4": 500},
            },
        ],
    }  # fmt: skip


def test_the_bridge_reads_what_was_made(tmp_path):
    made = tmp_path / "bridge.toml"
    made.write_text(load(tmp_path, EXAMPLE).bridge_files["hall"], "utf-8")
    settings = load_settings(made)
    assert settings.profiles["racer-2-coin"].pulse is not None
    assert settings.profiles["racer-2-coin"].pulse.width_ms == 60


def test_inverted_pins_and_pages_of_one_s_own_reach_the_bridge(tmp_path):
    (tmp_path / "own").mkdir()
    text = f'profiles = "own"\n{EXAMPLE}'.replace(
        "pins = { coin = 17, ready = 27 }", 'pins = { coin = 7, ready = 27 }\ninverted = ["coin"]'
    )
    bridge = tomllib.loads(load(tmp_path, text).bridge_files["hall"])
    assert bridge["profiles"] == "own"
    assert [device["inverted"] for device in bridge["device"] if "inverted" in device] == [["coin"]]


def test_two_bridges_get_their_own_devices(tmp_path):
    text = EXAMPLE.replace('id = "hall"', 'id = "hall"\n[[bridge]]\nid = "bar"')
    text = text.replace('id = "racer-2-acceptor"\n', 'id = "racer-2-acceptor"\nbridge = "bar"\n')
    text = text.replace('"racer-2-reader"\nprofile', '"racer-2-reader"\nbridge = "hall"\nprofile')
    text = text.replace('"racer-2-coin"\nprofile', '"racer-2-coin"\nbridge = "hall"\nprofile').replace("USB1", "USB0")
    plan = load(tmp_path, text)
    ids = {name: [one["id"] for one in tomllib.loads(made)["device"]] for name, made in plan.bridge_files.items()}
    assert ids == {"hall": ["racer-2-reader", "racer-2-coin"], "bar": ["racer-2-acceptor"]}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "pn532-uart",
            "pn532-uar",
            "device \"racer-2-reader\": profile = 'pn532-uar' is not in the catalog. Did you mean",
        ),
        (f"{SOCKET}2", f"{SOCKET}1", f'devices "racer-2-reader" and "racer-2-acceptor" are both on port {SOCKET}1'),
        (
            'output = "racer-2-coin"',
            'output = "racer-2-con"',
            "output = 'racer-2-con' is not in this file. Did you mean",
        ),
        (
            'output = "racer-2-coin"',
            'output = "racer-2-reader"',
            "is of kind reader. Name one of kind output or disp",
        ),
        (
            'machine = "racer-2"',
            'machine = "racer-3"',
            "machine = 'racer-3' is not in this file. Did you mean racer-2?",
        ),
        ('id = "racer-2-coin"', 'id = "racer-2-reader"', 'two devices are called "racer-2-reader"'),
        ('id = "hall"', 'id = "hall"\n[[bridge]]\nid = "hall"', 'two bridges are called "hall"'),
        ('id = "hall"', 'id = "hall"\n[[bridge]]\nid = "bar"', "bridge = '' is not in this file"),
        ('[[bridge]]\nid = "hall"\n', "", "bridge = '' is not in this file. Add a [[bridge]]."),
        ('zone = "racing"', 'zone = "Racing!"', "machine \"racer-2\": zone = 'Racing!' is not allowed"),
        ('unit = "CNY"', 'unit = "EUR"', "takes CNY, the venue's unit is 'EUR'. Choose a profile for EUR."),
        ("width_ms", "widht_ms", "pulse.widht_ms is not a setting. Did you mean pulse.width_ms?"),
    ],
)
def test_a_mistake_is_named_with_place_and_remedy(tmp_path, old, new, complaint):
    assert old in EXAMPLE
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, EXAMPLE.replace(old, new))
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("site.toml: ")


def test_no_device_serves_two_lanes_and_no_lane_is_there_twice(tmp_path):
    with pytest.raises(SettingsError, match="output = 'racer-2-coin' already serves lane \"racer-2\""):
        load(tmp_path, EXAMPLE + SECOND_READER.format(n=2) + SECOND_LANE.format(id="other"))
    with pytest.raises(SettingsError, match='two lanes are called "racer-2"'):
        load(tmp_path, EXAMPLE + SECOND_READER.format(n=2) + SECOND_LANE.format(id="racer-2"))


def test_a_scanner_at_a_lane_reads_its_codes(tmp_path):
    scanner = '[[device]]\nid = "codes"\nprofile = "gm65-serial"\nport = "/dev/ttyUSB7"\n'
    text = f"{EXAMPLE}\n{scanner}".replace("[[lane]]\n", '[[lane]]\nscanner = "codes"\n')
    assert [lane.scanner for lane in load(tmp_path, text).devices.lanes] == ["codes"]
    with pytest.raises(SettingsError, match=r"is of kind reader\. Name one of kind scanner"):
        load(tmp_path, text.replace('scanner = "codes"', 'scanner = "racer-2-reader"'))


def test_a_lane_names_its_sensors_its_step_up_and_a_hopper_as_its_output(tmp_path):
    more = "".join(
        f'[[device]]\nid = "{name}"\nprofile = "{profile}"\n{place}\n'
        for name, profile, place in (
            ("prize", "prize-sensor", "pins = { prize = 4 }"),
            ("finger", "r503", 'port = "/dev/ttyUSB7"'),
            ("hopper", "cctalk-hopper-serial", 'port = "/dev/ttyUSB8"'),
            ("relay", "room-power", "pins = { power = 20 }"),
        )
    )
    words = 'sensors = ["prize"]\nstep_up_reader = "finger"\n'
    text = f"{EXAMPLE}\n{more}".replace("[[lane]]\n", f"[[lane]]\n{words}")
    text = text.replace('output = "racer-2-coin"', 'output = "hopper"')
    (lane,) = load(tmp_path, text).devices.lanes
    assert (lane.sensors, lane.step_up_reader, lane.output) == (("prize",), "finger", "hopper")
    with pytest.raises(SettingsError, match=r"output = 'relay' is switched on and off, and gives no credit"):
        load(tmp_path, text.replace('output = "hopper"', 'output = "relay"'))
    with pytest.raises(SettingsError, match=r"sensors = 'prise' is not in this file\. Did you mean prize"):
        load(tmp_path, text.replace('["prize"]', '["prise"]'))


def test_a_lane_s_own_rules_and_its_machine_s_group_reach_the_document(tmp_path):
    rules = 'takes = "account"\non_doubt = "favour_guest"\nrepeat_after_ms = 0\n'
    text = EXAMPLE.replace("[[lane]]\n", f"[[lane]]\n{rules}").replace('name = "Racer 2"', 'group = "racers"')
    (lane,) = load(tmp_path, text).devices.lanes
    assert (lane.takes, lane.on_doubt, lane.repeat_after_ms, lane.group) == ("account", "favour_guest", 0, "racers")
    with pytest.raises(SettingsError, match='takes = "account", but nothing takes money here'):
        load(tmp_path, text.replace('acceptor = "racer-2-acceptor"\n', ""))


FINGER = EXAMPLE.replace("pn532-uart", "r503")
FACE = '[[device]]\nid = "face"\nprofile = "hlk-fm225"\nport = "/dev/ttyUSB7"\n'
PRIZE = '[[device]]\nid = "prize"\nprofile = "prize-sensor"\npins = { prize = 4 }\n'


def test_a_finger_may_pay_and_each_device_is_where_it_can_be_of_use(tmp_path):
    plan = load(tmp_path, FINGER)
    assert [lane.reader for lane in plan.devices.lanes] == ["racer-2-reader"]
    assert "nobody can be learned for it: name a scanner too" in plan.notes[0]
    for setting, role, complaint in (
        ("", 'reader = "face"', "looks for faces, and a face never pays by itself"),
        ("", 'reader = "prize"', "reads nothing"),
        ('sensors = ["face"]', "", "looks for people"),
        ('step_up_reader = "prize"', "", "cannot tell who somebody is"),
        ('step_up_reader = "racer-2-reader"', "", 'already serves lane "racer-2"'),
    ):
        text = f"{EXAMPLE}\n{FACE}{PRIZE}".replace("[[lane]]\n", f"[[lane]]\n{setting}\n")
        with pytest.raises(SettingsError, match=complaint):
            load(tmp_path, text.replace('reader = "racer-2-reader"', role or 'reader = "racer-2-reader"'))


def test_second_factors_of_one_lane_are_never_shown_where_another_is_paid(tmp_path):
    other = (
        SECOND_READER.format(n=2) + '[[device]]\nid = "coin-2"\nprofile = "arcade-coin-line"\npins = { coin = 16 }\n'
    )
    lane = SECOND_LANE.format(id="other").replace("racer-2-coin", "coin-2")
    text = EXAMPLE.replace("[[lane]]\n", '[[lane]]\nstep_up_reader = "second"\n') + other + lane
    with pytest.raises(SettingsError, match="step_up_reader = 'second' already serves lane \"other\""):
        load(tmp_path, text)


def test_what_is_allowed_and_seldom_meant_is_told(tmp_path):
    assert load(tmp_path, EXAMPLE).notes == ()
    left = EXAMPLE.replace('acceptor = "racer-2-acceptor"\n', "") + FACE
    relay = '[[device]]\nid = "relay"\nprofile = "room-power"\npins = { power = 20 }\n'
    coins, face = load(tmp_path, left + relay).notes
    assert coins.startswith(
        'device "racer-2-acceptor" (cctalk-coin-acceptor): in no lane. Its coins and notes buy nothing'
    )
    assert face.startswith('device "face" (hlk-fm225): in no lane.')
    vending = EXAMPLE.replace(
        '"arcade-coin-line"\npins = { coin = 17, ready = 27 }', '"qibixx-vending"\nport = "/dev/ttyS0"'
    )
    plan = load(tmp_path, vending.replace("[device.pulse]\nwidth_ms = 60\n", ""))
    assert [lane.id for lane in plan.asking] == ["racer-2"]
    assert "by a rule of the price list with asks = true only" in plan.notes[0]
