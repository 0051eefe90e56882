"""`venuehub config` on the examples, and on what people get wrong."""

import json

import pytest

from tests.support.tree import ROOT
from venuehub import cli

EXAMPLES = ROOT / "examples"


def test_the_examples_are_right(capsys):
    assert cli.main(["config", "check", str(EXAMPLES / "site.toml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "site"
    assert cli.main(["config", "check", str(EXAMPLES / "bridge.toml")]) == 0
    assert cli.main(["config", "check", str(EXAMPLES / "hub.toml"), "--kind", "hub"]) == 0


def test_a_site_becomes_bridge_files_and_a_document(capsys, tmp_path):
    assert cli.main(["config", "split", str(EXAMPLES / "site.toml"), "--out", str(tmp_path), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert sorted(file.rpartition("/")[2] for file in files) == ["bridge-hall.toml", "devices.json"]
    assert cli.main(["config", "check", str(tmp_path / "bridge-hall.toml")]) == 0
    assert json.loads((tmp_path / "devices.json").read_bytes())["version"] == 1


def test_a_misspelt_setting_names_file_place_and_remedy(capsys, tmp_path):
    file = tmp_path / "hub.toml"
    file.write_text('identiy = "x"\nstate = "s"\n[device_bus]\nhost = "h"\n')
    assert cli.main(["config", "check", str(file), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "settings"
    assert error["where"] == str(file)
    assert error["message"] == "identiy is not a setting"
    assert error["hint"] == "Did you mean identity?"


@pytest.mark.parametrize(
    ("line", "says"), [('timezone = "Mars/Base"', "timezone"), ('business_day_starts = "25:00"', "business_day_starts")]
)
def test_a_value_that_cannot_be_is_refused(capsys, tmp_path, line, says):
    file = tmp_path / "hub.toml"
    file.write_text(f'identity = "i"\nstate = "s"\n{line}\n[device_bus]\nhost = "h"\n')
    assert cli.main(["config", "check", str(file)]) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_does_not_say_what_it_is_for_needs_a_kind(capsys, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("")
    assert cli.main(["config", "check", str(file)]) == 2
    assert "--kind" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named_once(capsys):
    assert cli.main(["config", "check", "/none/hub.toml"]) == 2
    assert capsys.readouterr().err == ("venuehub: /none/hub.toml: there is no such file\n  remedy: Check the path.\n")


def test_a_folder_that_cannot_be_written_to_has_a_remedy(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    words = ["config", "split", str(EXAMPLES / "site.toml"), "--out", str(tmp_path / "file" / "x"), "--json"]
    assert cli.main(words) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("not_written", str(tmp_path / "file" / "x"))
    assert "--out" in error["hint"]
