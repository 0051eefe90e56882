"""Payment orders at the office's desk: who is credited, what is asked again, and what goes back by itself."""

import msgspec
import pytest

from back_office.payments.port import (
    Accepted,
    Close,
    Closed,
    Create,
    Failed,
    NoAnswer,
    Notice,
    NotKnown,
    Paid,
    Query,
    Refund,
    Returned,
    ReturnRefused,
    Waiting,
)
from back_office.payments.turn import delay_ms
from back_office.store import orders
from payment_core.orders import OrderState, Purpose
from tests.back_office.payments.world import DAY_MS, MINUTE_MS, PocketBooks
from tests.back_office.world import GUEST, OTHER_GUEST, TENANT

ONE = (1).to_bytes(16, "big")
REFUND_1 = bytes([1]) * 16
REFUND_2 = bytes([2]) * 16


def asks(handled):
    return [send.ask for send in handled.sends]


def answer(counter, ask, word):
    return counter.desk.on_answer(counter.now_ms, ask, word)


def paid(counter, number=1, **changes):
    """Return a paid order."""
    counter.create(number, **changes)
    assert counter.sandbox.pay(number.to_bytes(16, "big"))
    counter.pass_time()
    return counter.order(number)


def test_an_order_is_written_down_before_its_channel_is_told(counter):
    handled = counter.desk.on_create(counter.now_ms, counter.wish())
    assert counter.order().state is OrderState.PENDING
    assert asks(handled) == [Create(ONE, "CNY", 1_000, counter.now_ms + 15 * MINUTE_MS)]
    assert counter.sandbox.orders == {}
    assert counter.pump.carry_out(handled).order.code == f"sandbox://pay/{ONE.hex()}"


def test_an_order_can_be_written_down_and_submitted_later(counter):
    assert counter.create(submit=False).state is OrderState.CREATED
    assert asks(counter.desk.on_submit(counter.now_ms, ONE)) != []
    assert asks(counter.desk.on_submit(counter.now_ms, ONE)) == []
    assert counter.steps() == ["submit"]


def test_the_channels_own_notice_credits_once(counter):
    order = paid(counter)
    assert (order.state, order.payment_id, order.left) == (OrderState.PAID, "sb00000001", 1_000)
    assert counter.books.purses[GUEST] == 1_000


def test_a_phones_claim_is_only_a_reason_to_ask(counter):
    counter.create()
    counter.now_ms += 5_000
    assert asks(counter.desk.on_claim(counter.now_ms, ONE)) == [Query(ONE)]
    assert counter.order().state is OrderState.PENDING
    assert counter.books.purses == {}
    assert asks(counter.desk.on_claim(counter.now_ms + 1_000, ONE)) == []


