"""The full check names what is wrong: a page, an entry, a table, or a disk that gives no answer."""

import errno

import pytest

from edge_agent.ledger import page_sums
from edge_agent.ledger.integrity import ENTRIES_AT_ONCE, full_check
from edge_agent.ledger.store import LedgerDamagedError
from tests.support.hall import Hall


@pytest.fixture(name="hall")
def hall_fixture(tmp_path):
    hall = Hall(tmp_path / "l.db", risk={"repeat_after_ms": 0})
    hall.enroll("card-7", 100_000)
    for _ in range(ENTRIES_AT_ONCE):
        hall.wait(1_000, hall.tap("card-7"))
    hall.store.checkpoint()
    yield hall
    hall.store.close()


def check(hall: Hall) -> int:
    """Check everything; return in how many pieces."""
    return sum(1 for _ in full_check(hall.store, hall.store.sums, hall.path))


def test_a_ledger_in_order_is_checked_in_many_pieces(hall):
    entries = hall.store.rows("SELECT count(*) FROM entries")[0][0]
    tables = hall.store.rows("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")[0][0]
    assert check(hall) >= entries // ENTRIES_AT_ONCE + tables


def test_an_old_entry_that_does_not_fit_is_named(hall):
    hall.store.execute("DROP TRIGGER entries_only_append")
    hall.store.execute("UPDATE entries SET record = x'00' WHERE seq = 5")
    with pytest.raises(LedgerDamagedError, match=r"l\.db: journal entry 5 does not fit its chain \(hash\)"):
        check(hall)


def test_a_table_that_broke_its_own_rules_is_named(hall):
    hall.store.rows("PRAGMA ignore_check_constraints=ON")
    hall.store.execute("INSERT INTO coin_credit(lane, unit, amount) VALUES ('lane-1', 'CNY', -5)")
    hall.store.rows("PRAGMA ignore_check_constraints=OFF")
    with pytest.raises(LedgerDamagedError, match="table coin_credit: CHECK constraint failed"):
        check(hall)


def test_a_disk_that_gives_no_answer_is_damage(hall, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(page_sums.os, "pread", broken)
    with pytest.raises(LedgerDamagedError, match=r"page 1 and those behind it cannot be read \(Input/output error\)"):
        check(hall)


def test_whatever_reading_raises_is_damage(hall):
    hall.store.execute("INSERT INTO meta(key, value) VALUES ('anchor', x'c1')")
    with pytest.raises(LedgerDamagedError, match=r"l\.db: \w+Error: "):
        check(hall)
