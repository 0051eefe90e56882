"""Acts of staff: who may, how often, once each; money in and out, prizes, cards, boxes."""

import msgspec
import pytest

from edge_agent.ledger import staff_use
from edge_agent.ledger.entries import read_tail
from edge_agent.messages import BatchSealed, DeviceIs, LeaseArrived, ReceiptTaken
from edge_agent.staff_messages import PinRefused, Reply, StaffLocked
from payment_core.accounts import Kind
from payment_core.bus import DeviceState
from payment_core.desk import (
    LARGEST_ACT,
    BlockCard,
    Cancel,
    ClaimCredit,
    CountBox,
    Look,
    PayOut,
    Refund,
    ReplaceCard,
    SellCard,
    SettleDoubt,
    TakeWon,
    TopUp,
    TryMachine,
)
from payment_core.events import LARGEST_EVENT, TicketsWon
from payment_core.journal import (
    BoxCounted,
    BroughtIn,
    Captured,
    CardSold,
    CredentialReplaced,
    LotKind,
    PaidOutHere,
    Source,
    Tender,
    TicketsKept,
)
from payment_core.staff_policy import Quota, TopUpGift
from tests.support.desk import DRAWER, DeskHall, card_text, staff_document
from tests.support.hall import account_of, commands, logged, the_command, the_view
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db", risk={"top_up_cap": 1_000})
    hall.enroll("card-7")
    yield hall
    hall.store.close()


def top_up(amount=500, card="card-7"):
    return TopUp(card_text(card), amount, DRAWER)


def receipt(hall, batch=1):
    last = read_tail(hall.store).seq
    hall.step(BatchSealed(batch, 1, last, bytes(32), b"s"), ReceiptTaken(batch, last))


def drawer(hall):
    return -balance_of(hall.store, Kind.DRAWER, DRAWER)


def test_cash_at_a_counter_is_the_guests_money_at_once(hall):
    assert hall.act(top_up()).outcome == "done"
    assert (hall.balance("card-7"), drawer(hall)) == (500, 500)
    entry = entries(hall.store)[-1]
    assert isinstance(entry, BroughtIn)
    assert (entry.source, entry.place, entry.staff) == (Source.DRAWER, DRAWER, "lin")
    assert [lot.kind for lot in entry.lots] == [LotKind.PAID]
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).state == "held"
    assert faults_of(hall.store) == []


def test_the_hub_takes_no_more_in_than_its_cap_until_a_receipt(hall):
    assert hall.act(top_up(900)).outcome == "done"
    assert hall.act(top_up(200)).reason == "intake_limit"
    receipt(hall)
    assert hall.act(top_up(200)).outcome == "done"


def test_the_same_top_up_twice_is_one_and_another_under_its_id_is_alarmed(hall):
    assert hall.act(top_up(), request=3).outcome == "done"
    assert hall.act(top_up(), request=3).outcome == "again"
    assert hall.act(top_up(600), request=3).reason == "other_content"
    assert hall.act(top_up(), request=3, staff="chen").reason == "other_content"
    hall.restart()
    hall.step(*hall.arrivals())
    assert hall.act(top_up(), request=3).outcome == "again"
    assert (hall.balance("card-7"), kinds(hall.store).count("BroughtIn")) == (500, 1)


def test_a_gift_comes_with_it_by_rule_in_a_lot_of_its_own(hall):
    gifts = (TopUpGift(100, "bonus", 10), TopUpGift(500, "bonus", 80, life_ms=1_000))
    hall.step(staff_document(2, gifts=gifts))
    hall.act(top_up(500))
    assert (hall.balance("card-7"), hall.balance("card-7", "bonus")) == (500, 80)
    entry = entries(hall.store)[-1]
    assert isinstance(entry, BroughtIn)
    paid, gift = entry.lots
    assert (gift.kind, gift.payment_id, gift.expires_ms) == (LotKind.GIFT, paid.payment_id, hall.wall_ms + 1_000)
    hall.pass_ms(2_000)
    assert hall.act(Look("card", credential=card_text("card-7"))).sums[0].amount == 500
    assert faults_of(hall.store) == []


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (TopUp(card_text("card-99"), 100, DRAWER), "unknown_card"),
        (TopUp(card_text("card-7"), 100, DRAWER, unit="bonus"), "unit"),
        (TopUp(card_text("card-7"), 0, DRAWER), "malformed"),
        (TopUp("no hex", 100, DRAWER), "malformed"),
        (TakeWon(card_text("card-7"), 5, "counter", unit="CNY"), "unit"),
        (ClaimCredit(card_text("card-7"), "lane-1"), "nothing_left"),
        (ClaimCredit(card_text("card-7"), "lane-9"), "unknown_lane"),
        (PayOut(card_text("card-7"), 1, DRAWER), "not_collected_here"),
        (Cancel("0198a000-0000-7000-8000-000000000001"), "unknown_authorization"),
        (Look("card", credential=card_text("card-99")), "unknown_card"),
    ],
)
def test_what_cannot_be_done_says_why(hall, act, reason):
    reply = hall.act(act)
    assert (reply.outcome, reply.reason) == ("refused", reason)
    assert "staff.refused" in logged(hall.effects)


