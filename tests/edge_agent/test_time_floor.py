"""TIM-1: the time floor is on the disk within a minute, and order is by seq whatever the wall clock does."""

import msgspec

from edge_agent.ledger.reader import LedgerReader
from payment_core.journal import TimeQuality
from tests.support.hall import Hall, the_command
from tests.support.lan import journal_of
from tests.support.ledger_truth import faults_of

DAYS_400_MS = 400 * 24 * 3_600_000


def floor_of(hall):
    reader = LedgerReader(hall.path)
    floor_ms = reader.newest_wall_ms()
    reader.close()
    return floor_ms


def test_the_floor_is_never_more_than_a_minute_behind_and_never_goes_back(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    for _ in range(100):
        hall.wait(1_000)
        assert hall.wall_ms - 60_000 <= floor_of(hall) <= hall.wall_ms
    highest = floor_of(hall)
    hall.wall_ms -= DAYS_400_MS
    hall.wait(60_000)
    hall.restart()
    hall.step()
    assert floor_of(hall) == highest
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


def test_order_is_by_seq_through_every_jump(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.enroll("card-7", 5_000)
    for jump in (DAYS_400_MS, -2 * DAYS_400_MS, DAYS_400_MS):
        hall.wall_ms += jump
        command = the_command(hall.wait(2_000, hall.tap("card-7")))
        hall.step(hall.delivered(command))
    journal = journal_of(hall)
    assert [entry.header.seq for entry in journal] == list(range(1, len(journal) + 1))
    walls = [entry.header.wall_ms for entry in journal]
    assert walls != sorted(walls)
    assert hall.balance("card-7") == 5_000 - 3 * 200
    assert faults_of(hall.store) == []
    hall.store.close()
