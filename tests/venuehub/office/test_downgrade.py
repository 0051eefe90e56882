"""`venuehub office downgrade`: a copy first, then all of the way down, or a word why not and nothing changed."""

import json
import sqlite3
import stat
from contextlib import closing

import pytest

from back_office.store import downgrade
from back_office.store.engine import known_versions
from tests.support.releases import newest_release
from venuehub.cli import main

pytestmark = pytest.mark.long
HEAD = known_versions()[0]


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hall --name hall",
        "card add --dir @/office --card ntag213:04A1B2C3D4E580 --name W.",
        "topup --dir @/office --card ntag213:04A1B2C3D4E580 --amount 1000 --unit CNY",
    )


def ask(file, statement):
    with closing(sqlite3.connect(file)) as books:
        return books.execute(statement).fetchall()


def test_books_go_down_and_up_again_and_a_copy_is_kept(folder, capsys):
    assert main(["office", "downgrade", "--dir", str(folder), "--to", "0015", "--by", "ann", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["from"], said["to"]) == (HEAD, "0015")
    assert ask(folder / "office.sqlite", "SELECT version_num FROM alembic_version") == [("0015",)]
    ((who, what, note),) = ask(folder / "office.sqlite", "SELECT who, what, note FROM audit WHERE what LIKE 'books%'")
    assert (who, what) == ("ann", "books brought down to version 0015")
    assert said["copy"].endswith(note.removeprefix("copy: "))
    assert stat.S_IMODE((folder / note.removeprefix("copy: ")).stat().st_mode) == 0o600
    assert ask(said["copy"], "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert ask(said["copy"], "SELECT count(*) FROM entries") == ask(
        folder / "office.sqlite", "SELECT count(*) FROM entries"
    )
    assert main(["office", "verify", "--dir", str(folder)]) == 0
    assert main(["office", "audit", "verify", "--dir", str(folder)]) == 0
    assert ask(folder / "office.sqlite", "SELECT version_num FROM alembic_version") == [(HEAD,)]


@pytest.mark.parametrize(("to", "said"), [("0003", "lots have a name"), ("9999", "no older version"), ("", "no older")])
def test_what_cannot_be_done_changes_nothing_and_leaves_no_copy(folder, capsys, to, said):
    before = (folder / "office.sqlite").read_bytes()
    assert main(["office", "downgrade", "--dir", str(folder), "--to", to, "--by", "ann"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert ("put the copy of the whole folder from before the upgrade back" in told) == (to == "0003")
    assert (folder / "office.sqlite").read_bytes() == before
    assert [file.name for file in folder.glob("office-*.sqlite")] == []


def test_a_copy_stays_where_nobody_knows_whether_the_books_went_down(folder, monkeypatch):
    def ends_behind_its_commit(url, to, *, first):
        go_down(url, to, first=first)
        raise KeyboardInterrupt

    go_down = downgrade.go_down
    monkeypatch.setattr(downgrade, "go_down", ends_behind_its_commit)
    assert main(["office", "downgrade", "--dir", str(folder), "--to", "0015", "--by", "ann"]) != 0
    assert ask(folder / "office.sqlite", "SELECT version_num FROM alembic_version") == [("0015",)]
    (copy,) = folder.glob("office-*.sqlite")
    assert ask(copy, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_a_copy_never_takes_the_place_of_a_file(folder, tmp_path, capsys):
    there = tmp_path / "there"
    there.write_text("mine")
    words = ["office", "downgrade", "--dir", str(folder), "--to", "0015", "--by", "ann", "--copy", str(there)]
    assert main(words) == 1
    assert "--copy" in capsys.readouterr().err
    assert there.read_text() == "mine"


def test_somebody_decides_it(folder):
    assert main(["office", "downgrade", "--dir", str(folder), "--to", "0015", "--by", " "]) == 2


@pytest.mark.slow
def test_books_on_a_server_want_a_copy_by_the_operator(tmp_path, empty_postgres_url, capsys):
    folder = tmp_path / "office"
    assert main(["office", "init", "--dir", str(folder), "--tenant", "T", "--db", empty_postgres_url]) == 0
    words = ["office", "downgrade", "--dir", str(folder), "--to", "0015", "--by", "ann", "--json"]
    assert main(words) == 2
    capsys.readouterr()
    assert main([*words, "--copied"]) == 0
    assert json.loads(capsys.readouterr().out) == {"from": HEAD, "to": "0015", "copy": ""}
    assert main(["office", "verify", "--dir", str(folder)]) == 0


@pytest.mark.slow
def test_the_release_before_goes_on_where_this_one_was_taken_back(tmp_path, capsys):
    before = newest_release(tmp_path)
    folder, card = tmp_path / "office", "ntag213:04A1B2C3D4E580"
    office = ("venuehub", "office")
    before.run(*office, "init", "--dir", str(folder), "--tenant", "T")
    before.run(*office, "card", "add", "--dir", str(folder), "--card", card, "--name", "W.")
    topup = ("topup", "--dir", str(folder), "--card", card, "--amount", "100", "--unit", "CNY", "--payment-id")
    before.run(*office, *topup, "p1")
    assert main(["office", *topup, "p2"]) == 0  # this release: the books are brought up
    words = ["office", "downgrade", "--dir", str(folder), "--to", before.books_version, "--by", "ann"]
    assert main(words) == 0
    assert json.loads(before.run(*office, "verify", "--dir", str(folder), "--json"))["ok"]
    before.run(*office, *topup, "p3")
    assert ask(folder / "office.sqlite", "SELECT sum(available) FROM lots") == [(300,)]
    capsys.readouterr()
    assert main(["office", "verify", "--dir", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
