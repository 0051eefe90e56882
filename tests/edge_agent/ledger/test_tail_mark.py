"""The mark says how far a ledger came: one that ends before it, or went another way, is not taken for it."""

import shutil

import pytest

from edge_agent.ledger.store import SqliteStore
from edge_agent.ledger.tail_mark import TailMark, newest_batch
from edge_agent.messages import BatchSealed, ReceiptTaken
from tests.support.hall import Hall, the_command


@pytest.fixture(name="hall")
def hall_fixture(tmp_path):
    hall = Hall(tmp_path / "l.db")
    hall.enroll("card-7", 1_000)
    yield hall
    hall.store.close()


@pytest.fixture(name="mark")
def mark_fixture(tmp_path):
    mark = TailMark(tmp_path / "mark")
    yield mark
    mark.close()


def test_before_the_first_time_nothing_is_missing(hall, mark):
    assert (mark.read(), mark.missing(hall.store)) == (None, "")


def test_what_comes_after_the_mark_is_no_loss(hall, mark):
    mark.note(hall.store)
    hall.step(hall.tap("card-7"))
    assert mark.missing(hall.store) == ""


def test_a_ledger_that_was_set_back_is_noticed(hall, mark, tmp_path):
    hall.store.close()
    shutil.copy(tmp_path / "l.db", tmp_path / "old.db")
    hall.restart()
    hall.step(hall.tap("card-7"))
    mark.note(hall.store)
    old = SqliteStore(tmp_path / "old.db")
    assert mark.missing(old) == "the journal ends at entry 2, and had 3 once"
    old.close()


def test_a_journal_that_went_another_way_is_noticed(hall, mark, tmp_path):
    hall.store.close()
    shutil.copy(tmp_path / "l.db", tmp_path / "other.db")
    hall.restart()
    hall.step(hall.tap("card-7"))
    mark.note(hall.store)
    other = Hall(tmp_path / "other.db", seed=8)
    other.wait(5, other.tap("card-7"))
    assert mark.missing(other.store) == "journal entry 3 is another one than was written"
    other.store.close()


def test_a_sealed_batch_that_is_gone_is_noticed_but_not_one_with_a_receipt(hall, mark):
    hall.step(hall.delivered(the_command(hall.step(hall.tap("card-7")))))
    hall.step(BatchSealed(1, 1, 5, bytes(32), b"sealed"))
    mark.note(hall.store)
    assert newest_batch(hall.store) == 1
    hall.step(ReceiptTaken(1, 5))
    assert mark.missing(hall.store) == ""
    hall.store.execute("DELETE FROM batches")
    assert mark.missing(hall.store) == ""
    hall.store.execute("UPDATE meta SET value = 0 WHERE key = 'acked_batch'")
    assert mark.missing(hall.store) == "the sealed batch 1 is gone"


def test_a_mark_that_is_damaged_says_nothing(hall, mark, tmp_path):
    mark.note(hall.store)
    data = bytearray((tmp_path / "mark").read_bytes())
    data[10] ^= 1
    (tmp_path / "mark").write_bytes(data)
    assert (mark.read(), mark.missing(hall.store)) == (None, "")
