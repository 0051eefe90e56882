"""A vending machine that lies, stutters or dies, and a hub that is killed: no money is lost, none is taken twice."""

import msgspec
import pytest

from edge_agent.messages import DeviceIs, FromDevice
from edge_agent.tap import vending
from payment_core.accounts import Kind
from payment_core.bus import DeviceState
from payment_core.commands import ApproveVend, BeginSession, DenyVend, EndSession
from payment_core.events import LARGEST_EVENT, CashSale, Event, SessionEnded, VendRequested
from payment_core.journal import Held
from payment_core.policy import DAY_MS
from tests.edge_agent.tap.test_vending import MOST, VENDS, ask, bodies, machine, session, vend_hall
from tests.support.hall import commands, logged, the_command, the_view, views
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds


@pytest.fixture
def hall(tmp_path):
    hall = vend_hall(tmp_path, doubt_after_ms=20_000)
    yield hall
    assert faults_of(hall.store) == []
    assert hall.balance("card-7") + earned(hall) + balance_of(hall.store, Kind.SUSPENSE) == 800
    hall.store.close()


def earned(hall):
    return balance_of(hall.store, Kind.REVENUE, "racer-1")


@pytest.mark.parametrize("in_session", [True, False])
def test_a_machine_that_asks_for_nothing_is_told_no(hall, in_session):
    name = session(hall) if in_session else ""
    assert bodies(ask(hall, 0, name)) == [DenyVend()]
    assert "Held" not in kinds(hall.store)
    assert bodies(hall.wait(1_000, hall.tap("card-7"))) == ([] if in_session else [BeginSession(800)])


def test_a_build_that_gives_for_nothing_is_caught(hall, monkeypatch):
    monkeypatch.setattr(vending, "SMALLEST", 0)
    assert bodies(ask(hall, 0, session(hall))) == [ApproveVend(0, 3)]
    hall.step(hall.answer(hall.effects[0].command, "failed"))


@pytest.mark.parametrize("amount", [b"-350", b"3.5", b'"350"', b"null", str(LARGEST_EVENT + 1).encode()])
def test_an_amount_that_is_none_is_no_question(hall, amount):
    name = session(hall)
    body = msgspec.Raw(b'{"amount":' + amount + b',"session":"' + name.encode() + b'"}')
    effects = hall.step(FromDevice("coin-1", Event("VendRequested", 90, 1, 0, body), hall.boottime_ms))
    assert (commands(effects), logged(effects)) == ([], ["event.malformed"])


def test_a_machine_that_names_prices_in_another_unit_sells_nothing(hall):
    hall.step(hall.born(1, "ApproveVend", "unit:JPY"))
    assert bodies(ask(hall, 350)) == [DenyVend()]
    effects = hall.step(hall.tap("card-7"))
    assert (commands(effects), the_view(effects).reason) == ([], "no_price")
    hall.step(hall.born(1, "ApproveVend", "unit:CNY"))
    assert bodies(hall.wait(1_000, hall.tap("card-7"))) == [BeginSession(800)]


def test_a_build_that_takes_any_unit_for_the_prices_is_caught(hall, monkeypatch):
    monkeypatch.setattr(vending, "is_priced_in", lambda _capabilities, _unit: True)
    hall.step(hall.born(1, "ApproveVend", "unit:JPY"))
    assert bodies(hall.step(hall.tap("card-7"))) == [BeginSession(800)]


def stutters(hall):
    """Let a machine change its mind while the guest's money is fetched; return what it is told then."""
    name = session(hall)
    assert the_view(ask(hall, 900, name, item=1)).state == "fetching"
    assert the_view(ask(hall, 850, name, item=2)).state == "fetching"
    return bodies(hall.step(hall.lease("card-7", 2_000)))


def test_only_the_newest_choice_of_a_session_is_sold_when_the_money_comes(tmp_path):
    hall = vend_hall(tmp_path)
    assert stutters(hall) == [ApproveVend(850, 2)]
    assert (hall.balance("card-7"), kinds(hall.store).count("Held")) == (1_150, 1)
    hall.store.close()


def test_a_build_that_sells_every_choice_of_a_session_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(vending, "is_asked", lambda _draft, _tap: True)
    hall = vend_hall(tmp_path)
    assert stutters(hall) != [ApproveVend(850, 2)]
    hall.store.close()


def test_a_second_question_while_the_machine_gives_is_a_sale_only_if_it_gives_again(hall):
    name = session(hall)
    first, second = the_command(ask(hall, 350, name)), the_command(ask(hall, 350, name))
    assert first.id != second.id
    assert second.seq > first.seq
    hall.step(hall.delivered(first), hall.answer(second, "refused", reason="not_asked"))
    assert (hall.balance("card-7"), earned(hall)) == (450, 350)
    hall.step(hall.answer(first, "done"), hall.delivered(first), hall.delivered(second))
    assert (hall.balance("card-7"), earned(hall)) == (450, 350), "late words are evidence, no money"
    assert kinds(hall.store).count("LateEvidence") == 1


