"""Caps of a day count on a day that a trusted clock said, or that time really spent has reached; a jump is neither."""

import pytest

from edge_agent.step.day_count import DAY_MS
from payment_core.desk import TopUp
from payment_core.journal import TimeQuality
from payment_core.staff_policy import Quota
from tests.support.desk import DRAWER, DeskHall, card_text, staff_document


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db")
    hall.enroll("card-7")
    hall.step(staff_document(2, may={"top_up": Quota(count=1)}))
    yield hall
    hall.store.close()


def may_act(hall):
    return hall.act(TopUp(card_text("card-7"), 100, DRAWER)).outcome == "done"


def restart(hall):
    hall.restart()
    hall.step(*hall.arrivals())


def test_a_clock_that_is_not_trusted_opens_no_day_whatever_it_says(hall):
    hall.quality = TimeQuality.NONE
    assert may_act(hall)
    for day in (20251123, 20260101, 20991231):
        hall.business_date = day
        assert not may_act(hall)
        restart(hall)


def test_nobody_waits_for_a_day_that_an_untrusted_clock_said(hall):
    hall.quality, hall.business_date = TimeQuality.FLOOR, 20991231
    assert may_act(hall)
    hall.quality, hall.business_date = TimeQuality.SYNCED, 20251201
    assert may_act(hall)
    hall.business_date = 20251130
    assert not may_act(hall), "a clock that goes back opens no day either"


def test_without_a_trusted_clock_a_day_is_a_day_that_was_really_spent(hall):
    hall.quality, hall.business_date = TimeQuality.NONE, 20251230
    assert may_act(hall)
    hall.pass_ms(DAY_MS - 1)
    assert not may_act(hall)
    hall.pass_ms(1)
    assert [may_act(hall), may_act(hall)] == [True, False]
    restart(hall)
    hall.pass_ms(DAY_MS - 1)
    assert not may_act(hall), "a restart begins the day's hours anew: it never shortens them"


def test_a_hub_that_never_knew_the_date_counts_days_all_the_same(tmp_path):
    class LostHall(DeskHall):
        def moment(self):
            self.quality = TimeQuality.NONE
            return super().moment()

    hall = LostHall(tmp_path / "lost.db")
    hall.enroll("card-7")
    hall.step(staff_document(2, may={"top_up": Quota(count=1)}))
    days = []
    for _ in range(3):
        days.append([may_act(hall), may_act(hall)])
        hall.pass_ms(DAY_MS)
    assert days == [[True, False]] * 3
    hall.store.close()