def test_the_same_wish_is_answered_and_another_one_under_its_id_is_alarmed(counter):
    first = counter.create()
    again = counter.desk.on_create(counter.now_ms + 5, counter.wish())
    assert (again.order, again.sends) == (first, ())
    for change in ({"amount": 999}, {"account_id": OTHER_GUEST}, {"unit": "HKD"}):
        assert "another content" in counter.desk.on_create(counter.now_ms, counter.wish(**change)).refused
    assert counter.alarms() == ["payment_conflict"] * 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amount": 0}, "0 CNY is no sum to pay"),
        ({"amount": 10**12 + 1}, "is no sum to pay"),
        ({"account_id": None}, "a top-up is for an account"),
        ({"account_id": bytes(16)}, "there is no account"),
        ({"lane": "racer-2"}, "and for no lane"),
        ({"purpose": Purpose.PLAY, "lane": "Racer 2"}, "'Racer 2' is none"),
        ({"order_id": b"x"}, "16 bytes"),
        ({"channel": ""}, "goes to a channel"),
        ({"unit": ""}, "no unit"),
        ({"unit": "play:" + "r" * 28}, "no unit"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(counter, changes, why):
    assert why in counter.desk.on_create(counter.now_ms, counter.wish(**changes)).refused


def test_an_unknown_answer_is_asked_about_with_growing_pauses_and_never_guessed(counter):
    handled = counter.desk.on_create(counter.now_ms, counter.wish())
    answer(counter, handled.sends[0].ask, NoAnswer("lost"))
    for tries in range(1, 5):
        assert counter.order().state is OrderState.PENDING
        assert counter.order().due_ms == counter.now_ms + delay_ms(tries - 1)
        assert counter.desk.on_time(counter.now_ms) == []
        counter.now_ms += delay_ms(tries - 1)
        (send,) = counter.desk.on_time(counter.now_ms)
        assert isinstance(send.ask, Create)  # no code yet: the channel may never have heard of it
        answer(counter, send.ask, NoAnswer("lost"))
    assert counter.books.purses == {}


def test_a_pause_is_bounded():
    assert [delay_ms(tries) for tries in (0, 1, 2, 1_000)] == [2_000, 4_000, 8_000, 600_000]


def test_a_notice_that_never_came_is_found_by_asking(counter):
    counter.create()
    counter.sandbox.pay(ONE)
    counter.sandbox.at(counter.now_ms)  # the notice is lost
    counter.pass_time(5_000)
    assert counter.order().state is OrderState.PAID
    assert "query" in counter.steps()


def test_an_order_nobody_pays_is_closed_by_the_channels_word(counter):
    counter.create()
    counter.pass_time(16 * MINUTE_MS)
    assert counter.order().state is OrderState.CLOSED
    assert counter.steps()[-3:] == ["close", "query", "closed"]


def test_a_close_without_an_answer_leaves_it_open_and_asks(counter):
    counter.create()
    handled = counter.desk.on_close(counter.now_ms, ONE)
    assert asks(handled) == [Close(ONE)]
    answer(counter, Close(ONE), NoAnswer())
    assert (counter.order().state, counter.order().closing) == (OrderState.PENDING, True)
    counter.now_ms += MINUTE_MS
    assert [send.ask for send in counter.desk.on_time(counter.now_ms)] == [Query(ONE)]
    assert asks(answer(counter, Query(ONE), Waiting())) == [Close(ONE)]
    answer(counter, Close(ONE), Closed())
    assert counter.order().state is OrderState.CLOSED


def test_a_guest_who_paid_before_the_close_is_credited(counter):
    counter.create()
    counter.sandbox.pay(ONE)
    counter.pump.carry_out(counter.desk.on_close(counter.now_ms, ONE))
    assert counter.order().state is OrderState.PAID
    assert counter.books.purses[GUEST] == 1_000


def test_a_success_after_the_close_goes_back_by_itself(counter):
    counter.create()
    counter.pump.carry_out(counter.desk.on_close(counter.now_ms, ONE))
    counter.sandbox._take(ONE, counter.sandbox.orders[ONE])
    counter.pass_time(1_000)
    assert counter.order().state is OrderState.REVERSED
    assert counter.books.lines == []
    assert counter.sandbox.taken(unit="CNY") == 0
    assert counter.alarms() == ["order_reversed"]


def test_a_late_success_that_nobody_tells_of_is_found_within_a_day(counter):
    counter.create()
    counter.pump.carry_out(counter.desk.on_close(counter.now_ms, ONE))
    counter.sandbox._take(ONE, counter.sandbox.orders[ONE])
    counter.sandbox.at(counter.now_ms)
    for _ in range(24):
        counter.pass_time(DAY_MS // 24)
    assert counter.order().state is OrderState.REVERSED


def test_an_order_is_not_asked_about_for_ever(counter):
    counter.create()
    counter.pump.carry_out(counter.desk.on_close(counter.now_ms, ONE))
    counter.pass_time(2 * DAY_MS)
    assert counter.order().due_ms is None


@pytest.mark.parametrize("told", [Paid("p", "CNY", 999), Paid("p", "CNY", 1_001), Paid("p", "HKD", 1_000)])
def test_a_wrong_sum_is_never_credited_and_goes_back(counter, told):
    handled = counter.desk.on_create(counter.now_ms, counter.wish())
    (ask,) = asks(answer(counter, handled.sends[0].ask, told))
    assert (type(ask), ask.unit, ask.amount) == (Refund, told.unit, told.amount)
    assert counter.order().state is OrderState.REVERSING
    answer(counter, ask, Returned(ask.refund_id, ask.amount))
    assert counter.order().state is OrderState.REVERSED
    assert counter.books.lines == []
    assert sorted(counter.alarms()) == ["order_reversed"]


def test_the_same_notice_is_answered_again_and_another_content_is_alarmed(counter):
    counter.create()
    notice = Notice("n1", ONE, Paid("p1", "CNY", 1_000))
    assert counter.desk.on_notice(counter.now_ms, "sandbox", notice).verdict == "taken"
    assert counter.desk.on_notice(counter.now_ms, "sandbox", notice).verdict == "again"
    other = Notice("n1", ONE, Paid("p1", "CNY", 2_000))
    assert counter.desk.on_notice(counter.now_ms, "sandbox", other).verdict == "refused"
    assert counter.alarms() == ["payment_conflict"]
    assert counter.books.lines == [("credit", 1_000)]


def test_the_same_payment_in_another_notice_credits_nobody_twice(counter):
    counter.create()
    for number in range(3):
        notice = Notice(f"n{number}", ONE, Paid("p1", "CNY", 1_000))
        assert counter.desk.on_notice(counter.now_ms, "sandbox", notice).verdict == "taken"
    assert counter.books.lines == [("credit", 1_000)]
    assert counter.steps() == ["submit", "pay", "pay", "pay"]


def test_two_payments_of_one_order_and_one_payment_of_two_orders_are_alarmed(counter):
    paid(counter)
    counter.create(2)
    second = Notice("x1", ONE, Paid("other", "CNY", 1_000))
    assert counter.desk.on_notice(counter.now_ms, "sandbox", second).verdict == "refused"
    same = Notice("x2", (2).to_bytes(16, "big"), Paid("sb00000001", "CNY", 1_000))
    assert counter.desk.on_notice(counter.now_ms, "sandbox", same).verdict == "refused"
    assert counter.order(2).state is OrderState.PENDING
    assert counter.alarms() == ["payment_conflict"] * 2
    assert counter.books.purses[GUEST] == 1_000


def test_a_notice_for_nobody_is_refused_and_alarmed_once(counter):
    notice = Notice("n9", bytes(16), Paid("p9", "CNY", 1))
    assert counter.desk.on_notice(counter.now_ms, "sandbox", notice).verdict == "refused"
    assert counter.desk.on_notice(counter.now_ms, "sandbox", notice).verdict == "again"
    assert counter.alarms() == ["payment_conflict"]


def test_a_forged_notice_moves_nothing(counter):
    counter.create()
    data = msgspec.msgpack.encode(Notice("n1", ONE, Paid("p1", "CNY", 1_000))) + bytes(32)
    assert counter.pump.notice("sandbox", data) == "refused"
    assert counter.pump.notice("unheard-of", data) == "refused"
    assert counter.order().state is OrderState.PENDING
    assert counter.alarms() == ["payment_conflict"]


def test_a_refund_leaves_the_purse_before_the_channel_is_asked(counter):
    paid(counter)
    handled = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1, amount=300)
    assert asks(handled) == [Refund(ONE, REFUND_1, "CNY", 300)]
    assert (handled.order.state, counter.books.purses[GUEST]) == (OrderState.REFUNDING, 700)
    again = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1, amount=300)
    assert (again.refused, again.sends) == ("", ())
    assert "known with 300" in counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1, amount=1).refused
    answer(counter, handled.sends[0].ask, NoAnswer())
    assert counter.order().state is OrderState.REFUNDING


