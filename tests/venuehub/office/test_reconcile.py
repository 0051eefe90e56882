"""`venuehub office reconcile` and `office meter`: what they take, what they print, and their exit codes."""

import json

import pytest

from venuehub.cli import main

pytestmark = pytest.mark.long
EVENING_MS = 1_795_350_000_000
"""On the business date 2026-11-22 of the venue."""
NIGHT_MS = EVENING_MS - 86_400_000
COINS = ("--machine", "racer-2", "--meter", "coins")


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["office", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(tmp_path, 'init --dir @/office --tenant "Star Arcade" --venue Hall')


def test_a_meter_that_rose_where_the_books_have_no_coin_is_a_difference(folder, run, capsys):
    assert run("meter", "set", "--dir", folder, *COINS, "--worth", 100, "--digits", 5, "--by", "ann")[1]["digits"] == 5
    add = ("meter", "add", "--dir", folder, *COINS, "--by", "ann")
    assert run(*add, "--value", 700, "--at-ms", NIGHT_MS)[1]["rose"] is None  # since when, nobody knows
    reconcile = ("reconcile", "--dir", folder, "--date", "2026-11-22")
    code, said = run(*reconcile)
    assert (code, said["differences"]) == (0, [])
    assert [(gone["what"], gone["why"]) for gone in said["missing"]] == [
        ("meter coins", "it was not read on 20261122")
    ]  # fmt: skip
    assert run(*add, "--value", 702, "--at-ms", EVENING_MS)[1]["rose"] == 2
    code, said = run(*reconcile)
    (one,) = said["differences"]
    assert (code, one["machine"], one["what"], one["amount"], one["unit"]) == (1, "racer-2", "coins", 200, "CNY")
    assert main(["office", *map(str, reconcile)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("¥2.00  racer-2  coins: found ¥2.00, expected ¥0.00\n    coins 2 = the meter")
    assert out.endswith("1 differences in 1 pairs, 0 not there\n")
    listed = run("meter", "list", "--dir", folder)[1]
    assert [(row["worth"], row["digits"]) for row in listed["meters"]] == [(100, 5)]
    assert [row["value"] for row in listed["readings"]] == [702]
    assert run("audit", "list", "--dir", folder)[1][0]["note"] == "racer-2 coins: 100 CNY, 5 digits"
    assert run("verify", "--dir", folder)[0] == 0


def test_a_meter_that_stood_higher_before_needs_a_word(folder, run, capsys):
    add = ("meter", "add", "--dir", folder, *COINS, "--by", "ann")
    assert run(*add, "--value", 700, "--at-ms", NIGHT_MS)[0] == 0
    code, said = run(*add, "--value", 5, "--at-ms", EVENING_MS)
    assert (code, said["error"]["message"]) == (1, "coins of racer-2 stood at 700 before")
    assert run(*add, "--value", 5, "--at-ms", EVENING_MS, "--reset", "--note", "exchanged")[1]["rose"] is None
    assert main(["office", "meter", "list", "--dir", str(folder)]) == 0
    assert "racer-2 coins: 5 on 20261122 by ann exchanged\n" in capsys.readouterr().out


def test_digits_say_what_a_meter_can_show_and_how_it_goes_on(folder, run):
    assert run("meter", "set", "--dir", folder, *COINS, "--worth", 100, "--digits", 3, "--by", "ann")[0] == 0
    add = ("meter", "add", "--dir", folder, *COINS, "--by", "ann")
    code, said = run(*add, "--value", 1000, "--at-ms", NIGHT_MS)
    assert (code, said["error"]["message"]) == (2, "coins of racer-2 has 3 digits: it cannot show 1000")
    assert run(*add, "--value", 998, "--at-ms", NIGHT_MS)[1]["rose"] is None
    assert run(*add, "--value", 6, "--at-ms", EVENING_MS, "--note", "behind 999")[1]["rose"] == 8


@pytest.mark.parametrize(
    ("changed", "where"),
    [(("--meter", "steps"), "--meter"), (("--machine", "Racer 2"), "--machine"), (("--by", " "), "--by")],
)
def test_what_nobody_can_mean_is_refused(folder, run, changed, where):
    words = {"--machine": "racer-2", "--meter": "coins", "--by": "ann", "--value": 5, **dict([changed])}
    code, said = run("meter", "add", "--dir", folder, *[word for pair in words.items() for word in pair])
    assert (code, said["error"]["where"]) == (2, where)


def test_no_date_and_no_ledger_are_told(folder, run, tmp_path):
    assert run("reconcile", "--dir", folder, "--date", "yesterday")[1]["error"]["where"] == "--date"
    code, said = run("reconcile", "--dir", folder, "--ledger", tmp_path / "no.sqlite3")
    assert (code, said["error"]["code"]) == (1, "ledger")
