"""The office's commands: what they print, what they refuse, and with which exit code."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.tree import ROOT
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
def folder(tmp_path, office_after):
    return office_after(tmp_path, 'init --dir @/office --tenant "Star Arcade" --venue Hall')


def test_an_office_is_made_once_and_only_its_owner_reads_it(folder, run):
    code, said = run("init", "--dir", folder, "--tenant", "Star Arcade")
    assert (code, said["error"]["code"]) == (4, "identity")
    assert "never overwritten" in said["error"]["hint"]
    assert said["error"]["where"].startswith(str(folder))
    secrets = [*folder.glob("*.key"), *folder.glob("*.pem")]
    assert {path.name for path in secrets} >= {"sign.key", "trust.key", "ca.pem", "office.pem", "broker.pem"}
    assert {path.stat().st_mode & 0o077 for path in secrets} == {0}


def test_a_time_zone_that_does_not_exist(tmp_path, run):
    code, said = run("init", "--dir", tmp_path / "x", "--tenant", "T", "--timezone", "Asia/Shangai")
    assert (code, said["error"]["where"]) == (2, "--timezone")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://me:secret@127.0.0.1:1/books", (2, "settings", "--db")),
        ("postgresql://me@127.0.0.1:1/books", (69, "database_unreachable", "postgresql+psycopg://me@127.0.0.1:1/books")),
    ],
)
def test_books_that_cannot_be_are_told_and_nothing_is_left(tmp_path, capsys, url, told):
    code = main(["office", "init", "--dir", str(tmp_path / "x"), "--tenant", "T", "--db", url, "--json"])
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert (code, error["code"], error["where"]) == told
    assert "db.url" in error["hint"]
    assert ("keys in files" in said.err, "secret" in said.out + said.err) == (False, False)
    assert not (tmp_path / "x").exists()


def test_hubs_are_enrolled(folder, tmp_path, run):
    code, said = run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1", "--broker", "mqtt://broker:1884")
    assert (code, said["name"]) == (0, "hub-1")
    public = json.loads((tmp_path / "hub-1" / "identity.json").read_text())
    assert (public["hub_id"], public["broker_host"], public["broker_port"]) == (said["hub_id"], "broker", 1884)
    assert {path.suffix for path in (tmp_path / "hub-1").glob("hub.*")} == {".crt", ".pem"}
    assert (tmp_path / "hub-1" / "ca.crt").read_bytes() == (folder / "ca.crt").read_bytes()
    code, said = run("enroll", "--dir", folder, "--hub", tmp_path / "hub-2", "--name", "hub-1")
    assert (code, said["error"]["code"]) == (1, "office")
    assert not (tmp_path / "hub-2").exists()
    assert run("enroll", "--dir", folder, "--hub", tmp_path / "hub-2", "--name", "hub-2")[0] == 0


def test_what_was_there_before_a_fault_stays(folder, tmp_path, run):
    (tmp_path / "hub-1").mkdir()
    for name in ("notes.txt", "hub.pem"):
        (tmp_path / "hub-1" / name).write_text("mine")
    code, said = run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")
    assert (code, said["error"]["where"]) == (4, str(tmp_path / "hub-1" / "hub.pem"))
    assert {path.name: path.read_text() for path in (tmp_path / "hub-1").iterdir()} == {
        "notes.txt": "mine",
        "hub.pem": "mine",
    }
    assert run("enroll", "--dir", folder, "--hub", tmp_path / "hub-2", "--name", "hub-1")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "where"),
    [
        (("--tenant", ""), 2, "--tenant"),
        (("--tenant", "T", "--broker-host", "türkçe"), 2, "--broker-host"),
    ],
)
def test_an_office_that_cannot_be_made_leaves_nothing(tmp_path, run, words, code, where):
    said = run("init", "--dir", tmp_path / "x", *words)
    assert (said[0], said[1]["error"]["where"]) == (code, where)
    assert said[1]["error"]["hint"]
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path, run):
    file = tmp_path / "file"
    file.write_text("")
    for place in (file / "o2", Path("/proc/o2")):
        code, said = run("init", "--dir", place, "--tenant", "T")
        assert (code, said["error"]["code"], said["error"]["where"]) == (1, "not_written", str(place))
        assert "--dir" in said["error"]["hint"]


def test_a_top_up_that_no_purse_can_hold(folder, run):
    run("card", "add", "--dir", folder, "--card", CARD)
    topup = ("topup", "--dir", folder, "--card", CARD)
    for amount in (10**12 + 1, 99999999999999999999):
        code, said = run(*topup, "--amount", amount)
        assert (code, said["error"]["where"]) == (2, "--amount")
        assert "more than the books can hold" in said["error"]["message"]
    assert run(*topup, "--amount", 10**12, "--unit", "HKD")[0] == 0
    for unit in ("ZZZ", "play:", ""):
        code, said = run(*topup, "--amount", 100, "--unit", unit)
        assert (code, said["error"]["where"]) == (2, "--unit")
        assert "CNY" in said["error"]["hint"]
        assert "play:NAME" in said["error"]["hint"]
    for unit in ("CNY", "TWD", "bonus", "play:racing", "coupon:birthday", "admission:day"):
        assert run(*topup, "--amount", 100, "--unit", unit)[0] == 0


def test_a_unit_of_the_price_list_can_be_topped_up(folder, tmp_path, run):
    run("card", "add", "--dir", folder, "--card", CARD)
    run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")
    prices = tmp_path / "prices.toml"
    prices.write_text('unit = "CNY"\nrules = [{ price = [[3, "star"]] }]\n')
    topup = ("topup", "--dir", folder, "--card", CARD, "--amount", 3, "--unit", "star")
    assert run(*topup)[0] == 2
    assert run("document", "set", "--dir", folder, "--hub", "hub-1", "prices", prices)[0] == 0
    assert run(*topup)[0] == 0


def test_cards_and_money(folder, tmp_path, run):
    run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")
    code, card = run("card", "add", "--dir", folder, "--card", CARD, "--name", "W.")
    assert (code, len(card["account_id"])) == (0, 32)
    assert run("card", "add", "--dir", folder, "--card", CARD)[0] == 1
    assert run("card", "add", "--dir", folder, "--card", "ntag213:04")[0] == 2
    code, said = run("topup", "--dir", folder, "--card", CARD, "--amount", 1000, "--payment-id", "p1", "--hub", "hub-1")
    booked = {"payment_id": "p1", "entry": 2, "again": False, "leased": 1000, "gifts": {}, "debt_settled": 0}
    booked["card_status"] = "active"
    assert (code, said) == (0, booked)
    code, said = run("topup", "--dir", folder, "--card", CARD, "--amount", 1001, "--payment-id", "p1")
    assert (code, said["error"]["code"]) == (1, "refused")
    assert run("topup", "--dir", folder, "--card", "ntag213:04A1B2C3D4E581", "--amount", 1)[0] == 1
    code, said = run("card", "status", "--dir", folder, "--card", CARD, "lost")
    assert (code, said["list_version"]) == (0, 2)


def test_documents(folder, tmp_path, run):
    run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")
    file = tmp_path / "risk.toml"
    file.write_text("hold_ms = 900\n")
    for _ in range(2):
        assert run("document", "set", "--dir", folder, "--hub", "hub-1", "risk", file) == (
            0,
            {"name": "risk", "version": 1},
        )
    file.write_text("hold = 900\n")
    code, said = run("document", "set", "--dir", folder, "--hub", "hub-1", "risk", file)
    assert code == 2
    assert "hold" in said["error"]["message"]
    assert said["error"]["where"] == str(file)
    assert said["error"]["hint"] == "Did you mean hold_ms?"
    prices = tmp_path / "prices.toml"
    prices.write_text('unit = "CNY"\n' + '[[rules]]\nprice = [[200, "CNY"]]\n' * 2)
    code, said = run("document", "set", "--dir", folder, "--hub", "hub-1", "prices", prices)
    assert (code, said["version"], [odd["key"] for odd in said["problems"]]) == (0, 1, ["rule 2"])


def test_the_documents_among_the_examples_can_be_set(folder, tmp_path, run):
    run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")
    assert main(["config", "split", str(ROOT / "examples" / "site.toml"), "--out", str(tmp_path / "split")]) == 0
    files = {"devices": tmp_path / "split" / "devices.json"}
    files |= {name: ROOT / "examples" / f"{name}.toml" for name in ("prices", "risk")}
    for name, file in files.items():
        document = ("document", "set", "--dir", folder, "--hub", "hub-1", name, file)
        assert main(["office", *map(str, document)]) == 0


def test_verify_ends_with_one_where_an_amount_was_changed(folder, run):
    assert run("verify", "--dir", folder) == (
        0,
        {
            "ok": True,
            "balanced": True,
            "entries": 1,
            "gaps": 0,
            "duplicates": 0,
            "office_equals_hubs": None,
            "first_bad": "",
            "faults": [],
        },
    )
    run("card", "add", "--dir", folder, "--card", CARD)
    run("topup", "--dir", folder, "--card", CARD, "--amount", 1000)
    with closing(sqlite3.connect(folder / "office.sqlite")) as connection:
        connection.execute("UPDATE balances SET amount = amount - 1 WHERE kind = 'purse'")
        connection.commit()
    code, proof = run("verify", "--dir", folder)
    assert (code, proof["ok"], proof["balanced"]) == (1, False, False)


def test_a_folder_without_an_office_and_one_of_another_version(folder, tmp_path, run):
    assert run("verify", "--dir", tmp_path / "none")[0] == 4
    with closing(sqlite3.connect(folder / "office.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    code, said = run("verify", "--dir", folder)
    assert (code, said["error"]["code"]) == (1, "store")
    assert "database version 9999" in said["error"]["message"]
    code, said = run("run", "--dir", folder, "--broker", "http://x")
    assert (code, said["error"]["code"]) == (2, "settings")


def test_an_office_that_an_earlier_release_founded_gets_what_its_brokers_second_port_trusts(folder, capsys):
    place = folder / "office-ca.crt"
    place.unlink()
    for told in ("is written: copy it beside the broker's ca.crt", ""):
        assert main(["office", "run", "--dir", str(folder), "--broker", "http://x"]) == 2
        assert (told or "--broker") in capsys.readouterr().err
        written = place.read_bytes()
    place.unlink()
    (folder / "ca.pem").unlink()
    assert main(["office", "run", "--dir", str(folder), "--broker", "http://x"]) == 2
    assert not place.exists()
    assert written.startswith(b"-----BEGIN CERTIFICATE-----")


def test_every_fault_has_a_place_and_a_remedy(folder, tmp_path, run):
    card = ("--card", CARD)
    for words, where in (
        (("verify", "--dir", tmp_path / "none"), str(tmp_path / "none" / "office.json")),
        (("card", "add", "--dir", folder, "--card", "foo"), "--card"),
        (("card", "status", "--dir", folder, *card, "lost"), "--card"),
        (("topup", "--dir", folder, *card, "--amount", 1, "--hub", "hub-9"), str(folder)),
        (("enroll", "--dir", folder, "--hub", tmp_path / "h", "--venue", "Moon"), "--venue"),
        (("run", "--dir", folder, "--broker", "http://x"), "--broker"),
        (("run", "--dir", folder, "--http", "127.0.0.1:99999"), "--http"),
    ):
        _, said = run(*words)
        assert said["error"]["where"] == where
        assert said["error"]["message"]
        assert said["error"]["hint"]


def test_a_phone_gets_its_link_once_and_only_for_a_page_that_can_make_codes(folder, run):
    run("card", "add", "--dir", folder, "--card", CARD)
    code, said = run("card", "phone", "--dir", folder, "--card", CARD, "--url", "https://venue.example/")
    assert code == 0
    assert re.fullmatch(r"https://venue\.example/phone/#[0-9a-f]{20}\.[0-9a-f]{32}", said["link"])
    assert run("card", "phone", "--dir", folder, "--card", CARD, "--end") == (0, {"ended": 1})
    for words in ((), ("--url", "http://venue.example"), ("--end", "--url", "https://venue.example")):
        code, said = run("card", "phone", "--dir", folder, "--card", CARD, *words)
        assert (code, said["error"]["where"]) == (2, "--url")
    run("card", "status", "--dir", folder, "--card", CARD, "lost")
    code, said = run("card", "phone", "--dir", folder, "--card", CARD, "--url", "https://venue.example")
    assert (code, said["error"]["where"]) == (2, "--card")
