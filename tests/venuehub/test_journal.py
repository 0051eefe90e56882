"""`venuehub journal` follows a chain, names the first bad entry, and writes entries out."""

import csv
import io
import json
import sqlite3
from contextlib import closing

import msgspec
import pytest

from edge_agent.ledger.store import SqliteStore
from edge_agent.ledger.tail_mark import TailMark
from payment_core.journal import Lot, LotKind, chain_hash, decode_entry, encode_entry
from tests.support.hall import Hall, the_command
from tests.support.sizes import size
from venuehub.cli import main
from venuehub.journal_tools import COLUMNS, csv_lines, open_ledger, verify_journal


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


@pytest.mark.parametrize("beside", ["mark", "play", "receipt"])
def test_an_end_that_was_cut_off_is_missed(ledger, capsys, beside):
    if beside == "mark":
        with closing(SqliteStore(ledger)) as store, closing(TailMark(ledger.with_name("ledger.sqlite3.mark"))) as mark:
            mark.note(store)
    others = {
        "mark": ["DROP TRIGGER authorizations_stay", "DELETE FROM authorizations"],
        "play": [],
        "receipt": ["DROP TRIGGER authorizations_stay", "DELETE FROM authorizations",
                    "UPDATE meta SET value = 5 WHERE key = 'acked_seq'"],
    }  # fmt: skip
    spoil(ledger, "DROP TRIGGER entries_kept", *others[beside], "DELETE FROM entries WHERE seq = 5")
    code, out = run(capsys, "verify", "--ledger", ledger, "--json")
    report = json.loads(out)
    assert (code, report["first_bad"], report["entries"]) == (1, 5, 4)
    assert report["reason"].startswith("missing: the journal ends at entry 4, ")


def test_a_mark_of_another_end_is_told(ledger, capsys):
    with closing(SqliteStore(ledger)) as store, closing(TailMark(ledger.with_name("ledger.sqlite3.mark"))) as mark:
        mark.note(store)
    spoil(ledger, "DROP TRIGGER entries_only_append")
    connection = sqlite3.connect(ledger)
    record, before = connection.execute(
        "SELECT record, (SELECT hash FROM entries WHERE seq = 4) FROM entries WHERE seq = 5"
    ).fetchone()
    entry = decode_entry(record)
    other = encode_entry(msgspec.structs.replace(entry, header=msgspec.structs.replace(entry.header, wall_ms=1)))
    with connection:
        connection.execute("UPDATE entries SET record = ?, hash = ? WHERE seq = 5", (other, chain_hash(before, other)))
    connection.close()
    said = "bad: entry 5 (another one than the mark beside the ledger names)"
    assert run(capsys, "verify", "--ledger", ledger)[1].startswith(said)


@pytest.mark.parametrize("column", ["record", "hash", "seq"])
def test_one_changed_byte_of_any_entry_is_named(ledger, column):
    """In full size every byte of every entry, else one of each."""
    spoil(ledger, *(f"DROP TRIGGER {name}" for name in ("entries_only_append", "entries_kept")))
    rows = sqlite3.connect(ledger).execute(f"SELECT seq, {column} FROM entries").fetchall()  # noqa: S608
    for seq, value in rows:
        for place in range(1 if isinstance(value, int) else len(value)) if size() == "full" else (0,):
            now = value + 7 if column == "seq" else value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
            change(ledger, column, now, seq)
            with open_ledger(ledger) as reader:
                assert verify_journal(reader).first_bad == seq
            change(ledger, column, value, seq if column != "seq" else now)


def change(ledger, column, value, seq):
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (value, seq))  # noqa: S608
        connection.commit()


@pytest.mark.parametrize("content", [b"no database at all" * 99, b""])
def test_a_file_that_is_no_ledger(tmp_path, capsys, content):
    path = tmp_path / "other.db"
    path.write_bytes(content)
    code, out = run(capsys, "verify", "--ledger", path, "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"], error["where"]) == (2, "ledger", str(path))
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
    assert rows[2]["entry"]["parts"] == [{"unit": "CNY", "amount": 200, "lease_epoch": 1, "lot": ""}]


def test_export_as_one_document(ledger, capsys):
    code, out = run(capsys, "export", "--ledger", ledger, "--json")
    assert (code, [row["seq"] for row in json.loads(out)["entries"]]) == (0, [1, 2, 3, 4, 5])