def test_refunds_in_parts_up_to_the_whole(counter):
    paid(counter)
    for refund_id, amount, state in ((REFUND_1, 300, OrderState.PAID), (REFUND_2, None, OrderState.REFUNDED)):
        handled = counter.desk.on_refund(counter.now_ms, ONE, refund_id=refund_id, amount=amount)
        assert counter.pump.carry_out(handled).order.state is state
    assert counter.books.kept == counter.sandbox.taken(unit="CNY") == 0
    assert "only a paid one" in counter.desk.on_refund(counter.now_ms, ONE, refund_id=bytes(16)).refused


def test_a_refund_of_more_than_is_left_or_there_is_refused(counter):
    paid(counter)
    assert "1000 are left" in counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1, amount=1_001).refused
    counter.books.purses[GUEST] = 200
    assert "only 200" in counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1).refused
    assert counter.order().state is OrderState.PAID


def test_a_refund_that_the_channel_refuses_is_the_guests_again(counter):
    paid(counter)
    handled = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1)
    answer(counter, handled.sends[0].ask, ReturnRefused(REFUND_1, "empty"))
    assert (counter.order().state, counter.order().left) == (OrderState.PAID, 1_000)
    assert counter.books.purses[GUEST] == 1_000
    late = answer(counter, handled.sends[0].ask, Returned(REFUND_1, 1_000))
    assert "returned" in late.refused
    assert "refund_conflict" in counter.alarms()