def test_a_blocked_card_takes_no_money(hall):
    hall.step(hall.member("card-7", status="blocked"))
    assert hall.act(top_up()).reason == "card_blocked"


def test_nobody_acts_who_is_not_of_the_staff_or_whose_role_does_not_say_so(hall):
    assert hall.act(top_up(), staff="stranger").reason == "unknown_staff"
    hall.step(staff_document(2, may={"look": Quota()}))
    assert hall.act(top_up()).reason == "not_allowed"
    assert hall.act(Look("open")).outcome == "done"


def test_a_quota_counts_acts_and_money_of_a_day_and_a_restart_does_not_forget(hall):
    hall.step(staff_document(2, may={"top_up": Quota(count=3, amount=400)}))
    assert hall.act(top_up(300)).outcome == "done"
    hall.restart()
    hall.step(*hall.arrivals())
    assert hall.act(top_up(200)).reason == "quota"
    assert [hall.act(top_up(50)).outcome for _ in range(2)] == ["done", "done"]
    assert hall.act(top_up(1)).reason == "quota", "the third was the last"
    hall.business_date += 1
    assert hall.act(top_up(1)).outcome == "done"


def test_a_frozen_hub_takes_nothing_new_and_ends_what_is_under_way(hall):
    hall.step(hall.lease("card-7", 700))
    command = the_command(hall.wait(1_000, hall.tap("card-7")))
    hall.step(hall.answer(command, "unknown"))
    hall.store.execute("BEGIN")
    hall.store.execute("INSERT INTO meta(key, value) VALUES ('frozen', 'fork')")
    hall.store.commit()
    hall.restart()
    hall.step(*hall.arrivals())
    assert hall.act(top_up()).reason == "frozen"
    assert hall.act(Look("open")).outcome == "done"
    assert hall.act(SettleDoubt(command.id, delivered=False, note="stood still")).outcome == "done"


def test_cash_goes_out_only_as_far_as_it_came_in_here(hall):
    hall.step(hall.lease("card-7", 700))
    hall.act(top_up(500))
    assert hall.act(PayOut(card_text("card-7"), 501, DRAWER)).reason == "not_collected_here"
    assert hall.act(PayOut(card_text("card-7"), 300, DRAWER, "leaves town"), request=8).outcome == "done"
    assert hall.act(PayOut(card_text("card-7"), 300, DRAWER, "leaves town"), request=8).outcome == "again"
    assert hall.act(PayOut(card_text("card-7"), 201, DRAWER)).reason == "not_collected_here"
    entry = next(entry for entry in entries(hall.store) if isinstance(entry, PaidOutHere))
    assert (entry.note, entry.staff, drawer(hall), hall.balance("card-7")) == ("leaves town", "lin", 200, 900)
    assert faults_of(hall.store) == []


def test_a_payment_that_came_with_a_gift_is_paid_back_at_the_office_only(hall):
    hall.step(staff_document(2, gifts=(TopUpGift(100, "bonus", 10),)))
    hall.act(top_up(500))
    assert hall.act(PayOut(card_text("card-7"), 100, DRAWER)).reason == "not_collected_here"


def test_tickets_are_won_not_paid_and_never_cash(hall):
    assert hall.act(TakeWon(card_text("card-7"), 120, "counter")).reason == "credit_to_account", "off by default"
    hall.step(staff_document(2, credit_to_account=150))
    assert hall.act(TakeWon(card_text("card-7"), 120, "counter")).outcome == "done"
    assert hall.balance("card-7", "ticket") == 120
    assert hall.act(PayOut(card_text("card-7"), 1, DRAWER)).reason == "not_collected_here"
    assert hall.act(top_up(1_000)).outcome == "done", "tickets are no money and count on no cap"
    assert faults_of(hall.store) == []


