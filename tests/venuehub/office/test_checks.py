"""What the office's commands refuse before anything is booked: odd terms and limits, and hubs that are closed."""

import json

import pytest

from back_office.fleet.closing import HubCost
from tests.support.tree import ROOT
from venuehub.cli import main

pytestmark = pytest.mark.long
CARD = "ntag213:04A1B2C3D4E580"
STEP = '[[steps]]\nunit = "CNY"\nat_least = 1000\ngives = "bonus"\namount = 200\n'


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["office", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hub-1 --name hall",
        f"card add --dir @/office --card {CARD}",
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (STEP.replace("200", "-5"), "step 1: amount = -5: "),
        (STEP + STEP.replace("1000", "-1"), "step 2: at_least = -1: "),
        (STEP.replace("bonus", "bonbon"), 'step 1: gives = "bonbon": '),
        (STEP.replace("CNY", "CNX"), 'step 1: unit = "CNX": '),
        ("expires_days = -3\n", "expires_days = -3: "),
        (STEP + "expires_days = 0\n", "step 1: expires_days = 0: "),
    ],
)
def test_terms_that_nobody_can_mean_name_the_key_and_the_value(folder, tmp_path, run, text, wrong):
    file = tmp_path / "terms.toml"
    file.write_text(text)
    code, said = run("terms", "set", "--dir", folder, file)
    assert (code, said["error"]["where"]) == (2, str(file))
    assert said["error"]["message"].startswith(wrong)


@pytest.mark.parametrize("words", [("--day", -5), ("--day", 0), ("--tap", 0)])
def test_a_limit_is_more_than_nothing(folder, run, words):
    assert run("card", "limits", "--dir", folder, "--card", CARD, *words)[0] == 2


def test_the_limits_in_force_are_told(folder, capsys):
    call = ["office", "card", "limits", "--dir", str(folder), "--card", CARD]
    assert main([*call, "--tap", "100"]) == 0
    assert main([*call, "--day", "5000"]) == 0
    assert "per tap ¥1.00, per day ¥50.00, in every zone" in capsys.readouterr().out


@pytest.fixture
def closed(folder, run):
    assert run("topup", "--dir", folder, "--card", CARD, "--amount", 1000, "--hub", "hall")[0] == 0
    assert run("hub", "close", "--dir", folder, "--hub", "hall", "--yes", "--by", "ann", "--note", "x")[0] == 0
    return folder


def test_a_closed_hub_is_given_nothing_more(closed, tmp_path, run):
    (tmp_path / "devices.json").write_text('{"lanes": []}')
    for words in (
        ("topup", "--card", CARD, "--amount", 5, "--hub", "hall"),
        ("slip", "issue", "--card", CARD, "--amount", 5, "--hub", "hall"),
        ("document", "set", "--hub", "hall", "devices", tmp_path / "devices.json"),
        ("hub", "drain", "--hub", "hall", "--by", "ann", "--why", "moved"),
    ):
        code, said = run(*words, "--dir", closed)
        assert (code, said["error"]["where"]) == (1, "--hub"), words
        assert "hall was closed for good on 20" in said["error"]["message"]


def test_what_closing_can_cost_is_told_as_money(folder, run, capsys):
    assert run("topup", "--dir", folder, "--card", CARD, "--amount", 1000, "--hub", "hall")[0] == 0
    close = ["office", "hub", "close", "--dir", str(folder), "--hub", "hall"]
    assert main(close) == 0
    said = capsys.readouterr().out
    assert "hall: closing it can cost at most ¥2,010.00\n" in said
    assert "¥10.00  leased to it" in said
    assert "¥2,000.00  guests' money that it may have taken in unheard" in said
    assert main([*close, "--yes", "--by", "ann", "--note", "x"]) == 0
    assert main(close) == 0
    said = capsys.readouterr().out
    assert "closed for good; settled: 1 lease, 0 vouchers" in said
    assert "it was closed before, on 20" in said


def test_what_is_left_at_a_closed_hub_is_shown_and_settled_by_closing_it_once_more(closed, run, monkeypatch, capsys):
    left = HubCost(
        hub="hall", leases={"CNY": 500}, open={}, coming={}, slips={"CNY": 20}, lanes={}, brought_in=0, floor=0, doubt=0
    )
    monkeypatch.setattr("back_office.fleet.closing.cost", lambda *_: left)
    close = ["office", "hub", "close", "--dir", closed, "--hub", "hall"]
    assert main(close) == 0
    said = capsys.readouterr().out
    assert "hall: was closed before; settling what is left there costs at most ¥5.20\n" in said
    assert "¥0.20  on slips that it may have taken" in said
    assert "not settled: add --yes --by NAME --note WHY to settle it" in said
    assert main([*close, "--yes", "--by", "ann", "--note", "its box is burnt"]) == 0
    assert "it was closed before, on 20" in capsys.readouterr().out, "nothing is left in these books"


@pytest.mark.parametrize(
    ("text", "words", "remedy"),
    [
        ('pin = "scrypt-16384-8-1$…$…"', "person 'lin': pin: no PIN can ever match", "venuehub staff pin lin"),
        ('pin = "2580"', "person 'lin': pin: no PIN can ever match", "venuehub staff pin lin"),
        ('[[roles]]\nname = "x"\n[roles.may]\nsetle_doubt = {}', "setle_doubt", "settle_doubt, refund"),
        ('[[people]]\nid = "bo"\nrole = "boss"', "person 'bo': role: there is no role 'boss'", "attendant"),
    ],
)
def test_staff_who_could_never_act_are_named(folder, tmp_path, run, text, words, remedy):
    file = tmp_path / "staff.toml"
    head = '[[roles]]\nname = "attendant"\n[roles.may]\nlook = {}\n[[people]]\nid = "lin"\nrole = "attendant"\n'
    file.write_text(f"{head}{text}\n")
    code, said = run("document", "set", "--dir", folder, "--hub", "hall", "staff", file)
    assert (code, said["error"]["where"]) == (2, str(file))
    assert words in said["error"]["message"]
    assert remedy in said["error"]["hint"]
    file.write_text(head)
    assert run("document", "set", "--dir", folder, "--hub", "hall", "staff", file)[0] == 0


@pytest.mark.parametrize("name", ["prices", "calendar", "risk", "staff"])
def test_there_is_an_example_of_each_document(folder, run, name):
    file = ROOT / "examples" / f"{name}.toml"
    assert run("document", "set", "--dir", folder, "--hub", "hall", name, file)[0] == 0


def test_the_example_of_terms_is_taken(folder, run):
    assert run("terms", "set", "--dir", folder, ROOT / "examples" / "terms.toml") == (0, {"version": 1})


@pytest.mark.parametrize("option", ["--channel", "--payment-id"])
def test_a_payment_has_a_name(folder, run, option):
    code, said = run("topup", "--dir", folder, "--card", CARD, "--amount", 100, option, " ")
    assert (code, said["error"]["where"]) == (2, option)
