"""TIM-1: the time floor is on the disk within a minute, and order is by seq whatever the wall clock does."""

import msgspec
import pytest

from edge_agent.ledger.reader import LedgerReader
from edge_agent.step.time_floor import TimeFloor
from payment_core.journal import TimeQuality, decode_entry
from tests.support.hall import Hall, the_command
from tests.support.ledger_truth import faults_of

DAYS_400_MS = 400 * 24 * 3_600_000


def floor_of(hall):
    reader = LedgerReader(hall.path)
    floor_ms = reader.newest_wall_ms()
    reader.close()
    return floor_ms


def check_the_floor(hall):
    for _ in range(100):
        hall.wait(1_000)
        assert hall.wall_ms - 60_000 <= floor_of(hall) <= hall.wall_ms
    highest = floor_of(hall)
    hall.wall_ms -= DAYS_400_MS
    hall.wait(60_000)
    hall.restart()
    hall.step()
    assert floor_of(hall) == highest


def test_the_floor_is_never_more_than_a_minute_behind_and_never_goes_back(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    check_the_floor(hall)
    hall.store.close()


def write_what_the_clock_says(_floor, draft):
    draft.store.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('time_floor', ?)", (draft.now.wall_ms,))


def write_every_hour(floor, draft):
    if draft.now.wall_ms - floor._written_ms >= 3_600_000:
        write_what_the_clock_says(floor, draft)
        floor._written_ms = draft.now.wall_ms


@pytest.mark.parametrize("build", [write_what_the_clock_says, write_every_hour])
def test_a_build_whose_floor_is_old_or_goes_back_is_caught(tmp_path, monkeypatch, build):
    monkeypatch.setattr(TimeFloor, "pass_time", build)
    hall = Hall(tmp_path / "ledger.sqlite3")
    with pytest.raises(AssertionError):
        check_the_floor(hall)
    hall.store.close()


def test_a_time_nobody_trusts_raises_no_floor(tmp_path, monkeypatch):
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.enroll("card-7", 1_000)
    before = floor_of(hall)
    real = hall.moment
    monkeypatch.setattr(
        hall, "moment", lambda: msgspec.structs.replace(real(), quality=TimeQuality.NONE, local=None)
    )
    hall.wall_ms += DAYS_400_MS
    hall.step(hall.lease("card-7", 2_000))
    assert floor_of(hall) == before
    hall.store.close()


def check_the_order(hall):
    hall.enroll("card-7", 5_000)
    for jump in (DAYS_400_MS, -2 * DAYS_400_MS, DAYS_400_MS):
        hall.wall_ms += jump
        command = the_command(hall.wait(2_000, hall.tap("card-7")))
        hall.step(hall.delivered(command))
    journal = entries_of(hall)
    assert [entry.header.seq for entry in journal] == list(range(1, len(journal) + 1))
    walls = [entry.header.wall_ms for entry in journal]
    assert walls != sorted(walls)
    assert hall.balance("card-7") == 5_000 - 3 * 200
    assert faults_of(hall.store) == []


def entries_of(hall):
    """Return the journal in the order in which it is sealed for the office."""
    reader = LedgerReader(hall.path)
    entries = [decode_entry(record) for record in reader.records(0, 1_000)]
    reader.close()
    return entries


def test_order_is_by_seq_through_every_jump(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    check_the_order(hall)
    hall.store.close()


def test_a_build_that_orders_by_the_clock_is_caught(tmp_path, monkeypatch):
    by_number = LedgerReader.records

    def by_clock(reader, after, most):
        return sorted(by_number(reader, after, most), key=lambda record: decode_entry(record).header.wall_ms)

    monkeypatch.setattr(LedgerReader, "records", by_clock)
    hall = Hall(tmp_path / "ledger.sqlite3")
    with pytest.raises(AssertionError):
        check_the_order(hall)
    hall.store.close()
