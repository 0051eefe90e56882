"""Refunds: whole and in part, several up to the whole, here at once, with the tax, and never twice."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.ledger import at_stake
from edge_agent.ledger.store import LedgerError
from edge_agent.messages import DeviceIs, DocumentArrived, LeaseArrived
from edge_agent.play import refunds
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.bus import DeviceState
from payment_core.desk import Refund
from payment_core.identifiers import uuid_text
from payment_core.journal import Lot, LotKind, Part, Refunded
from payment_core.lots import tax_back
from tests.support.desk import DeskHall
from tests.support.hall import account_of, logged, the_command, the_view
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds, states

RULES = [{"price": [[200, "CNY"]], "tax_code": "vat"}]


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db")
    hall.enroll("card-7", 1_000)
    yield hall
    hall.store.close()


def play(hall, card="card-7"):
    hall.pass_ms(1_000)
    command = the_command(hall.step(hall.tap(card)))
    hall.step(hall.delivered(command))
    return command.id


def test_a_whole_refund_is_the_guests_money_here_at_once(hall):
    played = play(hall)
    reply = hall.act(Refund(played, note="screen went black"))
    assert (reply.outcome, reply.amount, reply.unit) == ("done", 200, "CNY")
    assert hall.balance("card-7") == 1_000
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 0
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Refunded)
    assert (entry.staff, entry.note, entry.refund_id) == ("lin", "screen went black", b"request " + bytes(7) + b"\1")
    assert list(states(hall.store).values()) == [State.REFUNDED]
    assert faults_of(hall.store) == []


def test_parts_go_up_to_the_whole_and_no_further(hall):
    played = play(hall)
    assert [hall.act(Refund(played, amount)).outcome for amount in (50, 100, 50)] == ["done"] * 3
    assert hall.act(Refund(played, 1)).reason == "too_much"
    assert hall.act(Refund(played)).reason == "nothing_left"
    assert hall.balance("card-7") == 1_000
    assert faults_of(hall.store) == []


def a_refund_into_a_full_hall(folder):
    """Coins were played, then others lie at a machine that is off, up to X_h; return the answer, and the stake."""
    hall = DeskHall(folder / "full.db", risk={"lease_cap": 500})
    command = the_command(hall.step(hall.coin(), hall.coin()))
    hall.step(hall.delivered(command))
    hall.step(DeviceIs("coin-2", DeviceState("offline", hall.wall_ms)))
    for _coin in range(4):
        hall.step(hall.coin(lane=2))
    reply = hall.act(Refund(command.id, note="it stuck"))
    stake = at_stake.at_stake(hall.store, "CNY")
    assert faults_of(hall.store) == []
    hall.store.close()
    return reply, stake


def test_coins_go_back_to_their_machine_within_x_h_only(tmp_path):
    reply, stake = a_refund_into_a_full_hall(tmp_path)
    assert (reply.reason, stake) == ("no_room", 400)


def test_a_build_that_refunds_coins_beyond_x_h_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(refunds, "_has_room", lambda _draft, _parts: True)
    reply, stake = a_refund_into_a_full_hall(tmp_path)
    assert (reply.outcome, stake) == ("done", 600)


def test_a_build_that_forgets_what_was_refunded_is_caught(hall, monkeypatch):
    def nothing(_store, _authorization_id, captured):
        return tuple(msgspec.structs.replace(part, amount=0) for part in captured)

    monkeypatch.setattr("edge_agent.ledger.refund_sums.refunded", nothing)
    with pytest.raises(LedgerError, match="refused a write"):  # the database, where the till does not know
        test_parts_go_up_to_the_whole_and_no_further(hall)


def test_the_same_refund_asked_for_twice_is_one(hall):
    played = play(hall)
    assert hall.act(Refund(played, 80), request=9).outcome == "done"
    again = hall.act(Refund(played, 80), request=9)
    assert (again.outcome, again.amount) == ("again", 80)
    assert kinds(hall.store).count("Refunded") == 1


def test_another_refund_under_the_same_id_is_refused_and_alarmed(hall):
    played = play(hall)
    hall.act(Refund(played, 80), request=9)
    assert hall.act(Refund(played, 90), request=9).reason == "other_content"
    assert "staff.other_content" in logged(hall.effects)
    assert hall.balance("card-7") == 880


def test_it_comes_back_here_also_when_the_rest_of_the_money_went_to_another_hall(hall):
    played = play(hall)
    hall.store.execute("BEGIN")
    hall.store.execute("UPDATE leases SET committed = committed + 800")  # passed on by a voucher
    hall.store.commit()
    assert hall.balance("card-7") == 0
    assert hall.act(Refund(played)).outcome == "done"
    assert hall.balance("card-7") == 200


def test_it_names_the_lots_the_last_one_spent_first(hall):
    gift, paid = (Lot(bytes([n]) * 16, kind, n) for n, kind in ((1, LotKind.GIFT), (2, LotKind.PAID)))
    hall.step(hall.member("card-8"))
    for lot, amount in ((gift, 150), (paid, 500)):
        hall.step(LeaseArrived(account_of("card-8"), "CNY", 1, amount, lot))
    played = play(hall, "card-8")
    hall.act(Refund(played, 100))
    refunded = entries(hall.store)[-1]
    assert isinstance(refunded, Refunded)
    assert refunded.parts == (Part("CNY", 50, 1, paid.lot), Part("CNY", 50, 1, gift.lot))


def test_the_next_tap_tells_the_guest(hall):
    hall.act(Refund(play(hall)))
    hall.pass_ms(1_000)
    assert the_view(hall.step(hall.tap("card-7"))).put_back == 200
    hall.step(hall.delivered(the_command(hall.effects)))
    hall.pass_ms(1_000)
    assert the_view(hall.step(hall.tap("card-7"))).put_back == 0


def test_what_is_open_or_was_given_back_has_nothing_to_refund(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    assert hall.act(Refund(command.id)).reason == "not_captured"
    hall.step(hall.answer(command, "failed"))
    assert hall.act(Refund(command.id)).reason == "not_captured"
    assert hall.act(Refund(uuid_text(bytes(16)))).reason == "unknown_authorization"


def test_a_coin_play_goes_back_to_its_lane_on_the_same_day_only(hall):
    hall.step(hall.coin())
    command = the_command(hall.step(hall.coin()))
    hall.step(hall.delivered(command))
    assert hall.act(Refund(command.id, 100)).outcome == "done"
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 100
    hall.business_date += 1
    assert hall.act(Refund(command.id)).reason == "another_day"
    assert faults_of(hall.store) == []


def test_a_closed_lease_takes_nothing_back(hall):
    played = play(hall)
    hall.store.execute("BEGIN")
    hall.store.execute("UPDATE leases SET committed = committed + 800, closed = 1")
    hall.store.commit()
    assert hall.act(Refund(played)).reason == "lease_closed"


def test_tax_is_named_at_the_capture_and_goes_back_with_the_refund(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db")
    prices = {"version": 2, "unit": "CNY", "rules": RULES, "taxes": {"vat": {"milli_percent": 6_000}}}
    hall.step(DocumentArrived("prices", 2, msgspec.json.encode(prices)))
    hall.enroll("card-7", 1_000)
    played = play(hall)
    assert balance_of(hall.store, Kind.TAX, "vat") == 11
    hall.act(Refund(played, 100))
    assert balance_of(hall.store, Kind.TAX, "vat") == 6
    hall.act(Refund(played))
    assert balance_of(hall.store, Kind.TAX, "vat") == 0
    hall.store.close()


def test_the_database_itself_refuses_more_than_the_whole(hall):
    hall.act(Refund(play(hall)))
    hall.store.execute("BEGIN")
    with pytest.raises(LedgerError, match="refused a write"):
        hall.store.execute("UPDATE refund_sums SET refunded = refunded + 1")


@given(st.integers(1, 10_000), st.integers(0, 2_000), st.lists(st.integers(0, 3_000), max_size=6))
def test_the_tax_of_all_parts_is_the_tax_of_the_whole(gross, tax, shares):
    captured, taxed = (Part("CNY", gross, 1),), (Part("CNY", min(tax, gross)),)
    gone = 0
    back = 0
    for share in [*shares, gross]:
        part = min(share, gross - gone)
        back += sum(row.amount for row in tax_back(taxed, captured, (Part("CNY", gone, 1),), (Part("CNY", part, 1),)))
        gone += part
    assert back == min(tax, gross)
