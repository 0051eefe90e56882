"""Nobody's money leaves while he stands there: cash and asks stay within the room, the longest idle goes first."""

from collections import deque

import pytest

from cloud_sync.protocol.peers import Voucher
from edge_agent.peer_messages import FromPeer
from payment_core.desk import PayOut, TopUp
from payment_core.journal import Lot, LotKind, Part
from tests.support.desk import DRAWER, DeskHall, card_text, staff_document
from tests.support.hall import account_of, views
from tests.support.lan import Lan, hub_id_of
from tests.support.ledger_truth import faults_of


def test_cash_beyond_the_room_is_refused_before_it_is_taken(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db", risk={"lease_cap": 1_000, "top_up_cap": 10_000})
    hall.enroll("here", 950)
    hall.enroll("guest")
    assert hall.act(TopUp(card_text("guest"), 51, DRAWER)).reason == "intake_limit"
    assert hall.act(TopUp(card_text("guest"), 50, DRAWER)).outcome == "done"
    assert (hall.balance("here"), hall.balance("guest")) == (950, 50)
    hall.store.close()


def test_who_was_here_longest_without_playing_makes_room(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db", risk={"lease_cap": 1_000})
    for card in ("long-gone", "just-now", "arriving"):
        hall.enroll(card, 400)
        hall.pass_ms(1_000)
    assert [hall.balance(card) for card in ("long-gone", "just-now", "arriving")] == [200, 400, 400]
    hall.enroll("rich", 5_000)
    assert hall.balance("rich") == 1_000, "what is beyond all room is his own"
    assert faults_of(hall.store) == []
    hall.store.close()


@pytest.fixture
def lan(tmp_path):
    lan = Lan(tmp_path, halls=3, risk={"lease_cap": 1_000, "top_up_cap": 10_000}, hall=DeskHall)
    yield lan
    for hall in lan.halls:
        assert faults_of(hall.store) == []
    lan.close()


def tap(lan, card, at, lane=1):
    effects = lan.step(at, lan.hall(at).tap(card, lane))
    for _ in range(12):
        effects += [*lan.run(), *lan.wait(50)]
    return [view.state for view in views(effects)]


def test_two_guests_who_come_at_once_do_not_overflow_the_hall(lan):
    for at, card in enumerate("ab", start=1):
        lan.enroll(card, 900, at=at)
    effects = [*lan.step(3, lan.hall(3).tap("a", 1)), *lan.step(3, lan.hall(3).tap("b", 2))]
    for _ in range(12):
        effects += [*lan.run(), *lan.wait(50)]
    assert [view.state for view in views(effects)].count("held") == 1
    assert lan.total() == 1_600, "a play was held, and nothing of either went to the office"
    assert tap(lan, "b", 2)[-1] == "held", "what did not fit stayed where it was"


def test_a_silent_hub_that_owes_one_guest_leaves_room_for_the_next(lan):
    lan.enroll("a")
    lan.enroll("b", 900, at=1)
    effects = [*lan.step(3, lan.hall(3).tap("a", 1)), *lan.step(3, lan.hall(3).tap("b", 2))]
    for _ in range(2):
        lan.wire = deque(sent for sent in lan.wire if sent[1] != 2)  # hall 2 hears nothing
        effects += [*lan.run(), *lan.wait(50)]
    lan.wire = deque(sent for sent in lan.wire if sent[1] != 2)
    assert [view.state for view in views([*effects, *lan.run()])].count("held") == 1
    assert lan.total() == 700


def test_a_giver_gives_no_more_than_its_taker_takes_on_its_word(lan):
    for at in (1, 2, 3):
        lan.step(at, staff_document(5))
    for n in range(6):
        lan.enroll(f"g{n}")
        lan.step(1, lan.hall(1).acted(TopUp(card_text(f"g{n}"), 200, DRAWER)))
        tap(lan, f"g{n}", 2)
        lan.wait(2_000)
    assert lan.passing() == 0
    assert lan.balances("g5") == [200, 0, 0]
    assert tap(lan, "g5", 1)[-1] == "held"


def test_no_more_of_a_payment_is_paid_out_than_was_collected_for_it_here(lan):
    lan.enroll("g")
    act = lan.hall(1).act
    assert act(TopUp(card_text("g"), 100, DRAWER)).outcome == "done"
    ((lot,),) = lan.hall(1).store.rows("SELECT lot FROM lots_made")
    voucher = Voucher(account_of("g"), 1, 77, 1, (Part("CNY", 800, None, lot),), (Lot(lot, LotKind.PAID, 5),))
    lan.step(1, FromPeer(hub_id_of(2), 1, voucher, b"signed"))
    assert lan.hall(1).balance("g") == 900
    assert act(PayOut(card_text("g"), 101, DRAWER)).reason == "not_collected_here"
    assert [act(PayOut(card_text("g"), 60, DRAWER)).outcome for _ in range(2)] == ["done", "refused"]
    assert act(PayOut(card_text("g"), 40, DRAWER)).outcome == "done"
