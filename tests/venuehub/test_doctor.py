"""Doctor: each check on a machine that is well and on one that is not."""

import json

from venuehub import cli, doctor


def test_a_writable_folder_on_a_local_disk_is_fit_for_a_ledger(tmp_path):
    findings = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert list(findings) == ["python", "state-dir", "sqlite", "sync-time", "disk-space", "broker", "serial-ports"]
    assert findings["sqlite"].state == "ok"
    assert findings["sqlite"].found.endswith("WAL and FULL hold")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_a_problem_and_nothing_is_written(tmp_path, capsys):
    missing = tmp_path / "state"
    assert cli.main(["doctor", "--state-dir", str(missing), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [finding["name"] for finding in document["findings"]] == ["python", "state-dir", "broker", "serial-ports"]
    assert document["findings"][1]["found"] == f"{missing} does not exist"
    assert not missing.exists()


def test_people_read_one_line_per_check_and_the_remedy_below_it(tmp_path, capsys):
    assert cli.main(["doctor", "--state-dir", str(tmp_path / "state")]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"problem  state-dir: {tmp_path}/state does not exist"
    assert lines[2].startswith("         remedy: make it: install -d")


def test_a_missing_broker_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda _name, **_options: None)
    assert doctor.check_broker().state == "warning"


def test_a_port_that_cannot_be_opened_is_a_problem(tmp_path):
    (tmp_path / "ttyUSB0").symlink_to(tmp_path / "gone")  # a port no user can open, root neither
    finding = doctor.check_serial_ports(tmp_path)
    assert (finding.state, finding.found) == ("problem", f"may not open {tmp_path}/ttyUSB0")
    assert "usermod -aG dialout" in finding.remedy


def test_ports_are_listed_and_none_is_fine(tmp_path):
    assert doctor.check_serial_ports(tmp_path).found == "none plugged in"
    (tmp_path / "ttyACM0").touch()
    assert doctor.check_serial_ports(tmp_path).found == f"{tmp_path}/ttyACM0"
