"""Guests of one account who wait at two lanes: each has his own time, whoever of them came first."""

import msgspec
import pytest

from edge_agent.lan.parking import Parking
from edge_agent.messages import FoundElsewhere, OfficeLink
from tests.support.hall import PRICE, Hall, account_of, commands, views
from tests.support.ledger_truth import faults_of, kinds


def two_guests(folder):
    """The office has another hub return the money; it comes behind the first guest's time and within the second's.

    Return the hall when the money is here.
    """
    hall = Hall(folder / "ledger.sqlite3", risk={"ask_ms": 300})
    hall.enroll("card-7")
    hall.step(OfficeLink(up=True), hall.tap("card-7", 1))
    hall.wait(50, FoundElsewhere(account_of("card-7"), coming=True))
    hall.wait(200, hall.tap("card-7", 2))
    hall.wait(50)
    hall.wait(40, hall.lease("card-7", PRICE))
    return hall


def test_the_second_guest_of_an_account_waits_his_own_time(tmp_path):
    hall = two_guests(tmp_path)
    assert len(commands(hall.effects)) == 1
    assert kinds(hall.store).count("Declined") == 1, "the first one's time was over"
    assert faults_of(hall.store) == []
    hall.store.close()


def test_his_time_ends_too(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"ask_ms": 300})
    hall.enroll("card-7")
    hall.step(OfficeLink(up=True), hall.tap("card-7", 1))
    hall.wait(50, FoundElsewhere(account_of("card-7"), coming=True))
    hall.wait(200, hall.tap("card-7", 2))
    ends = [len([view for view in views(hall.wait(50)) if view.state == "declined"]) for _ in range(8)]
    assert ends == [1, 0, 0, 0, 0, 1, 0, 0]
    assert hall.till.outstanding == 0
    hall.store.close()


@pytest.mark.parametrize("name", ["coming", "taps"])
def test_a_build_that_decides_all_with_the_late_one_is_caught(tmp_path, monkeypatch, name):
    give_up = Parking._give_up

    def at_once(parking, draft, account_id, waits):
        if name == "coming":
            give_up(parking, draft, account_id, waits)
            waits.office_asked_ms = None
            if account_id in parking.waits:
                parking._conclude(draft, account_id, waits)
        else:
            waits.taps = [msgspec.structs.replace(tap, deadline_ms=0) for tap in waits.taps]
            give_up(parking, draft, account_id, waits)

    monkeypatch.setattr(Parking, "_give_up", at_once)
    hall = two_guests(tmp_path)
    assert commands(hall.effects) == []
    hall.store.close()
