import socket
from pathlib import Path

from device_profiles.matching import Device
from firmware_bridge.checks import check_bridge, check_broker, check_device, check_state_dir
from firmware_bridge.settings import Broker


def test_a_wrong_file_is_one_problem_with_its_text(tmp_path: Path):
    (finding,) = check_bridge(tmp_path / "no.toml")
    assert (finding.name, finding.state) == ("bridge-settings", "problem")
    assert "there is no such file" in finding.found


def test_everything_is_looked_at_once(tmp_path: Path):
    (tmp_path / "m.sock").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = tmp_path / "bridge.toml"
        config.write_text(
            f'bridge = "hall"\nhub = "h"\nstate_dir = "{tmp_path}/state"\n[broker]\nport = {server.getsockname()[1]}\n'
            f'[[device]]\nid = "a"\nprofile = "arcade-coin-line"\nsocket = "{tmp_path}/m.sock"\n'
            f'[[device]]\nid = "b"\nprofile = "pn532-uart"\nport = "{tmp_path}/no"\n'
        )
        found = {finding.name: finding.state for finding in check_bridge(config)}
    assert found == {
        "bridge-settings": "ok",
        "bridge-state": "ok",
        "bridge-broker": "ok",
        "device a": "ok",
        "device b": "problem",
    }


def test_each_problem_has_a_remedy(tmp_path: Path):
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for finding in (
        check_state_dir(tmp_path / "file"),
        check_broker(Broker(port=port)),
        check_device(Device(id="a", profile="p", port=str(tmp_path / "no"))),
        check_device(Device(id="a", profile="p", port="usb:dead:beef:17")),
    ):
        assert finding.state == "problem"
        assert finding.remedy
    assert check_device(Device(id="a", profile="p", pins={"coin": 17})).found == "pins 17"
    assert check_device(Device(id="a", profile="p", socket="tcp:127.0.0.1:1")).state == "ok"
