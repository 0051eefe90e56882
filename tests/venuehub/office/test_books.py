"""The commands about the books: what they print, refuse and write, on an office with a day behind it."""

import csv
import json
import sqlite3
from contextlib import closing
from uuid import UUID

import pytest

from back_office.ledger.closing_report import MachineLine, Report
from back_office.ledger.desk import Desk
from back_office.store import places
from payment_core.journal import CashMoved
from venuehub.cli import main
from venuehub.formulas import disarmed
from venuehub.office import books_told, exports
from venuehub.office.desk import now_ms
from venuehub.office.tools import open_office

pytestmark = pytest.mark.long
CARD = "ntag213:04A1B2C3D4E580"
DAY_MS = 86_400_000


@pytest.fixture
def folder(tmp_path, office_after):
    office = office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hub-1 --name hall",
        f"card add --dir @/office --card {CARD}",
        f"topup --dir @/office --card {CARD} --amount 1000 --payment-id p1",
        f"topup --dir @/office --card {CARD} --amount 500 --payment-id p2",
    )
    with open_office(office) as (store, keys), store.writing() as tx:  # something that moved the day before
        desk = Desk(tx, keys.tenant_id, places.venues(tx, keys.tenant_id)[0], now_ms=now_ms() - DAY_MS)
        desk.append(lambda header: CashMoved(1, header, "nowhere", "=1+1", "CNY", 300, 290, "ann"))
    return office