def test_export_as_csv(ledger, capsys):
    code, out = run(capsys, "export", "--ledger", ledger, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert json.loads(rows[4]["entry"])["cause"] == 0


def test_no_text_of_a_csv_is_a_formula():
    row = {**dict.fromkeys(COLUMNS), "machine": '=HYPERLINK("x")', "amount": -1}
    (told,) = csv.DictReader(csv_lines([row]))
    assert (told["machine"], told["amount"]) == ('\'=HYPERLINK("x")', "-1")


def test_an_unreadable_entry_is_exported_as_such(ledger, capsys):
    spoil(ledger, "DROP TRIGGER entries_only_append", "UPDATE entries SET record = x'c0' WHERE seq = 3")
    for kind in ("jsonl", "csv"):
        code, out = run(capsys, "export", "--ledger", ledger, "--format", kind)
        assert code == 0
        assert "unreadable: not a journal record" in out


@pytest.mark.parametrize("command", [("explain", 3), ("replay",)])
def test_a_damaged_entry_is_a_damaged_file_and_no_bug(ledger, capsys, command):
    spoil(ledger, "DROP TRIGGER entries_only_append", "UPDATE entries SET record = x'93c0'")
    code, out = run(capsys, *command, "--ledger", ledger, "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"], error["where"]) == (1, "damaged", str(ledger))
    assert "journal verify" in error["hint"]


def test_a_folder_is_called_one_and_its_ledger_named(tmp_path, capsys):
    assert main(["journal", "verify", "--ledger", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}: this is a folder" in said
    assert f"--ledger {tmp_path}/ledger.sqlite3" in said


def decided(tmp_path):
    """Return a ledger in which a card was approved, was refused, and paid with a lot that has a name."""
    risk = {"classes": [{"class": "C", "per_tap": 500, "per_day": 300}], "velocity": VELOCITY, "step_up_over": 400}
    hall = Hall(tmp_path / "ledger.sqlite3", risk=risk)
    lot = Lot(bytes(15) + b"\7", LotKind.GIFT, 1_763_000_000_000, None, "counter", "no. 12")
    hall.step(hall.member("card-7"), msgspec.structs.replace(hall.lease("card-7", 1_000), lot=lot))
    first = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.delivered(first))
    hall.pass_ms(5_000)
    hall.step(hall.tap("card-7"))
    hall.step(hall.coin())
    hall.store.close()
    return hall.path, first.id


VELOCITY = {"window_ms": 60_000, "count": 9, "amount": 9_000}


def test_an_approval_is_explained_by_any_of_its_names(tmp_path, capsys):
    path, authorization = decided(tmp_path)
    code, out = run(capsys, "explain", authorization, "--ledger", path, "--json")
    told = json.loads(out)
    assert (code, told["outcome"], told["authorization"], told["price"]) == (
        0, "approved", authorization, "¥2.00 for 1 credits"
    )  # fmt: skip
    assert [check["outcome"] for check in told["checks"]] == ["passed"] * 12
    caps = "costs ¥2.00; per tap: card no cap, class ¥5.00; per day: card no cap, class ¥3.00; spent today ¥0.00"
    assert told["checks"][7]["looked_at"] == caps
    assert told["price_reasons"] == ["rule 1: venue"]
    sent, ended = told["became"]
    assert "was told to give 1 credits" in sent
    assert ended.endswith("entry 5: played, ¥2.00 earned; decided (device)")
    (paid,) = told["paid"]
    assert paid["source"].endswith("a gift by counter no. 12 on 2025-11-13 02:13:20 UTC")
    exported = authorization.replace("-", "")
    # HELD, COMMANDED, CAPTURED: all one authorization
    for name in (exported, told["seq"], told["seq"] + 1, told["seq"] + 2):
        assert json.loads(run(capsys, "explain", name, "--ledger", path, "--json")[1]) == told


def test_a_refusal_is_explained_in_plain_words(tmp_path, capsys):
    path, _ = decided(tmp_path)
    code, out = run(capsys, "explain", 6, "--ledger", path)
    assert code == 0
    assert out.splitlines()[1].endswith("lane lane-1, machine racer-1: declined over_day_limit")
    failed = (
        "   8 failed    class cap: costs ¥2.00; per tap: card no cap, class ¥5.00; per day: card no cap, class ¥3.00; "
    )
    assert failed + "spent today ¥2.00" in out
    assert "   9 not asked lease or floor covers\n" in out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("99", "no entry 99"),
        ("1", "entry 1 is EpochOpened: nobody decided about a tap there"),
        ("9" * 23, "no entry 99999"),
        ("twelve", "'twelve' is neither the number of an entry nor an authorization id"),
        ("0198a000-0000-7000-8000-00000000dead", "no tap was decided under 0198a000"),
    ],
)
def test_what_is_no_decision_is_said_so(tmp_path, capsys, name, words):
    path, _ = decided(tmp_path)
    code, out = run(capsys, "explain", name, "--ledger", path, "--json")
    assert code == 1
    assert words in json.loads(out)["error"]["message"]


