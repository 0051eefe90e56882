"""The database defends itself, and a file that is no ledger of ours is refused in words."""

import os
import sqlite3

import pytest

from edge_agent.ledger.entries import check_chain, verify_tail
from edge_agent.ledger.migrations import MIGRATIONS, migrate
from edge_agent.ledger.store import (
    PRAGMAS,
    CommitUnknownError,
    LedgerError,
    LedgerRefusedError,
    SqliteStore,
    apply_pragmas,
)
from tests.support.hall import Hall, account_of, the_command


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    hall.enroll("card-7", 1_000)
    hall.step(hall.delivered(the_command(hall.step(hall.tap("card-7")))))
    hall.wait(1_000, hall.tap("card-7"))
    yield hall
    hall.store.close()


REFUSED = {
    "an entry changes": "UPDATE entries SET record = x'00' WHERE seq = 2",
    "an entry goes": "DELETE FROM entries WHERE seq = 2",
    "a hash is short": "INSERT INTO entries VALUES (99, x'00', x'00')",
    "a seq comes twice": "INSERT INTO entries VALUES (1, x'00', zeroblob(32))",
    "a captured one is commanded again": "UPDATE authorizations SET state = 3 WHERE state = 4",
    "a commanded one is held again": "UPDATE authorizations SET state = 2 WHERE state = 3",
    "a commanded one expires": "UPDATE authorizations SET state = 6 WHERE state = 3",
    "a state nobody knows": "UPDATE authorizations SET state = 1",
    "what was held changes": "UPDATE authorizations SET held_seq = 1",
    "an event moves": "UPDATE authorizations SET event_seq = 77",
    "an open one is forgotten": "DELETE FROM authorizations WHERE state = 3",
    "an event has two authorizations": "INSERT INTO authorizations SELECT zeroblob(16), 9, reader, event_epoch, "
    "event_seq, 0, 1, 0 FROM authorizations",
    "a lease is overdrawn": "UPDATE leases SET committed = granted + 1",
    "a lease gives back more than it took": "UPDATE leases SET released = committed + 1",
    "a grant falls": "UPDATE leases SET granted = granted - 1",
    "a counter falls": "UPDATE leases SET committed = committed - 1",
    "a lease goes": "DELETE FROM leases",
    "a lease has no epoch": "INSERT INTO leases(account_id, unit, epoch, granted) VALUES (zeroblob(16), 'CNY', 0, 1)",
    "an account id is short": "INSERT INTO leases(account_id, unit, epoch, granted) VALUES (x'00', 'CNY', 1, 1)",
    "text where a number belongs": "INSERT INTO coin_credit VALUES ('lane-1', 'CNY', 'much')",
    "coin credit below zero": "INSERT INTO coin_credit VALUES ('lane-1', 'CNY', -1)",
    "a document version falls": "UPDATE documents SET version = version - 1",
    "a batch of nothing": "INSERT INTO batches VALUES (1, 1, 0, zeroblob(32), x'00')",
}


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED)
def test_the_database_itself_refuses(hall, sql):
    with pytest.raises(LedgerRefusedError, match="rules refused"):
        hall.store.execute(sql)
    assert check_chain(hall.store).ok


def test_a_token_counter_only_rises(hall):
    hall.store.execute("INSERT INTO token_counters VALUES (zeroblob(16), 5)")
    with pytest.raises(LedgerRefusedError, match="only rises"):
        hall.store.execute("UPDATE token_counters SET counter = 5")


def test_a_sealed_batch_never_changes(hall):
    hall.store.execute("INSERT INTO batches VALUES (1, 1, 1, zeroblob(32), x'00')")
    with pytest.raises(LedgerRefusedError, match="never changes"):
        hall.store.execute("UPDATE batches SET sealed = x'01'")


def test_every_state_in_the_table_keeps_its_legal_moves(hall):
    assert hall.store.execute("UPDATE authorizations SET state = 7 WHERE state = 3") == 1
    assert hall.store.execute("UPDATE authorizations SET state = 5 WHERE state = 7") == 1
    assert hall.store.rows("SELECT granted FROM leases WHERE account_id = ?", (account_of("card-7"),)) == [(1_000,)]


