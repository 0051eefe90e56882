import msgspec
import pytest

from device_profiles.loading import SettingsError, load_catalog
from device_profiles.matching import (
    Device,
    Power,
    PulseOverride,
    find_profile,
    fitted_profile,
    pin_level,
    places_of,
    refuse_mixed_ports,
    refuse_shared_places,
)

CATALOG = load_catalog()
LINE = CATALOG["arcade-coin-line"]
COINS = CATALOG["cctalk-coin-acceptor"]


def test_a_profile_is_found_and_a_wrong_name_gets_a_suggestion():
    assert find_profile(CATALOG, Device(id="a", profile="pn532-uart", port="/dev/x"), file="f").kind == "reader"
    with pytest.raises(SettingsError) as caught:
        find_profile(CATALOG, Device(id="a", profile="pn532-usart"), file="hub.toml")
    assert str(caught.value) == (
        "hub.toml: device \"a\": profile = 'pn532-usart' is not in the catalog. Did you mean pn532-uart?"
    )


def test_overrides_change_what_they_name_only():
    device = Device(id="a", profile=LINE.name, pins={"coin": 17}, pulse=PulseOverride(width_ms=80))
    pulse = fitted_profile(LINE, device, file="f").pulse
    assert pulse is not None
    assert (pulse.width_ms, pulse.gap_ms, pulse.active_level) == (80, 50, "low")
    coins = fitted_profile(COINS, Device(id="c", profile=COINS.name, port="/dev/x", positions={2: 500}), file="f")
    assert coins.acceptor is not None
    assert coins.acceptor.positions[2] == 500
    assert coins.acceptor.positions[1] == COINS.acceptor.positions[1]


@pytest.mark.parametrize(
    ("profile", "device", "text"),
    [
        (LINE, Device(id="a", profile="p"), "needs pins or socket, the file gives nothing"),
        (LINE, Device(id="a", profile="p", port="/dev/x"), "needs pins or socket, the file gives port"),
        (LINE, Device(id="a", profile="p", pins={"coin": 1}, socket="/s"), "the file gives pins and socket"),
        (
            LINE,
            Device(id="a", profile="p", pins={"coni": 1}),
            "pins.coni is not a line of 'arcade-coin-line'. Did you mean",
        ),
        (LINE, Device(id="a", profile="p", pins={"ready": 1}), "pins.coin is missing"),
        (LINE, Device(id="a", profile="p", socket="/s", positions={1: 1}), "positions have no use"),
        (
            LINE,
            Device(id="a", profile="p", pins={"coin": 8}),
            "pins.coin = 8: this pin is high while the Pi starts, so coin is active. Take 9 to 27.",
        ),
        (
            LINE,
            Device(id="a", profile="p", pins={"coin": 9}, inverted=("coin",)),
            "pins.coin = 9: this pin is low while the Pi starts, so coin is active. Take 2 to 8.",
        ),
        (LINE, Device(id="a", profile="p", pins={"coin": 9}, inverted=("ready",)), "inverted = 'ready' is not one of"),
        (
            LINE,
            Device(id="a", profile="p", socket="/s", inverted=("coin",)),
            "inverted = 'coin' is not one of its pins",
        ),
        (COINS, Device(id="a", profile="p", port="/p", pulse=PulseOverride(width_ms=30)), "[device.pulse] has no use"),
        (
            COINS,
            Device(id="a", profile="p", port="/p", positions={17: 1}),
            "positions.17: positions are numbered 1 to 16",
        ),
        (COINS, Device(id="a", profile="p", socket="/p"), "needs port, the file gives socket"),
    ],
)
def test_wiring_that_does_not_fit_is_refused(profile, device, text):
    with pytest.raises(SettingsError) as caught:
        fitted_profile(profile, device, file="hub.toml")
    assert text in str(caught.value)