def test_what_goes_back_by_itself_is_tried_until_it_is_there(counter):
    handled = counter.desk.on_create(counter.now_ms, counter.wish())
    (first,) = asks(answer(counter, handled.sends[0].ask, Paid("p", "CNY", 999)))
    answer(counter, first, ReturnRefused(first.refund_id, "empty"))
    assert counter.order().state is OrderState.REVERSING
    counter.now_ms += DAY_MS
    (send,) = counter.desk.on_time(counter.now_ms)
    assert send.ask.refund_id != first.refund_id
    assert answer(counter, send.ask, Returned(send.ask.refund_id, 999)).order.state is OrderState.REVERSED


def test_a_charge_back_takes_what_is_left_and_the_guest_owes_what_was_spent(counter):
    paid(counter)
    counter.books.purses[GUEST] = 400
    counter.sandbox.charge_back(ONE)
    counter.pass_time()
    assert counter.order().state is OrderState.REVERSED
    assert (counter.books.purses[GUEST], counter.books.owed[GUEST]) == (0, 600)
    assert "chargeback" in counter.alarms()


def test_a_charge_back_whose_notice_was_lost_is_found_by_comparing(counter):
    paid(counter)
    counter.sandbox.charge_back(ONE)
    counter.sandbox.at(counter.now_ms)  # the notice goes nowhere
    counter.pass_time(DAY_MS + MINUTE_MS)
    assert counter.order().state is OrderState.REVERSED


def test_a_paid_order_is_compared_less_and_less_often_and_then_no_more(counter):
    paid(counter)
    asked = counter.steps().count("query")
    for _ in range(200):
        counter.pass_time(DAY_MS)
    assert counter.steps().count("query") - asked == 8
    assert counter.order().due_ms is None


@pytest.mark.parametrize(("taken", "purse"), [(1_000, 0), (700, 0)])
def test_a_charge_back_says_what_became_of_a_refund_on_its_way(counter, taken, purse):
    paid(counter)
    counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND_1, amount=300)
    word = Paid("sb00000001", "CNY", 1_000, charged_back=taken)
    assert counter.desk.on_notice(counter.now_ms, "sandbox", Notice("c", ONE, word)).verdict == "taken"
    assert counter.order().state is OrderState.REVERSED
    assert counter.books.purses[GUEST] == purse
    with counter.office.store.reading() as tx:
        (refund,) = orders.refunds(tx, TENANT, ONE)
    assert refund.state == ("refused" if taken == 1_000 else "returned")


