"""Page checksums follow every checkpoint, excuse what is in the WAL, and know a page by its number."""

import subprocess
import sys

import pytest

from edge_agent.ledger.page_sums import _Held
from edge_agent.ledger.store import PAGE_BYTES, SqliteStore

ALL = 1_000


@pytest.fixture(name="store")
def store_fixture(tmp_path):
    store = SqliteStore(tmp_path / "ledger.db")
    store.execute("CREATE TABLE t(n INTEGER PRIMARY KEY, text TEXT) STRICT")
    write(store, range(50))
    yield store
    store.close()


def write(store, numbers):
    store.execute("BEGIN IMMEDIATE")
    store.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", [(number, "x" * 300) for number in numbers])
    store.commit()


def overwrite(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_nothing_is_damaged_whatever_was_checkpointed(store):
    for _ in range(3):
        assert store.sums.damaged(1, ALL) == []
        store.checkpoint()
        assert store.sums.damaged(1, ALL) == []
        write(store, range(10, 90))


def test_one_bit_is_noticed(store, tmp_path):
    store.checkpoint()
    overwrite(tmp_path / "ledger.db", 5 * PAGE_BYTES + 700, b"y")
    assert store.sums.damaged(1, ALL) == [6]
    assert store.sums.damaged(1, 5) == []


def test_a_missing_end_is_noticed(store, tmp_path):
    store.checkpoint()
    pages = store.sums.pages
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.truncate((pages - 2) * PAGE_BYTES)
    assert store.sums.pages == pages
    assert store.sums.damaged(1, ALL) == [pages - 1, pages]


def test_two_swapped_pages_are_noticed(store, tmp_path):
    store.checkpoint()
    path = tmp_path / "ledger.db"
    data = path.read_bytes()
    third, fourth = data[2 * PAGE_BYTES : 3 * PAGE_BYTES], data[3 * PAGE_BYTES : 4 * PAGE_BYTES]
    overwrite(path, 2 * PAGE_BYTES, fourth + third)
    assert store.sums.damaged(1, ALL) == [3, 4]


def test_a_page_that_is_newer_in_the_wal_is_excused(store, tmp_path):
    """As after a cut in the middle of a checkpoint: the file has half of it, the WAL still all."""
    store.checkpoint()
    write(store, range(50))
    overwrite(tmp_path / "ledger.db", 2 * PAGE_BYTES, bytes(PAGE_BYTES))
    assert store.sums.damaged(3, 1) == []
    store.checkpoint()
    assert store.sums.damaged(1, ALL) == []


def test_a_ledger_without_checksums_learns_them(store, tmp_path):
    store.checkpoint()
    (tmp_path / "ledger.db.sums").unlink()
    assert store.sums.damaged(1, ALL) == []
    overwrite(tmp_path / "ledger.db", 5 * PAGE_BYTES + 700, b"y")
    assert store.sums.damaged(1, ALL) == [6]


def test_what_closing_copies_is_summed_too(store, tmp_path):
    store.close()
    assert not (tmp_path / "ledger.db-wal").exists()
    again = SqliteStore(tmp_path / "ledger.db")
    assert again.sums.damaged(1, ALL) == []
    overwrite(tmp_path / "ledger.db", 3 * PAGE_BYTES + 10, b"yy")
    assert again.sums.damaged(1, ALL) == [4]
    again.abandon()


def test_without_its_checksums_nothing_is_copied(store, tmp_path):
    (tmp_path / "ledger.db.sums").mkdir()
    store.close()
    assert (tmp_path / "ledger.db-wal").exists()


LOOKS_IN = """import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
ledger.execute("SELECT count(*) FROM t").fetchall()
ledger.close()"""


class Careless(_Held):
    """Closes what it read, as anybody would who does not know whose locks go with it."""

    def read_at(self, path, offset, count):
        found = super().read_at(path, offset, count)
        self.close()
        return found


def looked_into(store, tmp_path):
    """Let another process look into the ledger and leave: is the WAL still there, and the wal-index whole?"""
    store.sums.damaged(1, ALL)
    before = (tmp_path / "ledger.db-shm").stat().st_size
    subprocess.run([sys.executable, "-c", LOOKS_IN, str(tmp_path / "ledger.db")], check=True)
    return (tmp_path / "ledger.db-wal").exists() and (tmp_path / "ledger.db-shm").stat().st_size == before


def test_who_looks_into_a_live_ledger_and_leaves_takes_nothing_away(store, tmp_path):
    assert looked_into(store, tmp_path)


def test_a_build_that_closes_what_sqlite_has_open_is_noticed(store, tmp_path):
    store.sums._held = Careless()
    assert not looked_into(store, tmp_path)