@pytest.mark.parametrize("name", sorted(name for name, page in CATALOG.items() if page.transport.lines is not None))
def test_whatever_the_machine_wants_an_output_pin_is_high_and_an_input_pin_low_while_active(name):
    page = CATALOG[name]
    lines = page.transport.lines
    assert lines is not None
    straight = Device(id="a", profile=name)
    assert {pin_level(page, straight, role) for role in lines.outputs} <= {"high"}
    assert {pin_level(page, straight, role) for role in lines.inputs} <= {"low"}
    turned = msgspec.structs.replace(straight, inverted=(*lines.outputs, *lines.inputs))
    assert {pin_level(page, turned, role) for role in lines.outputs} <= {"low"}
    assert {pin_level(page, turned, role) for role in lines.inputs} <= {"high"}


def test_two_devices_on_one_line_are_both_named(tmp_path):
    (tmp_path / "tty").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "tty")
    devices = [
        Device(id="a", profile="p", port=str(tmp_path / "tty")),
        Device(id="b", profile="p", port=str(tmp_path / "by-id")),
    ]
    with pytest.raises(SettingsError, match='devices "a" and "b" are both on port'):
        refuse_shared_places(devices, file="hub.toml")
    with pytest.raises(SettingsError, match='devices "a" and "b" are both on pin 4'):
        refuse_shared_places(
            [Device(id="a", profile="p", pins={"coin": 4}), Device(id="b", profile="p", pins={"ready": 4})], file="f"
        )
    with pytest.raises(SettingsError, match='two devices are called "a"'):
        refuse_shared_places(
            [Device(id="a", profile="p", socket="/a"), Device(id="a", profile="p", socket="/b")], file="f"
        )
    assert places_of(Device(id="a", profile="p", pins={"coin": 4, "ready": 5})) == ["pin 4", "pin 5"]


def test_devices_with_addresses_share_a_port_and_no_address_is_all_of_them():
    def at(device_id: str, address: int | None) -> Device:
        return Device(id=device_id, profile=COINS.name, port="/dev/bus", address=address)

    refuse_shared_places([at("a", 2), at("b", 3), at("c", 30)], file="f")
    for first, second in ((2, 2), (2, None), (None, 2)):
        with pytest.raises(SettingsError, match='devices "a" and "b" are both on port /dev/bus'):
            refuse_shared_places([at("a", first), at("b", second)], file="f")
    assert fitted_profile(COINS, at("a", 4), file="f").acceptor.address == 4
    with pytest.raises(SettingsError, match="address has no use: profile 'pn532-uart' has its port for itself"):
        fitted_profile(CATALOG["pn532-uart"], Device(id="a", profile="p", port="/p", address=4), file="f")


def test_devices_that_share_a_port_speak_alike_on_it():
    def on_the_port(*names: str) -> list[Device]:
        return [Device(id=f"d-{n}", profile=name, port="/dev/bus", address=n + 2) for n, name in enumerate(names)]

    def refuse(devices: list[Device]) -> None:
        refuse_mixed_ports(devices, {device.id: CATALOG[device.profile] for device in devices}, file="f")

    refuse(on_the_port("cctalk-coin-acceptor", "cctalk-hopper-plain"))
    refuse(on_the_port("companion-coin-mech", "companion-reader"))
    with pytest.raises(SettingsError, match=r'"d-0" \(cctalk, 9600 .*"d-1" \(companion, 115200 .*cannot share port'):
        refuse(on_the_port("cctalk-coin-acceptor", "companion-coin-mech"))


def test_a_relay_and_a_usb_place_are_places_too():
    coins = Device(id="a", profile="p", port="usb:1a86:7523:A7", power=Power(pin=4))
    assert places_of(coins) == ["port usb:1a86:7523:A7", "pin 4"]
    with pytest.raises(SettingsError, match='devices "a" and "b" are both on pin 4'):
        refuse_shared_places([coins, Device(id="b", profile="p", pins={"coin": 4})], file="f")
    for power in (Power(), Power(pin=4, socket="/s")):
        with pytest.raises(SettingsError, match="power needs a pin or a socket"):
            fitted_profile(COINS, Device(id="a", profile="p", port="/p", power=power), file="f")