@pytest.fixture
def run(capsys, folder):
    def call(what, *words):
        code = main(["office", what, "--dir", str(folder), *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def told(capsys, folder):
    def call(what, *words):
        assert main(["office", *what.split(), "--dir", str(folder), *words]) == 0
        return capsys.readouterr().out

    return call


def test_the_trial_balance_adds_up_to_nothing(run, told):
    code, said = run("trial")
    assert (code, said["ok"], said["off"]) == (0, True, {})
    assert sum(line["amount"] for line in said["lines"]) == 0
    assert "balanced: every unit adds up to nothing" in told("trial")


def test_a_statement_goes_on_where_the_page_before_ended(run, told):
    code, first = run("statement", "--card", CARD, "--most", 1)
    assert (code, first["opening"], first["closing"], first["now"]) == (0, {}, {"CNY": 1000}, {"CNY": 1500})
    second = run("statement", "--card", CARD, "--after", first["after"])[1]
    assert (second["opening"], second["closing"], second["after"]) == ({"CNY": 1000}, {"CNY": 1500}, "")
    (line,) = second["lines"]
    assert (line["what"], line["amount"], line["balance"], line["hub"]) == ("ToppedUp", 500, 1500, "")
    assert "more: --after " in told("statement", "--card", CARD, "--most", "1")


def test_an_account_of_the_chart_and_a_guests_own(run):
    assert [line["amount"] for line in run("statement", "--account", "drawer:=1+1")[1]["lines"]] == [300]
    hub = run("export", "--what", "entries", "--csv", "/dev/null")
    assert hub[0] == 1  # nothing is overwritten, whatever it is


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("statement",), "--card"), (("statement", "--account", "drawer:x"), "--account"),
        (("statement", "--account", "0199"), "--account"), (("statement", "--card", CARD, "--after", "1.2"), "--after"),
        (("takings", "--by", "guest"), "--by"), (("takings", "--from", "2026-02-30"), "--from"),
        (("takings", "--from", "2026-11-02", "--to", "2026-11-01"), "--to"), (("x", "--date", "today"), "--date"),
        (("export", "--what", "trial"), "--csv"), (("export", "--what", "all", "--csv", "x.csv"), "--what"),
        (("z", "--by", " "), "--by"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_with_the_option(run, words, where):
    code, said = run(*words)
    assert (code, said["error"]["where"]) == (2, where)


def test_the_float_is_what_guests_have(run):
    code, said = run("float")
    assert (code, [(line["unit"], line["total"], line["booked"], line["ages"]) for line in said]) == (
        0, [("CNY", 1500, 1500, {"0-30": 1500})],
    )  # fmt: skip


def test_takings_are_split_as_asked(run, told):
    code, said = run("takings", "--by", "tender,hub")
    assert code == 0
    assert [
        (line["tender"], line["hub"], line["kind"], line["amount"], line["entries"]) for line in said["takings"]
    ] == [("payment_order", "office", "psp_clearing", 1500, 2)]
    assert "psp_clearing" in told("takings", "--by", "tender,hub")


def test_a_day_is_closed_once_and_listed(run, told):
    day = run("x")[1]["business_date"]
    code, made = run("z", "--by", "Mei")
    assert (code, made["z_no"], made["report"]["by"]) == (0, 1, "Mei")
    assert made["report"]["business_date"] < day
    assert {line["kind"]: line["amount"] for line in made["report"]["sums"]}["drawer"] == 10
    code, again = run("z", "--by", "Mei")
    assert (code, again["error"]["code"]) == (1, "refused")
    assert "closed already: Z 1" in again["error"]["message"]
    assert run("z", "--by", "Mei", "--date", f"{day}")[0] == 1
    assert [one["hash"] for one in run("closings")[1]] == [made["hash"]]
    assert made["hash"] in told("closings")
    shown = told("x", "--date", str(made["report"]["business_date"]))
    assert "(closed: Z 1)" in shown
    assert "SILENT: hall, not heard, never heard" not in shown  # it was enrolled later
    assert "SILENT: hall" in told("x")
    assert run("verify")[0] == 0


def test_a_z_is_printed_again_as_it_was_made(run, told):
    made = run("z", "--by", "Mei")[1]
    assert run("closings", "--z", 1, "--venue", "Hall") == (0, made)
    again = told("closings", "--z", "1")
    assert "\nZ 1, made by Mei on 20" in again
    assert f", is kept, hash {made['hash']}" in again
    assert run("x", "--date", "2999-01-01")[1]["error"]["message"] == "2999-01-01 has not begun"
    assert again.startswith("Z 1 of Hall, ")
    code, said = run("closings", "--z", 2)
    assert (code, said["error"]["message"]) == (1, "there is no Z 2")
    assert "venue Hall" in told("audit list")


def test_a_report_adds_up_by_account_and_machine(told):
    account = [line.split() for line in told("x").splitlines() if "psp_clearing" in line]
    assert account[0] == ["psp_clearing", "¥15.00", "CNY", "2"]
    *_, total = told("takings", "--by", "tender,hub").splitlines()
    assert total.split() == ["total", "psp_clearing", "¥15.00", "CNY", "2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--card", CARD, "--account", "drawer:safe"), "one of them"),
        (("--account", "drawer:=1+2"), "of drawer there are =1+1"),
        (("--account", "tips:x"), "nothing was ever booked on tips;"),
        (("--card", "ntag213:04A1B2C3D4E581"), "add it with"),
    ],
)  # fmt: skip
def test_whose_statement_cannot_be_told_is_answered_with_what_there_is(run, words, said):
    code, answer = run("statement", *words)
    error = answer["error"]
    assert code == (1 if "add it" in said else 2)
    assert said in f"{error['message']} {error['hint']}"
    assert "add it" not in error["message"]  # it is said once, in the hint


def test_an_account_that_is_named_by_an_id_is_found_with_its_dashes(folder, run):
    hub = UUID(int=7)
    with open_office(folder) as (store, keys), store.writing() as tx:
        desk = Desk(tx, keys.tenant_id, places.venues(tx, keys.tenant_id)[0], now_ms=now_ms())
        desk.append(lambda header: CashMoved(1, header, "nowhere", hub.hex, "CNY", 300, 290, "ann"))
    assert len(run("statement", "--account", f"drawer:{str(hub).upper()}")[1]["lines"]) == 1


