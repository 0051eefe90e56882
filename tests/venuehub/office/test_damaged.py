"""An office's folder that is damaged: every tool says so, names the backup, and writes nothing."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from back_office.settings import database_file
from venuehub.cli import main

pytestmark = pytest.mark.long
LOOKING = (("open",), ("alarms",), ("audit", "list"), ("audit", "verify"), ("leases",), ("verify",))


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
        "card add --dir @/office --card ntag213:04A1B2C3D4E580",
        "topup --dir @/office --card ntag213:04A1B2C3D4E580 --amount 1000 --payment-id p1",
    )


@pytest.mark.parametrize("words", LOOKING)
def test_an_emptied_file_is_no_healthy_office(folder, run, words):
    database_file(folder).write_bytes(b"")
    code, said = run(*words, "--dir", folder)
    assert (code, "office restored" in said["error"]["hint"]) == (1, True)
    assert database_file(folder).read_bytes() == b""


def test_books_without_the_folders_tenant_are_told(folder, run):
    ids = json.loads((folder / "office.json").read_text())
    (folder / "office.json").write_text(json.dumps({**ids, "tenant_id": "019399a0-c0de-7000-8000-000000000007"}))
    code, said = run("verify", "--dir", folder)
    assert (code, "no tenant or venue" in said["error"]["message"]) == (1, True)
    assert "office restored" in said["error"]["hint"]


def test_a_folder_that_lost_a_file_is_restored_and_not_made_anew(folder, run):
    (folder / "office.json").write_text('{"tenant_id": ')
    assert "office restored" in run("open", "--dir", folder)[1]["error"]["hint"]
    (folder / "office.json").unlink()
    assert "office restored" in run("open", "--dir", folder)[1]["error"]["hint"]


def test_lost_books_are_restored_and_not_made_anew(folder, run):
    database_file(folder).unlink()
    assert "office restored" in run("open", "--dir", folder)[1]["error"]["hint"]


@pytest.mark.parametrize("seed", range(12))
def test_books_of_which_bytes_were_flipped_are_damaged_or_read_and_never_a_bug(folder, run, seed):
    run("verify", "--dir", folder)
    file = database_file(folder)
    content, luck = bytearray(file.read_bytes()), random.Random(seed)
    for _ in range(4 ** (1 + seed % 6)):
        content[luck.randrange(100, len(content))] = luck.randrange(256)
    file.write_bytes(content)
    for words in LOOKING:
        code, said = run(*words, "--dir", folder)
        assert not code or said["error"]["code"] in {"damaged", "store", "office"} if "error" in said else True, said


def test_a_record_that_nobody_wrote_is_damage(folder, run):
    with closing(sqlite3.connect(database_file(folder))) as connection, connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE entries SET record = x'00'")
    again = ("topup", "--dir", folder, "--card", "ntag213:04A1B2C3D4E580", "--amount", 1000, "--payment-id", "p1")
    code, said = run(*again)
    assert (code, said["error"]["code"]) == (1, "damaged")
    assert "office restored" in said["error"]["hint"]


def test_a_hubs_ledger_that_is_missing_or_damaged_is_named_and_the_books_are_not_blamed(folder, run, tmp_path):
    ledger = tmp_path / "ledger.sqlite3"
    verify = ("verify", "--dir", folder, "--ledger", ledger)
    assert "--ledger" in run(*verify)[1]["error"]["hint"]
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, record BLOB, hash BLOB)")
        connection.execute("INSERT INTO entries VALUES (1, x'00', x'00')")
    content = ledger.read_bytes()
    ledger.write_bytes(content.replace(b"CREATE TABLE entries", b"CREATE T\xff\xfe\xffE entries"))
    code, said = run(*verify)
    assert (code, said["error"]["code"], said["error"]["where"]) == (2, "ledger", str(ledger))
    assert "venuehub agent salvage" in said["error"]["hint"]
