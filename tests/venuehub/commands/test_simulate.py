"""`venuehub simulate`: losses stand beside their bounds; odd wishes are refused; a replay line says all it needs."""

import json

import pytest

from venuehub.cli import main
from venuehub.simulator.plan import VenuePlan
from venuehub.simulator.run import Orders
from venuehub.simulator.shrink import replay_command

SMALL = ("simulate", "--seed", "1", "--steps", "10", "--hubs", "2", "--accounts", "3")


@pytest.mark.long
def test_losses_stand_beside_their_bounds(capsys):
    assert main(["simulate", "--seeds", "1", "--steps", "20"]) == 0
    said = capsys.readouterr().out
    assert "1 seed, 20 steps" in said
    for words in ("played on the floor", "spent after a disk was put back", "brought in unheard", "put back in doubt"):
        assert words in said
    assert "that it may cost" in said


@pytest.mark.parametrize(
    "words",
    [
        ("--trace", "--only", "3-1"),
        ("--trace", "--only", "abc"),
        ("--trace", "--only", "3,"),
        ("--trace", "--only", "11-12"),
        ("--only", "3"),
    ],
)
def test_only_names_steps_of_one_seed(capsys, words):
    assert main([*SMALL, *words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("usage", "--only")
    assert error["hint"]
    assert "int()" not in error["message"]


def test_a_venue_that_cannot_be_written_names_its_place(capsys, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "inside"):
        assert main(["simulate", "--write-config", str(place), "--json"]) == 2
        error = json.loads(capsys.readouterr().out)["error"]
        assert (error["code"], error["where"]) == ("settings", str(place))
    assert (tmp_path / "file").read_text() == "mine"
    assert main(["simulate", "--write-config", str(tmp_path), "--json"]) == 2
    assert "holds files already" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert [place.name for place in tmp_path.iterdir()] == ["file"]


def test_the_short_replay_line_says_all_that_the_run_depends_on():
    orders = Orders(plan=VenuePlan(hubs=2, accounts=5), steps=30, faults=("hub_kill",), mutant="credit-twice")
    assert replay_command(7, orders) == (
        "venuehub simulate --seed 7 --steps 30 --trace --hubs 2 --accounts 5 --faults hub_kill --mutant credit-twice"
    )
