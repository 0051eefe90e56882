"""What machines tell of themselves: prizes, and sales for cash of their own: written down once, no guest's money."""

import msgspec
import pytest

from edge_agent.ledger import boxes
from edge_agent.messages import DocumentArrived, SayBooked
from payment_core.accounts import Kind
from payment_core.bus import Booked
from payment_core.events import ButtonPressed, CashSale, CoinInserted, PrizeOut
from payment_core.journal import CashSold, PrizeSeen
from tests.support.hall import Hall, commands, devices_document, logged
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds
from tests.support.mutants import MUTANTS

TAXED = {"version": 2, "unit": "CNY", "rules": [{"price": [[200, "CNY"]], "tax_code": "vat6"}],
         "taxes": {"vat6": {"milli_percent": 6_000}}}  # fmt: skip


@pytest.fixture
def hall(tmp_path):
    hall = with_a_sensor(Hall(tmp_path / "ledger.db"))
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def with_a_sensor(hall):
    document = msgspec.json.decode(devices_document(2, version=2))
    document["lanes"][0]["sensors"] = ["sensor-1"]
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
    return hall


def booked(effects):
    return [effect.booked for effect in effects if isinstance(effect, SayBooked)]


def of_kind(hall, kind):
    return [entry for entry in entries(hall.store) if isinstance(entry, kind)]


def assert_said_once(hall, body, kind):
    told = hall.event("sensor-1", body)
    assert booked(hall.step(told)) == booked(hall.step(told)) == [Booked(1, 1, -1)]
    hall.restart()
    assert booked(hall.step(told)) == [Booked(1, 1, -1)]
    (entry,) = of_kind(hall, kind)
    assert (entry.header.machine, entry.device, entry.event_epoch, entry.event_seq) == ("racer-1", "sensor-1", 1, 1)
    return entry


def test_a_prize_that_left_is_written_down_once(hall):
    assert assert_said_once(hall, PrizeOut(2), PrizeSeen).count == 2
    assert commands(hall.effects) == []
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 0


def test_a_sale_for_the_machines_own_cash_is_booked_once(hall):
    entry = assert_said_once(hall, CashSale(350, 7), CashSold)
    assert (entry.unit, entry.amount, entry.item, entry.taxed) == ("CNY", 350, 7, 0)
    assert balance_of(hall.store, Kind.CASH_BOX, "racer-1") == -350
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 350
    assert boxes.booked(hall.store, "racer-1", "cash_box", "CNY") == 350, "the next count looks for it"
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 0, "it buys nothing a second time"


@pytest.mark.parametrize(("body", "kind"), [(PrizeOut(2), PrizeSeen), (CashSale(350), CashSold)])
def test_a_build_without_marks_is_caught(tmp_path, body, kind):
    hall = with_a_sensor(Hall(tmp_path / "ledger.db", till=MUTANTS["credit-without-mark"].till))
    with pytest.raises((AssertionError, ValueError)):
        assert_said_once(hall, body, kind)


def test_the_tax_of_its_price_is_in_it(hall):
    hall.step(DocumentArrived("prices", 2, msgspec.json.encode(TAXED)))
    hall.step(hall.event("sensor-1", CashSale(350)))
    (entry,) = of_kind(hall, CashSold)
    assert (entry.header.tax_code, entry.taxed) == ("vat6", 20)
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 330
    assert balance_of(hall.store, Kind.TAX, "vat6") == 20


def test_a_machine_without_a_lane_is_written_down_without_its_name(hall):
    hall.step(hall.event("stray-1", PrizeOut(1)), hall.event("stray-1", CashSale(100)))
    assert [of_kind(hall, kind)[0].header.machine for kind in (PrizeSeen, CashSold)] == [None, None]


def test_all_value_events_of_a_device_follow_one_row_of_turns(hall):
    hall.step(hall.event("coin-1", PrizeOut(1)))
    late = hall.event("coin-1", CashSale(100), seq=3)
    assert booked(hall.step(late)) == []
    hall.step(hall.event("coin-1", CoinInserted(5, 1), seq=2), late)
    assert kinds(hall.store)[-2:] == ["Tampered", "CashSold"]


def test_a_button_is_logged(hall):
    assert logged(hall.step(hall.event("sensor-1", ButtonPressed("call")))) == ["button.pressed"]
    assert "Held" not in kinds(hall.store)