def killed_before_the_machine_heard(hall):
    """Kill the hub between its commit and its message; return the id of the sale and the question after the restart."""
    told = the_command(ask(hall, 350, session(hall)))  # committed; nobody publishes it
    hall.restart()
    hall.step()
    asked = the_command(hall.step(machine(hall), DeviceIs("coin-1", DeviceState("online", 0))))
    return told, asked


def test_a_hub_killed_between_its_commit_and_its_message_gives_the_money_back(hall):
    told, asked = killed_before_the_machine_heard(hall)
    assert (asked.id, asked.seq, asked.ttl_ms) == (told.id, told.seq, 0), "a question, never the sale again"
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 0
    hall.step(hall.answer(asked, "refused", reason="not_acted"))
    assert (hall.balance("card-7"), kinds(hall.store)[-1]) == (800, "Voided")
    hall.step(hall.delivered(told))
    assert (hall.balance("card-7"), kinds(hall.store)[-1]) == (800, "LateEvidence")


def test_no_result_is_a_doubt_and_what_comes_of_it_counts_once(hall):
    told = the_command(ask(hall, 350, session(hall)))
    (asked,) = [one for one in commands(hall.wait(125_000)) if one.id == told.id]
    assert (asked.id, asked.ttl_ms, balance_of(hall.store, Kind.SUSPENSE)) == (told.id, 0, 350)
    hall.step(hall.delivered(told), hall.answer(asked, "done"))
    hall.step(hall.delivered(told))
    assert (hall.balance("card-7"), earned(hall), kinds(hall.store).count("Captured")) == (450, 350, 1)


@pytest.mark.parametrize(("first", "then", "balance"), [("failed", "done", 800), ("done", "failed", 450)])
def test_another_word_behind_the_end_moves_no_money(hall, first, then, balance):
    command = the_command(ask(hall, 350, session(hall)))
    hall.step(hall.answer(command, first))
    hall.step(hall.answer(command, then), hall.answer(command, then))
    assert (hall.balance("card-7"), kinds(hall.store).count("LateEvidence")) == (balance, 1)


def test_a_session_that_ended_while_its_sale_is_under_way_ends_no_sale(hall):
    name = session(hall)
    command = the_command(ask(hall, 350, name))
    hall.step(hall.event("coin-1", SessionEnded(name)))
    assert bodies(ask(hall, 200, name)) == [DenyVend()]
    hall.step(hall.delivered(command))
    assert (hall.balance("card-7"), earned(hall)) == (450, 350)


def test_another_machine_cannot_sell_in_a_session_that_is_not_its_own(hall):
    hall.step(hall.born(2, *VENDS))
    name = session(hall)
    effects = hall.step(hall.event("coin-2", VendRequested(350, 3, name)))
    assert (bodies(effects), logged(effects)) == ([DenyVend()], ["vend.unknown_session"])
    command = the_command(ask(hall, 350, name))
    effects = hall.step(hall.answer(command, "done", lane=2))
    assert (kinds(hall.store)[-1], logged(effects)) == ("Commanded", ["result.unknown_command"])
    hall.step(hall.answer(command, "failed"))


def test_caps_hold_for_what_a_machine_asks_as_for_any_price(tmp_path):
    classes = [{"class": "C", "per_tap": 400, "per_day": 600}]
    hall = vend_hall(tmp_path, classes=classes)
    name = session(hall, "card-8")
    told = [views(ask(hall, amount, name))[-1] for amount in (MOST + 1, 401, 400, 201, 200)]
    assert [(view.state, view.reason) for view in told] == [
        ("declined", "asks_too_much"), ("declined", "over_tap_limit"), ("held", ""), ("declined", "over_day_limit"),
        ("held", ""),
    ]  # fmt: skip
    assert sum(part.amount for one in entries(hall.store) if isinstance(one, Held) for part in one.parts) == 600
    hall.store.close()


def test_a_sale_for_cash_of_nothing_and_of_the_most_is_booked_once(hall):
    for amount in (0, LARGEST_EVENT):
        sale = hall.event("coin-2", CashSale(amount, 4))
        hall.step(sale)
        hall.step(sale)
    assert balance_of(hall.store, Kind.REVENUE, "racer-2") == LARGEST_EVENT
    assert kinds(hall.store).count("CashSold") == 2


def test_a_hub_that_slept_sells_neither_in_a_session_nor_for_a_question_of_before(hall):
    name = session(hall)
    hall.pass_ms(DAY_MS)
    assert bodies(ask(hall, 350, name)) == [DenyVend(), EndSession()]
    hall.wait(DAY_MS, hall.event("coin-1", SessionEnded(name)))
    ask(hall, 350)
    hall.pass_ms(DAY_MS)
    assert bodies(hall.step(hall.tap("card-7")))[0] == BeginSession(800)
    assert "Held" not in kinds(hall.store)