def test_coins_at_a_lane_become_an_accounts_only_where_the_venue_allows_it(hall):
    hall.step(hall.coin())
    claim = ClaimCredit(card_text("card-7"), "lane-1")
    assert hall.act(claim).reason == "credit_to_account", "off by default"
    hall.step(staff_document(2, credit_to_account=150))
    assert hall.act(claim).amount == 100
    assert (hall.balance("card-7"), balance_of(hall.store, Kind.COIN_CREDIT, "lane-1")) == (100, 0)
    hall.step(hall.coin())
    assert hall.act(claim).reason == "credit_to_account", "100 more would be 200 of 150 today"
    hall.business_date += 1
    assert hall.act(claim).outcome == "done"
    assert faults_of(hall.store) == []


def test_a_card_is_sold_with_its_deposit_and_topped_up(hall):
    new = card_text("card-new")
    assert hall.act(SellCard(new, DRAWER, 600)).amount == 600
    assert hall.act(SellCard(new, DRAWER)).reason == "known_card"
    sold = next(entry for entry in entries(hall.store) if isinstance(entry, CardSold))
    assert (sold.deposit, balance_of(hall.store, Kind.CARD_DEPOSIT)) == (600, 600)
    assert hall.act(top_up(400, "card-new")).outcome == "done"
    assert the_view(hall.wait(1_000, hall.tap("card-new"))).state == "held"
    assert hall.till.balance(sold.account_id) == {"CNY": 200}
    assert faults_of(hall.store) == []


def test_a_deposit_is_money_taken_in_and_waits_for_a_receipt_too(hall):
    assert hall.act(top_up(900)).outcome == "done"
    assert hall.act(SellCard(card_text("card-8"), DRAWER, 200)).reason == "intake_limit"
    assert hall.act(SellCard(card_text("card-9"), DRAWER)).outcome == "done", "without a deposit nothing comes in"
    receipt(hall)
    assert hall.act(SellCard(card_text("card-8"), DRAWER, 200)).outcome == "done"
    assert hall.act(top_up(900)).reason == "intake_limit"
    assert hall.store.rows("SELECT sum(amount) FROM brought_in") == [(200,)]


def test_a_lost_cards_money_and_history_go_on_under_a_new_one(hall):
    hall.act(top_up(600))
    old, new = card_text("card-7"), card_text("card-new")
    assert hall.act(ReplaceCard(old, new, "lost in the hall")).outcome == "done"
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).reason == "card_lost"
    assert the_view(hall.wait(1_000, hall.tap("card-new", 2))).state == "held"
    entry = next(entry for entry in entries(hall.store) if isinstance(entry, CredentialReplaced))
    assert entry.life == 2
    assert hall.act(ReplaceCard(new, old)).reason == "known_card"
    assert faults_of(hall.store) == []


def test_a_card_taken_out_of_use_pays_nothing_from_that_moment(hall):
    hall.act(top_up(600))
    assert hall.act(BlockCard(card_text("card-7"), "lost", "phoned")).outcome == "done"
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).reason == "card_lost"
    hall.step(hall.member("card-7", version=1))
    assert the_view(hall.wait(1_000, hall.tap("card-7", 2))).reason == "card_lost", "a list lifts no block"


def test_a_box_is_counted_against_what_was_booked(hall):
    command = the_command(hall.step(hall.coin(position=6)))
    hall.step(hall.delivered(command))
    hall.act(top_up(300))
    assert [(row.place, row.amount) for row in hall.act(Look("boxes")).sums] == [("racer-1", 500), (DRAWER, 300)]
    assert hall.act(CountBox("racer-1", 480, DRAWER)).amount == -20
    entry = entries(hall.store)[-1]
    assert isinstance(entry, BoxCounted)
    assert (entry.booked, entry.counted) == (500, 480)
    assert hall.act(CountBox(DRAWER, 780, "safe", "drawer")).amount == 0
    assert hall.act(CountBox("racer-1", 0, "safe")).amount == 0
    assert -balance_of(hall.store, Kind.OVER_SHORT) == 20
    assert faults_of(hall.store) == []


