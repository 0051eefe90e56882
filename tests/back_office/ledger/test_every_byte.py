"""One changed byte anywhere in the books: `office verify` finds it, and names the record or one that shows it."""

import importlib
import pkgutil
import sqlite3
from contextlib import closing

import msgspec
import pytest
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from back_office import store
from back_office.ledger import cells, prove_entries, verify
from back_office.ledger.cells import SendOut
from back_office.ledger.closing import Z, make_z
from back_office.ledger.counter import Done
from back_office.ledger.terms import GiftStep, TopUpTerms, keep_terms
from back_office.ledger.verify import prove_books
from back_office.ledger.verify_cover import NOT_PROVEN
from back_office.payments.slips import SlipWish, issue_slip
from back_office.store import acts, meters, places
from back_office.store import cells as cell_rows
from back_office.store.acts import AuditLine
from back_office.store.meters import OfficeReading
from back_office.store.tables import METADATA
from back_office.store.transaction import Transaction
from cloud_sync.protocol.slips import read_slip
from payment_core.journal import BoxCounted, CashSold, CoinBooked, Part, SlipTaken, decode_entry, encode_entry
from tests.back_office.world import DAY, GUEST, HUB, KEYS, OTHER_HUB, TENANT, VENUE, WALL_MS, Office
from tests.support.sizes import size

pytestmark = pytest.mark.long
DAY_MS = 86_400_000
PROVEN = (
    "accounts", "audit", "balances", "batches", "cell_inbox", "cell_outbox", "chains", "closings", "days",
    "entries", "evidence", "late_entries", "leases", "lots", "meter_readings", "passing", "payments", "postings",
    "takings",
)  # fmt: skip
COLUMNS = [
    (table, column.name)
    for table in PROVEN
    for column in METADATA.tables[table].columns
    if f"{table}.{column.name}" not in NOT_PROVEN
]


def evening(office):
    """Fill small books with everything that is proven."""
    hall, foyer = office.hub, office.enroll(OTHER_HUB, "foyer")
    for pen in (hall, foyer):
        office.worker.on_message(*pen.hello())
    with office.store.writing() as tx:
        keep_terms(tx, TENANT, TopUpTerms(steps=(GiftStep("CNY", 500, "bonus", 80),), expires_days=90), now_ms=WALL_MS)
    office.top_up(1_000)
    office.lease()
    hall.held(300)
    hall.captured(300)
    hall.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 100))
    hall.write(
        lambda header: CashSold(1, msgspec.structs.replace(header, shift="late"), "vend-1", 1, 2, "CNY", 200, 7, 11)
    )
    entry, voucher = hall.passed(foyer, 200)
    office.take(hall.batch())
    foyer.taken(hall, entry.header.seq, 200, voucher)
    office.take(foyer.batch(), foyer)
    office.top_up(500, payment="p2")
    with office.store.writing() as tx:
        wish = SlipWish(slip_id=bytes([7]) * 16, account_id=GUEST, unit="CNY", amount=400)
        slip = read_slip(issue_slip(office.desk(tx), KEYS.signer, wish).text).slip
    parts = (Part("CNY", 400, 1, slip.lot_id),)
    hall.write(lambda header: SlipTaken(1, header, GUEST, parts, slip.slip_id, (slip.lot,)))
    office.take(hall.batch())
    _between_cells(office)
    office.now_ms += 2 * DAY_MS
    with office.store.writing() as tx:
        assert isinstance(make_z(tx, TENANT, places.venues(tx, TENANT)[0], DAY, by="ann", now_ms=office.now_ms), Z)
        acts.audit(tx, TENANT, AuditLine(WALL_MS, "ann", "loss given up", HUB, "stolen"))
        for value, note in ((1_234, "new"), (34, "set back")):
            reading = OfficeReading(VENUE, "racer-2", "coins", 0, value, 0, DAY, WALL_MS, "ann", note)
            meters.add_reading(tx, TENANT, reading, now_ms=office.now_ms)
    hall.write(lambda header: BoxCounted(1, header, "racer-2", "cash_box", "CNY", 290, 300, "safe", "ada"))
    office.take(hall.batch())
    parked = hall.seal(raw=[msgspec.msgpack.encode([99, 1, []])])
    assert [refusal.reason for refusal in office.take(parked).refusals] == ["parked"]
    assert office.prove().faults == []


def _between_cells(office):
    """Send money to another cell, and take some of it."""
    with office.store.writing() as tx:
        at = office.desk(tx)
        cells.name_cells(at, "north", ["south"])
        wish = SendOut(send_id=bytes(16), account_id=GUEST, unit="CNY", to_cell="south", by="ann", amount=7)
        assert isinstance(cells.send_out(at, wish), Done)
        sent = cell_rows.sent(tx, TENANT)[0]
        back = msgspec.structs.replace(decode_entry(sent.record), to_cell="north")
        letter = cells.Letter("south", msgspec.structs.replace(sent, to_cell="north", record=encode_entry(back)), None)
        assert isinstance(cells.take_in(at, letter), Done)


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """Return small books as bytes of their file, and its path to write them to."""
    office = Office(tmp_path_factory.mktemp("books"))
    evening(office)
    office.store.close()
    with closing(sqlite3.connect(office.file)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")
    return office.file


def proven(connection, prove=prove_books):
    with closing(Transaction(connection, sqlite_dialect(paramstyle="named"))) as tx:
        return prove(tx, TENANT)


def changes(value, *, every):
    """Yield a value with one byte changed; every byte, or the last one alone."""
    if isinstance(value, int):
        yield value ^ 1
    elif value:
        raw = value.encode() if isinstance(value, str) else value
        for place in range(len(raw)) if every else (len(raw) - 1,):
            now = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
            yield now.decode() if isinstance(value, str) else now


def flips(connection, table, column):
    """Yield the proof after each change of a column: of its first row that has a value, in full size of every row."""
    every = size() == "full"
    rows = connection.execute(f"SELECT rowid_, {column} FROM (SELECT *, {_key(table)} AS rowid_ FROM {table})")  # noqa: S608
    for key, value in rows.fetchall():
        for now in changes(value, every=every):
            where = f"{_key(table)} = ?"
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (now, key))  # noqa: S608
            except sqlite3.IntegrityError:  # another row has this key
                continue
            yield key, proven(connection)
            connection.rollback()
            if not every:
                return


