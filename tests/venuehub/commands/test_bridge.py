"""`venuehub bridge run`: a fault before the start is one line and its exit code."""

import pytest

from venuehub import cli


def run(*arguments: str) -> int:
    return cli.main(["bridge", "run", *arguments])


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "bridge.toml"
    path.write_text(f'bridge = "hall"\nhub = "h"\nstate_dir = "{tmp_path}/state"\n')
    return path


def test_two_devices_on_one_line_are_both_named(config, capsys):
    line = '[[device]]\nid = "racer-{n}"\nprofile = "arcade-coin-line"\npins = {{ coin = 17 }}\n'
    config.write_text(config.read_text() + line.format(n=1) + line.format(n=2))
    assert run("--config", str(config)) == 2
    said = capsys.readouterr().err
    assert 'devices "racer-1" and "racer-2" are both on pin 17\n  remedy: Move one of them.' in said
    assert "Traceback" not in said


def test_a_state_folder_that_cannot_be_is_named(config, tmp_path, capsys):
    (tmp_path / "state").touch()
    assert run("--config", str(config)) == 69
    assert f"{tmp_path}/state" in capsys.readouterr().err