class OneWrongPragma:
    """A store on which one pragma does not hold, as on a network disk."""

    def __init__(self, name: str) -> None:
        self._values = {pragma: expected for pragma, _value, expected in PRAGMAS} | {name: "other"}

    def rows(self, sql: str, _values: tuple[object, ...] = ()):
        return [(self._values.get(sql.removeprefix("PRAGMA ")),)]


@pytest.mark.parametrize("name", [pragma for pragma, _value, _expected in PRAGMAS])
def test_a_pragma_that_does_not_hold_is_refused_by_name(name):
    with pytest.raises(LedgerError, match=f"somewhere: PRAGMA {name} is 'other', must be"):
        apply_pragmas(OneWrongPragma(name), "somewhere")


def test_the_pragmas_of_the_product_hold(hall):
    found = {name: hall.store.rows(f"PRAGMA {name}")[0][0] for name, _value, _expected in PRAGMAS}
    assert found == {name: expected for name, _value, expected in PRAGMAS}
    assert (found["journal_mode"], found["synchronous"], found["page_size"]) == ("wal", 2, 1_024)


def test_a_file_made_with_another_page_size_is_refused(tmp_path):
    path = tmp_path / "other.db"
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE t(a)")
    made.close()
    with pytest.raises(LedgerError, match=r"PRAGMA page_size is 4096, must be 1024.*made by venuehub"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "no.db"
    path.write_bytes(b"this is a shopping list, not a ledger" * 100)
    with pytest.raises(LedgerError, match="cannot be opened as a ledger: file is not a database") as caught:
        SqliteStore(path)
    assert not isinstance(caught.value, CommitUnknownError)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="cannot be opened as a ledger: unable to open"):
        SqliteStore(tmp_path / "nowhere" / "ledger.db")


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    path = tmp_path / "ledger.db"
    if os.geteuid() == 0:  # root may write anything: a folder in the file's place is what root cannot open either
        path.mkdir()
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="cannot be opened as a ledger: unable to open"):
        SqliteStore(path)


def test_a_ledger_of_a_later_release_is_refused_and_kept(hall):
    later = len(MIGRATIONS) + 1
    hall.store.execute(f"PRAGMA user_version={later}")
    with pytest.raises(LedgerError, match=f"version {later}.*Install the newer release.*do not delete"):
        migrate(hall.store, "ledger.db")
    assert check_chain(hall.store).ok


def test_migrating_twice_changes_nothing(hall):
    before = hall.store.rows("SELECT sql FROM sqlite_schema ORDER BY name")
    migrate(hall.store, "ledger.db")
    assert hall.store.rows("SELECT sql FROM sqlite_schema ORDER BY name") == before


def test_a_rewritten_entry_is_found_and_the_hub_will_not_spend(hall):
    verify_tail(hall.store, "ledger.db", last=10)
    hall.store.execute("DROP TRIGGER entries_only_append")
    hall.store.execute("UPDATE entries SET record = x'00' WHERE seq = 5")
    report = check_chain(hall.store)
    assert (report.ok, report.first_bad, report.reason) == (False, 5, "hash")
    with pytest.raises(LedgerError, match="journal entry 5 does not fit its chain"):
        verify_tail(hall.store, "ledger.db", last=10)


def test_a_missing_entry_is_found(hall):
    hall.store.execute("DROP TRIGGER entries_kept")
    hall.store.execute("DELETE FROM entries WHERE seq = 3")
    assert (check_chain(hall.store).first_bad, check_chain(hall.store).reason) == (3, "missing")
    assert check_chain(hall.store, last=2).ok


def test_a_full_disk_is_named(tmp_path):
    store = SqliteStore(tmp_path / "ledger.db")
    migrate(store, "ledger.db")
    store.rows(f"PRAGMA max_page_count={store.rows('PRAGMA page_count')[0][0]}")
    store.execute("BEGIN IMMEDIATE")
    with pytest.raises(CommitUnknownError, match="The disk is full"):
        store.execute("INSERT INTO documents VALUES ('big', 1, zeroblob(100000))")
    store.close()
    store.close()
