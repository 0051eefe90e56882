"""A hub's own file beside the books."""

import sqlite3
from contextlib import closing

import pytest

from back_office.ledger.hub_ledger import LedgerFileError, compare_ledger
from tests.back_office.world import TENANT


@pytest.fixture
def file(office, tmp_path):
    """Return the ledger of a hub that has three entries in the books and one that is not sent yet."""
    office.worker.on_message(*office.hub.hello())
    office.hub.held(0, authorization=1)
    office.hub.held(0, authorization=2)
    office.take(office.hub.batch())
    office.hub.held(0, authorization=3)
    path = tmp_path / "hub.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE entries(seq INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL)")
        rows = [(seq, *record) for seq, record in enumerate(office.hub.records, start=1)]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        connection.commit()
    return path


def compare(office, file):
    proof = office.prove()
    with office.store.reading() as tx:
        compare_ledger(tx, TENANT, file, proof)
    return proof


def change(file, statement):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def test_the_same_journal_is_equal(office, file):
    proof = compare(office, file)
    assert (proof.ok, proof.office_equals_hubs) == (True, True)


def test_another_record_is_named(office, file):
    change(file, "UPDATE entries SET record = x'00' WHERE seq = 2")
    proof = compare(office, file)
    assert (proof.ok, proof.office_equals_hubs) == (False, False)
    assert proof.faults == [f"{file}: entry 2 is another one at the hub"]


def test_a_missing_record_is_named(office, file):
    change(file, "DELETE FROM entries WHERE seq = 3")
    assert compare(office, file).faults == [f"{file}: entry 3 is missing at the hub"]


def test_what_the_hub_has_pruned_is_not_missed(office, file):
    change(file, "DELETE FROM entries WHERE seq = 1")
    assert compare(office, file).ok


def test_a_strangers_journal_is_refused(office, file):
    change(file, "UPDATE entries SET record = x'00' WHERE seq = 1")
    with pytest.raises(LedgerFileError, match="no hub of this office"):
        compare(office, file)


def test_files_that_are_no_ledger_are_told(office, file, tmp_path):
    with pytest.raises(LedgerFileError, match="there is no such ledger"):
        compare(office, tmp_path / "none.sqlite")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(LedgerFileError, match="cannot be read as a hub's ledger"):
        compare(office, tmp_path / "text")
    change(file, "DELETE FROM entries")
    with pytest.raises(LedgerFileError, match="its journal is empty"):
        compare(office, file)