def test_wrong_pins_are_counted_over_a_restart_and_lock_longer_each_time(hall):
    for _ in range(4):
        hall.step(PinRefused("desk-1", "lin"))
    hall.restart()
    hall.step(*hall.arrivals())
    first = hall.step(PinRefused("desk-1", "lin"))
    assert StaffLocked("lin", hall.wall_ms + 60_000) in first
    assert "staff.locked" in logged(first)
    assert StaffLocked("lin", hall.wall_ms + 120_000) in hall.step(PinRefused("desk-1", "lin"))
    hall.act(Look("open"))
    assert StaffLocked("lin", 0) in hall.step(PinRefused("desk-1", "lin")), "a right one forgets the wrong ones"
    assert StaffLocked("stranger", 0) not in hall.step(PinRefused("desk-1", "stranger"))


@pytest.mark.parametrize(
    "own", [{"terminal": "desk-2"}, {"by_pin": False}], ids=["with the right PIN at another desk", "by card"]
)
def test_what_somebody_does_himself_forgets_no_guess_at_his_pin(hall, own):
    for _ in range(4):
        hall.step(PinRefused("desk-1", "lin"))
    hall.step(msgspec.structs.replace(hall.acted(Look("open")), **own))
    assert StaffLocked("lin", hall.wall_ms + 60_000) in hall.step(PinRefused("desk-1", "lin"))
    elsewhere = hall.step(PinRefused("desk-2", "lin"))
    assert StaffLocked("lin", hall.wall_ms + 60_000) in elsewhere, "what is locked at one desk is locked at all"


def test_a_build_that_counts_wrong_pins_of_all_desks_together_is_caught(hall, monkeypatch):
    count, keep = staff_use.pin_faults, staff_use.set_pin_faults
    monkeypatch.setattr(staff_use, "pin_faults", lambda store, staff, _terminal: count(store, staff, ""))
    monkeypatch.setattr(
        staff_use, "set_pin_faults", lambda store, staff, _terminal, faults: keep(store, staff, "", faults)
    )
    with pytest.raises(AssertionError):
        test_what_somebody_does_himself_forgets_no_guess_at_his_pin(hall, {"terminal": "desk-2"})


def test_no_act_ever_tells_a_device_anything(hall):
    hall.step(hall.lease("card-7", 700))
    hall.wait(1_000, hall.tap("card-7"))
    hall.act(top_up())
    assert commands(hall.effects) == []


def tickets(hall, count, *, lane=1):
    return hall.event(f"acceptor-{lane}", TicketsWon(count))


def test_tickets_are_kept_at_their_machine_unless_the_venue_lets_them_go(hall):
    hall.step(tickets(hall, 12))
    entry = entries(hall.store)[-1]
    assert isinstance(entry, TicketsKept)
    assert [(row.place, row.unit, row.amount, row.kind) for row in hall.act(Look("credit")).sums] == [
        ("lane-1", "ticket", 12, "won")
    ]
    claim = ClaimCredit(card_text("card-7"), "lane-1", "ticket")
    assert hall.act(claim).reason == "credit_to_account"
    hall.step(staff_document(2, credit_to_account=100))
    assert hall.act(claim).amount == 12
    assert hall.act(claim).reason == "nothing_left"
    assert (hall.balance("card-7", "ticket"), balance_of(hall.store, Kind.TICKETS, "lane-1")) == (12, 0)
    assert faults_of(hall.store) == []


def test_tickets_are_who_played_last_there_for_a_while_and_up_to_the_days_cap(hall):
    hall.step(staff_document(2, credit_to_account=20), hall.lease("card-7", 1_000))
    hall.step(hall.delivered(the_command(hall.wait(1_000, hall.tap("card-7")))))
    won = tickets(hall, 15)
    hall.step(won)
    hall.step(won)
    assert hall.balance("card-7", "ticket") == 15
    hall.step(tickets(hall, 15))
    assert hall.balance("card-7", "ticket") == 15, "15 more would be 30 of 20 today"
    hall.step(staff_document(3, credit_to_account=500))
    hall.wait(120_001, tickets(hall, 1))
    assert hall.balance("card-7", "ticket") == 15, "nobody knows whose they are any more"
    assert balance_of(hall.store, Kind.TICKETS, "lane-1") == 16
    assert faults_of(hall.store) == []