def _key(table):
    names = [column.name for column in METADATA.tables[table].primary_key.columns]
    return " || '/' || ".join(f'hex("{name}")' for name in names)


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[".".join(each) for each in COLUMNS])
def test_one_changed_byte_is_found_and_named(books, table, column):
    count = 0
    with closing(sqlite3.connect(books)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for key, proof in flips(connection, table, f'"{column}"'):
            assert not proof.ok, (table, column, key)
            assert proof.first_bad, proof.faults
            count += 1
    assert count, f"no row of {table} has a value in {column}"


@pytest.mark.parametrize(("table", "column"), [("entries", "record"), ("entries", "hash"), ("postings", "amount")])
def test_the_entry_itself_is_named(books, table, column):
    with closing(sqlite3.connect(books)) as connection:
        for seq in (2, 4, 5):
            connection.execute(
                f"UPDATE {table} SET {column} = {_flipped(connection, table, column, seq)} "  # noqa: S608
                "WHERE seq = ? AND hub_id = ?", (seq, HUB),
            )  # fmt: skip
            assert proven(connection).first_bad == f"{table} {HUB.hex()}/0/1/{seq}"
            connection.rollback()


def _flipped(connection, table, column, seq):
    sql = f"SELECT {column} FROM {table} WHERE seq = ? AND hub_id = ?"  # noqa: S608
    (value,) = connection.execute(sql, (seq, HUB)).fetchone()
    (now,) = changes(value, every=False)
    return now if isinstance(now, int) else f"x'{now.hex()}'"


def test_every_column_is_proven_or_says_why_not():
    for module in pkgutil.iter_modules(store.__path__):
        importlib.import_module(f"{store.__name__}.{module.name}")
    tables = {table.name: {column.name for column in table.columns} for table in METADATA.tables.values()}
    for name, why in NOT_PROVEN.items():
        table, _, column = name.partition(".")
        assert len(why) > 20, name
        if column:
            assert column in tables[table], name
    strange = set(tables) - {name.partition(".")[0] for name in NOT_PROVEN} - set(PROVEN)
    assert not strange, "say in verify_cover.py why verify does not prove them"


def moved_between_purses(connection):
    """Write another guest's line where one of this guest's was: nothing in sum, so the entry still agrees."""
    connection.execute(
        "UPDATE accounts SET key = ? WHERE kind = 'lease' AND scope_id = ?", (bytes(16).hex(), HUB)
    )  # fmt: skip


def test_a_proof_that_skips_postings_is_caught(books, monkeypatch):
    with closing(sqlite3.connect(books)) as connection:
        moved_between_purses(connection)
        assert proven(connection).first_bad.startswith("postings ")
        monkeypatch.setattr(prove_entries.ChainProof, "_prove_lines", lambda *_: None)
        monkeypatch.setattr(prove_entries, "_agree", lambda *_: True)
        assert not proven(connection).first_bad.startswith("postings ")


def test_a_proof_that_skips_the_hash_is_caught(books, monkeypatch):
    with closing(sqlite3.connect(books)) as connection:
        connection.execute("UPDATE entries SET hash = zeroblob(32) WHERE seq = 2 AND hub_id = ?", (HUB,))
        assert proven(connection).first_bad == f"entries {HUB.hex()}/0/1/2"
        rows = {bytes(record): bytes(link) for record, link in connection.execute("SELECT record, hash FROM entries")}
        monkeypatch.setattr(prove_entries, "chain_hash", lambda _before, record: rows[record])
        assert proven(connection).ok


def test_a_proof_that_skips_batches_is_caught(books, monkeypatch):
    with closing(sqlite3.connect(books)) as connection:
        connection.execute("UPDATE batches SET sealed = zeroblob(length(sealed)) WHERE batch_seq = 2")
        assert proven(connection).first_bad == f"batches {HUB.hex()}/0/1/2"
        monkeypatch.setattr(verify, "prove_batches", lambda *_: ())
        assert proven(connection).ok


def test_a_proof_that_does_not_ask_the_audit_for_readings_is_caught(books, monkeypatch):
    with closing(sqlite3.connect(books)) as connection:
        connection.execute("UPDATE meter_readings SET value = 34 WHERE value = 1234")
        assert proven(connection).first_bad == "meter_readings racer-2 coins 1"
        monkeypatch.setattr(verify, "prove_readings", lambda *_: ())
        assert proven(connection).ok