def test_an_export_is_whole_or_not_there_and_never_written_over(run, tmp_path):
    file = tmp_path / "trial.csv"
    assert run("export", "--what", "trial", "--csv", file)[1]["rows"] == 4
    code, said = run("export", "--what", "takings", "--csv", file)
    assert (code, said["error"]["code"], said["error"]["where"]) == (1, "not_written", str(file))
    assert sorted(path.name for path in tmp_path.glob("*.csv*")) == ["trial.csv"]


@pytest.mark.parametrize("what", exports.COLUMNS)
def test_both_formats_hold_the_same_rows(run, tmp_path, what):
    run("z", "--by", "Mei")
    of = ("--card", CARD) if what == "statement" else ()
    sheet, base = tmp_path / "out.csv", tmp_path / "out.sqlite"
    count = run("export", "--what", what, "--csv", sheet, *of)[1]["rows"]
    assert run("export", "--what", what, "--sqlite", base, *of)[1]["rows"] == count > 0
    assert sheet.read_bytes().startswith(b"\xef\xbb\xbf")  # or a spreadsheet reads Chinese as rubbish
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        heads, *rows = csv.reader(stream)
    assert heads == list(exports.COLUMNS[what])
    with closing(sqlite3.connect(base)) as connection:
        kept = connection.execute(f"SELECT * FROM {what} ORDER BY rowid").fetchall()  # noqa: S608 - a known name
    assert [["" if cell is None else str(disarmed(cell)) for cell in row] for row in kept] == rows
    amounts = [row[heads.index("amount")] for row in rows] if "amount" in heads else []
    assert all(amount.lstrip("-").isdigit() for amount in amounts if amount)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--what", "statement", "--card", CARD, "--from", "2026-11-01"], "--from"),
        (["--what", "trial", "--venue", "Hall"], "--venue"),
        (["--what", "takings", "--card", CARD], "--card"),
        (["--what", "entries", "--to", "2026-11-01"], "--to"),
    ],
)
def test_an_option_that_would_not_narrow_an_export_is_refused(run, tmp_path, words, where):
    code, said = run("export", "--csv", tmp_path / "out.csv", *words)
    assert (code, said["error"]["where"]) == (2, where)
    assert not (tmp_path / "out.csv").exists()


def test_an_export_is_of_the_venue_that_is_named(run, tmp_path):
    assert run("export", "--what", "takings", "--csv", tmp_path / "hall.csv", "--venue", "Hall")[1]["rows"] > 0
    code, said = run("export", "--what", "takings", "--csv", tmp_path / "none.csv", "--venue", "Nowhere")
    assert (code, "which venue?" in said["error"]["message"]) == (2, True)


def test_a_box_that_was_emptied_stands_below_nothing(capsys):
    box = MachineLine("hall", "racer-1", "cash_box", "CNY", -2200, 1)
    earned = MachineLine("hall", "racer-1", "revenue", "CNY", -300, 1)
    report = Report(
        venue="", venue_name="Hall", business_date=20261122, z_no=3, begins_ms=0, ends_ms=1, made_ms=1, by="",
        sums=[], machines=[box, earned], late=[], after_z=[], heard=[], silent=[], doubts=[], open_dates=[],
    )  # fmt: skip
    books_told.print_report(report)
    said = capsys.readouterr().out
    assert "X of Hall, 2026-11-22 (closed: Z 3)" in said  # not the Z: that is kept as it was made
    assert "-¥22.00" in said
    assert " ¥3.00" in said


def test_what_a_spreadsheet_would_run_is_text(run, tmp_path):
    run("export", "--what", "entries", "--csv", tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text(encoding="utf-8-sig")
    assert ",drawer,'=1+1," in text
    assert ",drawer,=" not in text
    assert [disarmed(cell) for cell in ("@x", "+1", "-1", "=x", "\tx", -1, "a=b", None)] == [
        "'@x", "'+1", "'-1", "'=x", "'\tx", -1, "a=b", None,
    ]  # fmt: skip


def test_a_cursor_is_read_as_it_was_printed():
    text = "1795320000000.019399a0000070008000000000000003.0.1.7.play:racing"
    assert books_told.cursor_text(books_told.cursor_of(text)) == text