def test_a_play_that_came_back_unplayed_is_refunded_by_itself(counter):
    order = paid(counter, purpose=Purpose.PLAY)
    assert order.account_id == ONE
    counter.pass_time(MINUTE_MS)
    assert counter.order().state is OrderState.PAID  # the slip is still on its way
    counter.books.elsewhere[ONE], counter.books.purses[ONE] = 0, 200
    counter.pass_time(MINUTE_MS)
    assert counter.order().state is OrderState.REVERSED
    assert "undelivered" in counter.steps()
    assert counter.sandbox.taken(unit="CNY") == 0


def test_the_rest_of_a_play_goes_back_and_the_played_part_stays(counter):
    paid(counter, purpose=Purpose.PLAY)
    counter.books.elsewhere[ONE], counter.books.purses[ONE] = 0, 50
    counter.pass_time(MINUTE_MS)
    assert (counter.order().state, counter.order().left) == (OrderState.PAID, 150)
    counter.pass_time(9 * DAY_MS)
    counter.pass_time(DAY_MS)
    assert counter.order().due_ms is None


def test_the_channel_says_failed(counter):
    counter.create()
    counter.sandbox.fail(ONE)
    counter.pass_time()
    assert counter.order().state is OrderState.FAILED
    assert counter.desk.on_close(counter.now_ms, ONE).refused == ""
    notice = Notice("late", ONE, Paid("p", "CNY", 1_000))
    counter.desk.on_notice(counter.now_ms, "sandbox", notice)
    assert counter.order().state is OrderState.REVERSING


def test_an_order_the_channel_never_heard_of_is_told_again_or_closed(counter):
    handled = counter.desk.on_create(counter.now_ms, counter.wish())
    answer(counter, handled.sends[0].ask, Accepted("code"))
    assert answer(counter, Query(ONE), NotKnown()).order.code == ""
    counter.desk.on_close(counter.now_ms, ONE)
    assert answer(counter, Close(ONE), NotKnown()).order.state is OrderState.CLOSED


def test_an_answer_that_was_overtaken_by_the_payment_says_nothing(counter):
    paid(counter)
    for word in (Closed(), Failed("no"), Waiting(), NotKnown(), NoAnswer(), Accepted("x")):
        assert answer(counter, Query(ONE), word).order.state is OrderState.PAID
    assert counter.books.lines == [("credit", 1_000)]


def test_an_office_set_back_hears_of_a_payment_it_had_not_asked_for(counter):
    counter.create(submit=False)
    counter.desk.on_notice(counter.now_ms, "sandbox", Notice("n", ONE, Paid("p", "CNY", 1_000)))
    assert counter.order().state is OrderState.PAID


def test_a_payment_that_the_books_know_otherwise_is_alarmed_and_not_credited(counter, monkeypatch):
    monkeypatch.setattr(PocketBooks, "credit", lambda *_args, **_words: "the books know it otherwise")
    counter.create()
    counter.sandbox.pay(ONE)
    counter.pass_time()
    assert (counter.order().state, counter.order().payment_id) == (OrderState.PENDING, "")
    assert "payment_conflict" in counter.alarms()


def test_what_is_created_and_closed_was_never_told(counter):
    counter.create(submit=False)
    assert counter.desk.on_close(counter.now_ms, ONE).order.state is OrderState.CLOSED
    assert counter.sandbox.orders == {}


def test_a_paid_order_is_refunded_and_not_closed(counter):
    paid(counter)
    assert "refunded, not closed" in counter.desk.on_close(counter.now_ms, ONE).refused


@pytest.mark.parametrize("ask", ["on_submit", "on_close", "on_claim", "on_check"])
def test_an_order_that_is_not_there(counter, ask):
    assert "there is no order" in getattr(counter.desk, ask)(counter.now_ms, bytes(16)).refused
