"""`venuehub journal` follows a chain, names the first bad entry, and writes entries out."""

import csv
import io
import json
import sqlite3

import pytest

from tests.support.hall import Hall, the_command
from venuehub.cli import main


@pytest.fixture
def ledger(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.enroll("card-7", 1_000)
    hall.step(hall.delivered(the_command(hall.step(hall.tap("card-7")))))
    hall.store.close()
    return hall.path


def spoil(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def run(capsys, *words):
    code = main(["journal", *map(str, words)])
    return code, capsys.readouterr().out


def test_a_good_chain(ledger, capsys):
    code, out = run(capsys, "verify", "--ledger", ledger, "--json")
    report = json.loads(out)
    assert (code, report["ok"], report["entries"], report["first_bad"]) == (0, True, 5, None)
    assert len(report["head"]) == 64
    assert run(capsys, "verify", "--ledger", ledger) == (0, f"ok: 5 entries, head {report['head']}\n")


@pytest.mark.parametrize(
    ("statements", "first_bad"),
    [
        (("DROP TRIGGER entries_only_append", "UPDATE entries SET record = x'c0' WHERE seq = 3"), 3),
        (("DROP TRIGGER entries_only_append", "UPDATE entries SET hash = zeroblob(32) WHERE seq = 5"), 5),
        (("DROP TRIGGER entries_kept", "DELETE FROM entries WHERE seq = 2"), 2),
    ],
)
def test_the_first_bad_entry_is_named(ledger, capsys, statements, first_bad):
    spoil(ledger, *statements)
    code, out = run(capsys, "verify", "--ledger", ledger, "--json")
    report = json.loads(out)
    assert (code, report["ok"], report["first_bad"], report["entries"]) == (1, False, first_bad, first_bad - 1)
    assert run(capsys, "verify", "--ledger", ledger)[1].startswith(f"bad: entry {first_bad} (")


@pytest.mark.parametrize("content", [b"no database at all" * 99, b""])
def test_a_file_that_is_no_ledger(tmp_path, capsys, content):
    path = tmp_path / "other.db"
    path.write_bytes(content)
    code, out = run(capsys, "verify", "--ledger", path, "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"], error["where"]) == (1, "ledger", str(path))
    assert error["hint"]


def test_a_file_that_is_not_there(tmp_path, capsys):
    code, out = run(capsys, "verify", "--ledger", tmp_path / "no.db", "--json")
    assert (code, json.loads(out)["error"]["message"]) == (2, "there is no such file")


def test_export_as_lines_of_json(ledger, capsys):
    code, out = run(capsys, "export", "--ledger", ledger)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["type"] for row in rows] == ["EpochOpened", "LeaseTaken", "Held", "Commanded", "Captured"]
    assert [row["amount"] for row in rows] == [None, None, 200, None, 200]
    assert [row["unit"] for row in rows] == [None, None, "CNY", None, "CNY"]
    assert rows[2]["entry"]["header"]["machine"] == "racer-1"
    assert rows[2]["entry"]["parts"] == [{"unit": "CNY", "amount": 200, "lease_epoch": 1}]


def test_export_as_one_document(ledger, capsys):
    code, out = run(capsys, "export", "--ledger", ledger, "--json")
    assert (code, [row["seq"] for row in json.loads(out)["entries"]]) == (0, [1, 2, 3, 4, 5])


def test_export_as_csv(ledger, capsys):
    code, out = run(capsys, "export", "--ledger", ledger, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert json.loads(rows[4]["entry"])["cause"] == 0


def test_an_unreadable_entry_is_exported_as_such(ledger, capsys):
    spoil(ledger, "DROP TRIGGER entries_only_append", "UPDATE entries SET record = x'c0' WHERE seq = 3")
    for kind in ("jsonl", "csv"):
        code, out = run(capsys, "export", "--ledger", ledger, "--format", kind)
        assert code == 0
        assert "unreadable: not a journal record" in out


def test_a_folder_is_called_one_and_its_ledger_named(tmp_path, capsys):
    assert main(["journal", "verify", "--ledger", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}: this is a folder" in said
    assert f"--ledger {tmp_path}/ledger.sqlite3" in said
