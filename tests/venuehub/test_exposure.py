"""`venuehub exposure`: four terms per hub, from files and from an office; what is written is what is read."""

import json

from payment_core.policy import LEASE_CAP, TOP_UP_CAP, RiskDocument
from tests.support.tree import ROOT
from venuehub import cli
from venuehub.exposure_tools import of_folder, write_folder


def test_the_example_adds_up(capsys):
    assert cli.main(["exposure", "--config", str(ROOT / "examples/exposure"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in found if name != "hubs"} == {
        "unit": "CNY", "honest": 40_000, "floor_bound": 30_000, "rollback_bound": 3_000_000, "topup_bound": 700_000,
        "doubt_bound": 10_000,
    }  # fmt: skip
    assert [hub["hub"] for hub in found["hubs"]] == ["hall", "ktv"]
    assert found["hubs"][1] == {"hub": "ktv", "floor": 0, "lease": 1_000_000, "brought_in": 200_000, "doubt": 0}


def test_what_is_written_is_what_is_read(tmp_path):
    risks = {
        "a": RiskDocument(3, floor_per_hub=5, lease_cap=7, top_up_cap=11, doubt_cap_per_day=13),
        "b": RiskDocument(4),
    }
    write_folder(tmp_path / "venue", "CNY", risks, rollbacks=2, days=3)
    found = of_folder(tmp_path / "venue")
    assert (found.honest, found.doubt_bound, found.rollback_bound, found.topup_bound) == (
        44, 39, 2 * (18 + LEASE_CAP), 2 * (11 + TOP_UP_CAP),
    )  # fmt: skip


def test_a_folder_says_its_own_rollbacks_and_its_hubs_once(tmp_path, capsys):
    write_folder(tmp_path, "CNY", {"a": RiskDocument(1)}, rollbacks=1, days=1)
    assert cli.main(["exposure", "--config", str(tmp_path), "--rollbacks", "5", "--json"]) == 2
    assert "venue.toml" in json.loads(capsys.readouterr().out)["error"]["hint"]
    venue = tmp_path / "venue.toml"
    venue.write_text(venue.read_text() + '\n[[hub]]\nname = "a"\nrisk = "risk-a.json"\n')
    assert cli.main(["exposure", "--config", str(tmp_path), "--json"]) == 2
    assert "two hubs are called 'a'" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_wrong_file_is_named_with_its_place(tmp_path, capsys):
    write_folder(tmp_path, "CNY", {"a": RiskDocument(1)}, rollbacks=1, days=1)
    (tmp_path / "risk-a.json").write_text('{"version": 1, "lease_capp": 5}')
    assert cli.main(["exposure", "--config", str(tmp_path), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "lease_capp" in error["message"]
    assert error["where"] == str(tmp_path / "risk-a.json")
    assert "lease_cap" in error["hint"]
    assert cli.main(["exposure"]) == 2


def test_a_cap_below_nothing_says_what_to_write(tmp_path, capsys):
    write_folder(tmp_path, "CNY", {"a": RiskDocument(1)}, rollbacks=1, days=1)
    (tmp_path / "risk-a.json").write_text('{"lease_cap": -5}')
    assert cli.main(["exposure", "--config", str(tmp_path), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["message"], error["hint"]) == (
        "lease_cap = -5 is not allowed: it is too small", "Write a whole number of 0 or more.",
    )  # fmt: skip