def test_staff_let_a_machine_play_once_at_nobodys_cost(hall):
    reply = hall.act(TryMachine("lane-1", "new coin line"))
    assert reply.outcome == "done"
    command = the_command(hall.effects)
    assert hall.act(TryMachine("lane-1")).reason == "machine_busy"
    hall.step(hall.delivered(command))
    captured = entries(hall.store)[-1]
    assert isinstance(captured, Captured)
    assert (captured.parts, captured.header.tender) == ((), Tender.TEST)
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 0
    hall.step(DeviceIs("coin-1", DeviceState("offline", 0)))
    assert hall.act(TryMachine("lane-1")).reason == "machine_off"
    assert hall.act(TryMachine("lane-9")).reason == "unknown_lane"
    assert faults_of(hall.store) == []


def test_a_machine_that_ends_a_play_in_the_same_step_can_be_tried_and_then_is_busy(hall):
    command = the_command(hall.step(hall.acted(TryMachine("lane-1"))))
    tries = [hall.acted(TryMachine("lane-1")) for _ in range(2)]
    effects = hall.step(*hall.arrivals(), hall.delivered(command), *tries)
    answers = [effect.reply for effect in effects if isinstance(effect, Reply)]
    assert [(answer.outcome, answer.reason) for answer in answers] == [("done", ""), ("refused", "machine_busy")]


@pytest.fixture
def bonus_hall(tmp_path):
    hall = DeskHall(tmp_path / "bonus.db", rules=({"price": [[200, "bonus"]]},))
    hall.enroll("card-7")
    hall.step(LeaseArrived(account_of("card-7"), "bonus", 1, 1_000))
    yield hall
    hall.store.close()


def test_a_quota_counts_every_unit_that_an_act_moves(bonus_hall):
    hall = bonus_hall
    may = {act: Quota(amount=250) for act in ("take_won", "claim_credit", "sell_card", "refund", "settle_doubt")}
    hall.step(staff_document(2, may=may, credit_to_account=10_000))
    assert hall.act(TakeWon(card_text("card-7"), 251, "counter")).reason == "quota"
    assert [hall.act(TakeWon(card_text("card-7"), 200, "counter")).outcome for _ in range(2)] == ["done", "refused"]
    hall.step(tickets(hall, 251))
    assert hall.act(ClaimCredit(card_text("card-7"), "lane-1", "ticket")).reason == "quota"
    assert hall.act(SellCard(card_text("card-new"), DRAWER, deposit=251)).reason == "quota"
    played = []
    for _ in range(2):
        played.append(the_command(hall.wait(2_000, hall.tap("card-7"))))
        hall.step(hall.delivered(played[-1]))
    assert [hall.act(Refund(one.id, note="x")).reason for one in played] == ["", "quota"]
    for reason in ("", "quota"):
        command = the_command(hall.wait(2_000, hall.tap("card-7")))
        hall.step(hall.answer(command, "unknown"))
        assert hall.act(SettleDoubt(command.id, delivered=False, note="x")).reason == reason
    assert faults_of(hall.store) == []


@pytest.mark.parametrize("unit", ["bonus", "CNY", "play:racing", ""])
def test_what_is_worth_a_play_is_never_written_to_a_card_by_hand(bonus_hall, unit):
    bonus_hall.step(staff_document(2, credit_to_account=10_000))
    assert bonus_hall.act(TakeWon(card_text("card-7"), 5, "counter", unit)).reason == "unit"
    bonus_hall.step(staff_document(3, credit_to_account=10_000, won_units=("bonus", "CNY")))
    assert bonus_hall.act(TakeWon(card_text("card-7"), 5, "counter", "CNY")).reason == "unit", "never money"
    assert bonus_hall.act(TakeWon(card_text("card-7"), 5, "counter", "bonus")).outcome == "done"


@pytest.mark.parametrize("act", [TopUp, PayOut, TakeWon])
def test_one_act_moves_no_more_than_any_ledger_can_add_up(act):
    wire = msgspec.json.encode(act(card_text("card-7"), LARGEST_ACT + 1, DRAWER))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wire, type=act)


def test_tickets_beyond_counting_are_refused_with_a_line_and_stop_nothing(hall):
    for _ in range(3):
        assert "event.malformed" in logged(hall.step(tickets(hall, 2**53 - 1)))
    hall.step(tickets(hall, LARGEST_EVENT, lane=2))
    assert [balance_of(hall.store, Kind.TICKETS, lane) for lane in ("lane-1", "lane-2")] == [0, LARGEST_EVENT]
