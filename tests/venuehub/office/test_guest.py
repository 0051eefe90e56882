"""A guest as the books have him: every purse and lot, where it lies, what he paid, what he owes, and what is odd."""

import json

import pytest

from venuehub.cli import main

pytestmark = pytest.mark.long
CARD = "ntag213:04A1B2C3D4E580"


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["office", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after, run):
    at = office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hub-1 --name hall",
        f"card add --dir @/office --card {CARD} --name W.",
        "terms set --dir @/office @/terms.toml",
        f"topup --dir @/office --card {CARD} --amount 1000 --payment-id p1 --hub hall",
        f"topup --dir @/office --card {CARD} --amount 500 --payment-id p2",
        files={"terms.toml": '[[steps]]\nunit = "CNY"\nat_least = 1000\ngives = "bonus"\namount = 200\n'},
    )
    assert run("topup", "--dir", at, "--card", CARD, "--amount", 501, "--payment-id", "p2")[0] == 1
    assert run("reverse", "--dir", at, "--channel", "counter", "--payment-id", "p1")[0] == 0
    return at


def test_a_guest_is_seen_whole(folder, run):
    code, said = run("card", "show", "--dir", folder, "--card", CARD)
    assert (code, said["name"], said["status"], said["life"]) == (0, "W.", "active", 1)
    assert said["balances"] == {"CNY": 1500, "bonus": 200}
    assert said["owes"] == {"CNY": 1000}
    lots = {(lot["payment_id"], lot["kind"]): lot for lot in said["lots"]}
    assert lots["p1", "paid"]["at_hubs"] == {"hall": 1000}
    assert lots["p1", "gift"]["at_hubs"] == {"hall": 200}
    assert (lots["p2", "paid"]["in_purse"], lots["p2", "paid"]["at_hubs"]) == (500, {})
    assert [one["payment_id"] for one in said["payments"]] == ["p1", "p2"]
    assert [one["kind"] for one in said["alarms"]] == ["payment_conflict"]
    (listed,) = run("card", "list", "--dir", folder)[1]["cards"]
    assert (listed["account_id"], listed["name"], listed["status"]) == (said["account_id"], "W.", "active")


def test_a_guest_and_alarms_for_people(folder, capsys):
    assert main(["office", "card", "show", "--dir", str(folder), "--card", CARD]) == 0
    assert main(["office", "alarms", "--dir", str(folder)]) == 0
    said = capsys.readouterr().out
    for words in (
        "W.: card is active, class C, life 1", "balance ¥15.00, 200 bonus; owes ¥10.00",
        "paid by counter p1: ¥10.00 at hall",
        "¥5.00 in the purse", "payment p2 of counter: ¥5.00", "payment_conflict", "1 alarm",
    ):  # fmt: skip
        assert words in said
    assert main(["office", "card", "show", "--dir", str(folder), "--card", "ntag213:04010203040580"]) == 1
