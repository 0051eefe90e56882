"""The audit is a chain: no line of it is changed, taken out, put in or cut off without the proof naming it."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from back_office.ledger import audit_proof
from back_office.ledger.audit_proof import AnchorFileError, newest_anchor, prove_audit, read_anchors
from back_office.store import acts
from back_office.store.acts import AUDIT_START, AuditLine
from back_office.store.engine import _MIGRATIONS, open_store, sqlite_url
from tests.back_office.ledger.test_verify import tamper
from tests.back_office.world import HUB, TENANT, WALL_MS

pytestmark = [pytest.mark.sqlite, pytest.mark.long]

COLUMNS = ("at_ms", "who", "what", "subject_id", "note", "prev_hash", "hash", "tenant_id")
LINES = 5


def line_of(number):
    return AuditLine(WALL_MS + number, f"ann{number}", "hub closed", HUB, "stolen")


@pytest.fixture
def audited(office):
    for number in range(1, LINES + 1):
        with office.store.writing() as tx:
            acts.audit(tx, TENANT, line_of(number))
    return office


def proven(office, *anchors):
    with office.store.reading() as tx:
        return prove_audit(tx, TENANT, anchors)


def flipped(office, number, column):
    """Change the last byte of one value of one line."""
    with closing(sqlite3.connect(office.file)) as connection:
        (was,) = connection.execute(f"SELECT {column} FROM audit WHERE audit_no = ?", (number,)).fetchone()  # noqa: S608
    if isinstance(was, int):
        now = str(was ^ 1)
    else:
        raw = was.encode() if isinstance(was, str) else was
        now = f"x'{(raw[:-1] + bytes([raw[-1] ^ 1])).hex()}'"
        now = f"CAST({now} AS TEXT)" if isinstance(was, str) else now
    tamper(office, f"UPDATE audit SET {column} = {now} WHERE audit_no = {number}")  # noqa: S608


def anchor_of(office, day="2026-11-22"):
    with office.store.reading() as tx:
        return newest_anchor(tx, TENANT, day=day)


def test_a_whole_audit_is_in_order_and_its_head_is_the_anchor(audited):
    anchor = anchor_of(audited)
    proof = proven(audited, anchor)
    assert (proof.ok, proof.lines, proof.head, proof.hash) == (True, LINES, LINES, anchor.hash.hex())
    assert read_anchors([anchor.text(), ""]) == [anchor]


@pytest.mark.sqlite
@pytest.mark.parametrize("number", [1, 3, LINES])
@pytest.mark.parametrize("column", COLUMNS)
def test_one_changed_byte_of_a_line_is_named(audited, number, column):
    anchor = anchor_of(audited)
    flipped(audited, number, column)
    assert proven(audited, anchor).first_bad == number


@pytest.mark.sqlite
def test_without_the_hash_of_what_a_line_says_a_changed_note_would_pass(audited, monkeypatch):
    flipped(audited, 3, "note")
    with audited.store.reading() as tx:
        rows = {row.number: row.hash for row in acts.audit_chain(tx, TENANT)}
    monkeypatch.setattr(audit_proof.acts, "audit_hash", lambda _tenant, number, _prev, _line: rows[number])
    assert proven(audited).ok


@pytest.mark.parametrize("number", [1, 3])
def test_a_line_that_was_taken_out_is_named(audited, number):
    tamper(audited, f"DELETE FROM audit WHERE audit_no = {number}")  # noqa: S608
    assert proven(audited).first_bad == number


def test_an_end_that_was_cut_off_is_found_by_an_anchor_alone(audited):
    anchor = anchor_of(audited)
    tamper(audited, "DELETE FROM audit WHERE audit_no > 3")
    assert proven(audited).ok
    proof = proven(audited, anchor)
    assert (proof.ok, proof.first_bad) == (False, 4)
    tamper(audited, "DELETE FROM audit")
    assert proven(audited, anchor).first_bad == 1


def test_a_chain_that_was_written_anew_is_found_by_an_anchor_alone(audited):
    anchor = anchor_of(audited)
    tamper(audited, "DELETE FROM audit WHERE audit_no >= 3")
    with audited.store.writing() as tx:
        for _ in range(3, LINES + 3):
            acts.audit(tx, TENANT, AuditLine(WALL_MS, "ann", "nothing", HUB, ""))
    assert proven(audited).ok
    proof = proven(audited, anchor)
    assert (proof.ok, proof.first_bad) == (False, LINES)
    assert "2026-11-22" in proof.reason


def test_anchors_that_do_not_agree_are_told(audited):
    early = anchor_of(audited)
    forged = audit_proof.Anchor("2026-11-23", early.number, bytes(32))
    assert proven(audited, early, forged).first_bad == LINES


@pytest.mark.parametrize("text", ["x", "2026-11-22 5", "2026-11-22 5 00", "2026-11-22 -5 " + "00" * 32])
def test_a_line_that_is_no_anchor_is_refused_with_its_number(text):
    with pytest.raises(AnchorFileError, match="line 2"):
        read_anchors(["2026-11-22 5 " + "00" * 32, text])


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "row",
    [(7, AUDIT_START, bytes(32)), (LINES, AUDIT_START, bytes(32)), (LINES + 1, AUDIT_START, bytes(32))],
)
def test_the_database_takes_nothing_but_the_next_line(audited, row):
    number, before, link = row
    with closing(sqlite3.connect(audited.file)) as connection:
        insert = "INSERT INTO audit VALUES (?, ?, 1, 'ann', 'what', x'', '', ?, ?)"
        with pytest.raises(sqlite3.IntegrityError, match=r"continues the last one|key is there"):
            connection.execute(insert, (TENANT, number, before, link))
        for change in ("UPDATE audit SET note = ''", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="audit is append-only"):
                connection.execute(change)


@pytest.mark.sqlite
@pytest.mark.long
def test_lines_from_before_the_chain_are_chained_and_come_out_as_they_were(tmp_path):
    file = tmp_path / "office.sqlite"
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(sqlite_url(file))
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0018")
    lines = [line_of(1), line_of(2)]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO tenants VALUES (?, 'Star Arcade', 1)", (TENANT,))
        for number, one in enumerate(lines, 1):
            values = (TENANT, number, one.at_ms, one.who, one.what, one.subject_id, one.note)
            connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        connection.commit()
        before = connection.execute("SELECT * FROM audit").fetchall()
    with closing(open_store(sqlite_url(file))) as store, store.writing() as tx:
        proof = prove_audit(tx, TENANT)
        acts.audit(tx, TENANT, line_of(3))
        again = prove_audit(tx, TENANT)
    assert [(one.ok, one.lines) for one in (proof, again)] == [(True, 2), (True, 3)]
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, "0018")
    engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT * FROM audit").fetchall()[:2] == before
