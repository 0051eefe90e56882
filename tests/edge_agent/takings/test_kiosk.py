"""Cash for an account: the card first, then coins or notes; once each, up to the hub's cap, and none is ever lost."""

import msgspec
import pytest

from edge_agent.messages import DocumentArrived
from payment_core.accounts import Kind
from payment_core.desk import ClaimCredit, Look
from payment_core.journal import BroughtIn, Source
from tests.support.desk import DeskHall, card_text, staff_document
from tests.support.hall import commands, devices_document, logged, the_view
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db", risk={"top_up_cap": 700})
    document = msgspec.json.decode(devices_document(2, version=2))
    document["lanes"][0] |= {"takes": "account", "machine": "kiosk", "output": ""}
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
    hall.enroll("card-7", 100)
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def test_cash_after_a_card_is_money_on_it_once_each(hall):
    view = the_view(hall.step(hall.tap("card-7")))
    assert (view.state, view.balance_after) == ("idle", 100)
    note = hall.coin(position=6)
    assert the_view(hall.step(note)).balance_after == 600
    hall.step(note)
    assert hall.balance("card-7") == 600
    entry = entries(hall.store)[-1]
    assert isinstance(entry, BroughtIn)
    assert (entry.source, entry.place) == (Source.CASH_BOX, "kiosk")
    assert [(row.place, row.amount) for row in hall.act(Look("boxes")).sums] == [("kiosk", 500)]
    assert commands(hall.effects) == []


def test_cash_without_a_card_waits_at_its_lane_and_staff_can_give_it(hall):
    hall.step(hall.coin())
    hall.step(hall.tap("card-7"))
    hall.wait(60_001, hall.coin())
    assert (hall.balance("card-7"), balance_of(hall.store, Kind.COIN_CREDIT, "lane-1")) == (100, 200)
    hall.step(staff_document(2, credit_to_account=500))
    assert hall.act(ClaimCredit(card_text("card-7"), "lane-1")).amount == 200
    assert hall.balance("card-7") == 300


def test_beyond_the_hubs_cap_it_is_booked_as_credit_and_said(hall):
    hall.step(hall.tap("card-7"))
    hall.step(hall.coin(position=6))
    hall.step(hall.coin(position=6))
    assert "intake.limit" in logged(hall.effects)
    assert (hall.balance("card-7"), balance_of(hall.store, Kind.COIN_CREDIT, "lane-1")) == (600, 500)


def test_a_card_that_is_unknown_or_blocked_opens_nothing(hall):
    assert the_view(hall.step(hall.tap("card-99"))).reason == "unknown_card"
    hall.step(hall.member("card-7", status="lost"))
    assert the_view(hall.step(hall.tap("card-7"))).reason == "card_lost"
    hall.step(hall.member("card-7", status="blocked", class_="A", version=2))
    assert the_view(hall.step(hall.tap("card-7"))).reason == "card_blocked", "its key was taken away with it"
    hall.step(hall.coin())
    assert kinds(hall.store)[-1] == "CoinBooked"


def test_a_restart_forgets_whose_card_was_shown(hall):
    hall.step(hall.tap("card-7"))
    hall.restart()
    hall.step(*hall.arrivals())
    hall.step(hall.coin())
    assert (hall.balance("card-7"), kinds(hall.store)[-1]) == (100, "CoinBooked")
