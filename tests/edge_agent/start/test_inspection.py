"""The whole ledger is checked beside the till, again every business day, and damage is told once."""

import threading

import pytest

from edge_agent.ledger.store import PAGE_BYTES
from edge_agent.start import inspection
from edge_agent.start.inspection import Inspection
from tests.support.hall import Hall


@pytest.fixture(name="hall")
def hall_fixture(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "PAUSE_S", 0.0)
    monkeypatch.setattr(inspection, "LOOK_S", 0.0)
    hall = Hall(tmp_path / "l.db")
    hall.enroll("card-7", 1_000)
    hall.store.checkpoint()
    yield hall
    hall.store.close()


CHECKS = 3


class Watched:
    """An inspection whose checks are counted, on dates that a test gives."""

    def __init__(self, hall: Hall, dates, monkeypatch) -> None:
        self.checked = 0
        self.damage = []
        self.done = threading.Event()
        self._dates = iter(dates)
        self._today = 0
        monkeypatch.setattr(inspection, "log", self._log)
        self.inspection = Inspection(
            hall.path, hall.store.sums, business_date=self._date, damaged=self._damaged
        )

    def _log(self, event: str, /, **_fields: object) -> None:
        self.checked += event == "ledger.checked"
        if self.checked == CHECKS:
            self.done.set()

    def _date(self) -> int:
        self._today = next(self._dates, self._today)
        return self._today

    def _damaged(self, error: Exception) -> None:
        self.damage.append(str(error))
        self.done.set()


def test_it_is_checked_again_when_the_business_date_changes(hall, monkeypatch):
    watched = Watched(hall, [1, 1, 1, 2, 2, 2, 3], monkeypatch)
    watched.inspection.start()
    assert watched.done.wait(20)
    watched.inspection.stop()
    assert watched.checked == CHECKS
    assert watched.damage == []


def test_damage_is_told_once_and_the_thread_ends(hall, monkeypatch):
    data = bytearray(hall.path.read_bytes())
    data[4 * PAGE_BYTES + 900] ^= 1
    hall.path.write_bytes(data)
    watched = Watched(hall, [1, 2, 3], monkeypatch)
    watched.inspection.start()
    assert watched.done.wait(20)
    watched.inspection.stop()
    assert len(watched.damage) == 1
    assert "page 5 is not what was written" in watched.damage[0]
    assert watched.checked == 0


def test_it_ends_behind_the_piece_under_way(hall, monkeypatch):
    monkeypatch.setattr(inspection, "PAUSE_S", 60.0)
    watched = Watched(hall, [], monkeypatch)
    watched.inspection.start()
    watched.inspection.stop()
    assert (watched.checked, watched.damage) == (0, [])


def test_one_that_never_began_can_be_stopped(hall, monkeypatch):
    Watched(hall, [], monkeypatch).inspection.stop()
