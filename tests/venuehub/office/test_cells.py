"""`venuehub office cell`: two folders of one operator, money sent from one and brought into the other."""

import json
import shutil

import pytest

from venuehub.cli import main

pytestmark = pytest.mark.long
CARD = "ntag213:04A1B2C3D4E580"


@pytest.fixture
def folders(tmp_path, office_after):
    north = office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        f"card add --dir @/office --card {CARD} --name W.",
    )
    south = tmp_path / "south"
    shutil.copytree(north, south)
    for words in (
        ["cell", "name", "--dir", north, "--own", "north", "--other", "south"],
        ["cell", "name", "--dir", south, "--own", "south", "--other", "north"],
        ["topup", "--dir", north, "--card", CARD, "--amount", "1000", "--unit", "CNY"],
    ):
        assert main(["office", *map(str, words)]) == 0
    return north, south


@pytest.fixture
def run(capsys, folders):
    def call(*words):
        capsys.readouterr()
        code = main(["office", "cell", *map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_money_is_sent_brought_over_and_shown(folders, run):
    north, south = folders
    send = ("send", "--dir", north, "--to", "south", "--card", CARD, "--amount", "300", "--by", "ann", "--id", "m1")
    code, said = run(*send)
    assert (code, said["amount"], said["again"]) == (0, 300, False)
    assert run(*send)[1]["again"]
    assert run("show", "--dir", north)[1] == {
        "own": "north", "clearing": [{"cell": "south", "unit": "CNY", "amount": -300}], "waiting": 1
    }  # fmt: skip
    assert run("relay", "--dir", north, "--to-dir", south) == (0, {"taken": 1, "again": 0, "refused": []})
    assert run("relay", "--dir", north, "--to-dir", south) == (0, {"taken": 0, "again": 0, "refused": []})
    assert run("show", "--dir", north)[1]["waiting"] == 0
    assert run("show", "--dir", south)[1]["clearing"] == [{"cell": "north", "unit": "CNY", "amount": 300}]
    for folder in folders:
        assert main(["office", "verify", "--dir", str(folder)]) == 0


def test_what_cannot_be_sent_is_refused_in_words(folders, run):
    north, south = folders
    send = ("send", "--dir", north, "--card", CARD, "--by", "ann")
    assert run(*send, "--to", "west")[1]["error"]["code"] == "refused"
    assert run(*send, "--to", "south", "--amount", "9999")[0] == 1
    assert run("name", "--dir", south, "--own", "north")[0] == 1
    assert run("relay", "--dir", north, "--to-dir", north) == (0, {"taken": 0, "again": 0, "refused": []})


def test_a_cell_is_made_by_commands_and_its_money_is_reached_by_a_card(tmp_path, office_after, capsys):
    north = office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        f"card add --dir @/office --card {CARD} --name W.",
    )

    def call(*words):
        capsys.readouterr()
        code = main(["office", *map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    south = tmp_path / "south"
    assert call("init", "--dir", south, "--cell-of", north, "--venue", "South")[0] == 0
    assert call("init", "--dir", south, "--cell-of", north)[0] == 4
    assert (south / "sign.key").read_bytes() == (north / "sign.key").read_bytes()
    assert (south / "broker.pem").read_bytes() != (north / "broker.pem").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in [*south.glob("*.key"), *south.glob("*.pem")]} == {0}
    assert call("cell", "name", "--dir", north, "--own", "north", "--other", "south")[0] == 0
    assert call("cell", "name", "--dir", south, "--own", "south", "--other", "north")[0] == 0
    call("topup", "--dir", north, "--card", CARD, "--amount", 1000)
    call("cell", "send", "--dir", north, "--to", "south", "--card", CARD, "--amount", 300, "--by", "ann")
    shown = call("card", "show", "--dir", north, "--card", CARD)[1]
    assert shown["elsewhere"] == [{"cell": "south", "unit": "CNY", "amount": 300}]
    account = shown["account_id"]
    assert call("card", "add", "--dir", south, "--card", CARD, "--account", account)[0] == 2, "not known there yet"
    assert call("cell", "relay", "--dir", north, "--to-dir", south)[1]["taken"] == 1
    assert call("card", "add", "--dir", south, "--card", CARD, "--account", account)[0] == 0
    assert call("cell", "send", "--dir", south, "--to", "north", "--card", CARD, "--by", "ann")[1]["amount"] == 300
    assert call("cell", "relay", "--dir", south, "--to-dir", north)[1]["taken"] == 1
    assert call("card", "show", "--dir", north, "--card", CARD)[1]["elsewhere"] == []
    assert [call("verify", "--dir", folder)[0] for folder in (north, south)] == [0, 0]