def test_of_a_coin_play_nobody_decided(tmp_path, capsys):
    hall = Hall(tmp_path / "ledger.sqlite3", rules=[{"price": [[100, "CNY"]]}])
    hall.step(hall.coin())
    hall.store.close()
    code, out = run(capsys, "explain", 3, "--ledger", hall.path)
    assert code == 0
    assert ": paid by coins\n" in out
    assert "coins paid: nobody tapped" in out
    assert "from the lane's coin credit" in out


def test_a_journal_is_decided_again(tmp_path, capsys):
    path, _ = decided(tmp_path)
    code, out = run(capsys, "replay", "--ledger", path, "--json")
    assert (code, json.loads(out)) == (
        0, {"ok": True, "decided": 2, "without_facts": 0, "without_documents": 0, "differences": []}
    )  # fmt: skip
    spoil(
        path, "UPDATE document_archive SET content = CAST(replace(content, '300', '900') AS BLOB) WHERE name = 'risk'"
    )
    code, out = run(capsys, "replay", "--ledger", path)
    assert code == 1
    assert "  was declined over_day_limit" in out
    assert "2 decisions taken again, otherwise now: 1" in out


def test_entries_without_facts_are_counted(tmp_path, capsys):
    path, authorization = decided(tmp_path)
    connection = sqlite3.connect(path)
    (record,) = connection.execute("SELECT record FROM entries WHERE seq = 3").fetchone()
    held = msgspec.structs.replace(decode_entry(record), facts=b"")
    connection.execute("DROP TRIGGER entries_only_append")
    connection.execute("UPDATE entries SET record = ? WHERE seq = 3", (encode_entry(held),))
    connection.commit()
    connection.close()
    assert (
        "1 decision taken again, otherwise now: 0; left out: 1 without facts"
        in run(capsys, "replay", "--ledger", path)[1]
    )
    told = json.loads(run(capsys, "explain", authorization, "--ledger", path, "--json")[1])
    assert told["note"] == "written before decisions kept what they looked at"
    assert {check["looked_at"] for check in told["checks"]} == {""}


def test_a_file_that_is_no_ledger_has_one_exit_code(tmp_path, capsys):
    wrong = tmp_path / "notes.txt"
    wrong.write_text("no ledger at all, and long enough to be looked at as a database of another kind " * 9)
    sqlite3.connect(tmp_path / "other.db").close()
    for path in (tmp_path / "nope", tmp_path, wrong, tmp_path / "other.db"):
        for command in ("replay", "verify"):
            code, out = run(capsys, command, "--ledger", path, "--json")
            assert (code, json.loads(out)["error"]["code"]) == (2, "ledger")


@pytest.mark.long
def test_of_a_damaged_ledger_the_way_on_is_said(tmp_path, capsys):
    hall = Hall(tmp_path / "ledger.sqlite3")
    for _ in range(40):
        hall.pass_ms(5_000)
        hall.carry_out(hall.step(hall.coin()))
    hall.store.close()
    pages = bytearray(hall.path.read_bytes())
    middle = len(pages) // 2 // 4096 * 4096
    pages[middle:] = bytes(255 - one for one in pages[middle:])
    hall.path.write_bytes(pages)
    for command in ("verify", "export"):
        code, out = run(capsys, command, "--ledger", hall.path, "--json")
        told = json.loads(out)["error"]
        assert (code, told["code"]) == (1, "damaged")
        assert told["message"].startswith("this is a hub's ledger, and it is damaged: database disk image is malformed")
        assert "`venuehub office hub replace` at the office, then `venuehub agent salvage` here" in told["hint"]


def test_two_forms_at_once_are_refused(ledger, capsys):
    code, out = run(capsys, "export", "--ledger", ledger, "--format", "csv", "--json")
    assert (code, json.loads(out)["error"]["where"]) == (2, "--format")
