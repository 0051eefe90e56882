"""`venuehub office reconcile` and `office meter`: what they take, what they print, and their exit codes."""

import json
import sqlite3
from contextlib import closing

import pytest

from back_office.worker import Worker
from cloud_sync.identity import load_identity
from tests.support.posted_hub import WALL_MS, PostedHub
from venuehub.cli import main
from venuehub.office import meters, reconcile
from venuehub.office.tools import open_office

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
def folder(tmp_path, office_after, monkeypatch):
    for room in (meters, reconcile):
        monkeypatch.setattr(room, "now_ms", lambda: EVENING_MS + 1)
    return office_after(tmp_path, 'init --dir @/office --tenant "Star Arcade" --venue Hall')


def test_a_meter_that_rose_where_the_books_have_no_coin_is_a_difference(folder, run, capsys):
    assert run("meter", "set", "--dir", folder, *COINS, "--worth", 100, "--digits", 5, "--by", "ann")[1]["digits"] == 5
    add = ("meter", "add", "--dir", folder, *COINS, "--by", "ann")
    assert run(*add, "--value", 700, "--at-ms", NIGHT_MS)[1]["rose"] is None  # since when, nobody knows
    asked = ("reconcile", "--dir", folder, "--date", "2026-11-22")
    code, said = run(*asked)
    assert (code, said["differences"]) == (0, [])
    assert [(gone["what"], gone["why"]) for gone in said["missing"]] == [
        ("meter coins", "it was not read on 2026-11-22")
    ]  # fmt: skip
    assert run(*add, "--value", 702, "--at-ms", EVENING_MS)[1]["rose"] == 2
    code, said = run(*asked)
    (one,) = said["differences"]
    assert (code, one["machine"], one["what"], one["amount"], one["unit"]) == (1, "racer-2", "coins", 200, "CNY")
    assert main(["office", *map(str, asked)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("¥2.00  racer-2  coins: found ¥2.00, expected ¥0.00\n    coins 2 = the meter")
    assert out.endswith("2026-11-22: 1 difference in 1 pair, 0 not there\n")
    code, said = run("reconcile", "--dir", folder, "--date", "2026-11-23")
    assert (code, said["error"]["message"], said["error"]["where"]) == (2, "2026-11-23 has not begun", "--date")
    listed = run("meter", "list", "--dir", folder)[1]
    assert [(row["worth"], row["digits"]) for row in listed["meters"]] == [(100, 5)]
    assert [row["value"] for row in listed["readings"]] == [702]
    read, first, declared = (row["note"] for row in run("audit", "list", "--dir", folder)[1][:3])
    assert read == f"racer-2 coins 2: 702 on 20261122 at {EVENING_MS}"
    assert first.startswith("racer-2 coins 1: 700 on ")
    assert declared == "racer-2 coins: 100 CNY, 5 digits"
    assert run("verify", "--dir", folder)[0] == 0


def test_a_meter_that_stood_higher_before_needs_a_word(folder, run, capsys):
    add = ("meter", "add", "--dir", folder, *COINS, "--by", "ann")
    assert run(*add, "--value", 700, "--at-ms", NIGHT_MS)[0] == 0
    code, said = run(*add, "--value", 5, "--at-ms", EVENING_MS)
    assert (code, said["error"]["message"]) == (1, "coins of racer-2 stood at 700 before")
    assert run(*add, "--value", 5, "--at-ms", EVENING_MS, "--reset", "--note", "exchanged")[1]["rose"] is None
    assert main(["office", "meter", "list", "--dir", str(folder)]) == 0
    assert "racer-2 coins: 5 on 2026-11-22 by ann exchanged\n" in capsys.readouterr().out


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
    assert (code, said["error"]["code"]) == (2, "ledger")
    code, said = run("verify", "--dir", folder, "--ledger", tmp_path / "no.sqlite3")
    assert (code, said["error"]["code"]) == (2, "ledger")


def test_verify_says_in_words_whether_the_office_equals_the_hub(folder, capsys):
    office = str(folder)
    assert main(["office", "enroll", "--dir", office, "--hub", str(folder.parent / "hub-1"), "--name", "hall"]) == 0
    with open_office(folder) as (store, keys):
        worker = Worker(store, keys, lambda: WALL_MS)
        hub = PostedHub(folder.parent, load_identity(folder.parent / "hub-1"), worker)
        hub.connect()
        hub.sell(1)
        hub.tick()
        hub.reader.close()
        hub.hall.store.close()
    ledger = hub.hall.path
    capsys.readouterr()
    assert main(["office", "verify", "--dir", office, "--ledger", str(ledger)]) == 0
    assert f"what the office has of {ledger} is what stands there" in capsys.readouterr().out
    with closing(sqlite3.connect(ledger)) as file:
        file.execute("DROP TRIGGER entries_kept")
        file.execute("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
        file.commit()
    assert main(["office", "verify", "--dir", office, "--ledger", str(ledger)]) == 1
    assert f"what the office has of {ledger} is NOT what stands there" in capsys.readouterr().out


def test_a_machine_that_no_document_names_is_kept_and_told(folder, run, capsys):
    words = ["meter", "set", "--dir", str(folder), *COINS, "--worth", "100", "--by", "ann"]
    assert run(*words)[1]["known_machine"] is False
    assert main(["office", *words]) == 0
    assert "no devices document names a machine racer-2" in capsys.readouterr().err


@pytest.mark.parametrize(("at_ms", "said"), [(1_795_263_600, "before 2020"), (EVENING_MS + 2, "a moment to come")])
def test_a_moment_at_which_nobody_read_it_is_refused(folder, run, at_ms, said):
    code, answer = run("meter", "add", "--dir", folder, *COINS, "--by", "ann", "--value", 5, "--at-ms", at_ms)
    assert (code, answer["error"]["where"], said in answer["error"]["message"]) == (2, "--at-ms", True)
