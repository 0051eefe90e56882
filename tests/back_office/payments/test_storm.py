"""Whatever a channel loses, repeats, delays or takes back: no money is lost, and none is made."""

from collections import Counter as Tally
from random import Random

import pytest
from msgspec import structs

from back_office.payments.desk import Handled, Noted, PaymentDesk
from back_office.payments.port import Create, NoAnswer, Paid, Query, Refund
from back_office.payments.sandbox import CALM, STORMY
from back_office.store import orders
from payment_core.orders import CREDITED, FINAL, TABLE, OrderState, Purpose
from tests.back_office.payments.world import DAY_MS, MINUTE_MS, Counter
from tests.back_office.world import TENANT, Office
from tests.support.sizes import count, size

ORDERS = 12
ACTS = 120


def storm(counter, dice):
    """Let guests, staff, hubs and the channel do what they like for a while."""
    made = 0
    for _ in range(ACTS):
        order_id = dice.randrange(1, max(made, 1) + 1).to_bytes(16, "big")
        match dice.randrange(13):
            case 0 | 1 | 2 if made < ORDERS:
                made += 1
                create(counter, dice, made)
            case 3 | 4 | 5:
                counter.sandbox.pay(order_id)
            case 6:
                act = dice.choice((counter.desk.on_close, counter.desk.on_claim, counter.desk.on_check))
                counter.pump.carry_out(act(counter.now_ms, order_id))
            case 7 | 8:
                amount = dice.choice((None, 50, dice.randrange(1, 300)))
                refund_id = dice.randbytes(16)
                counter.pump.carry_out(
                    counter.desk.on_refund(counter.now_ms, order_id, refund_id=refund_id, amount=amount)
                )
            case 9:
                counter.sandbox.charge_back(order_id)
            case 10:
                counter.sandbox.fail(order_id)
            case 11:
                settle_play(counter, dice, order_id)
                counter.sandbox.say_again(order_id)
            case _:
                counter.pump.carry_out(counter.desk.on_submit(counter.now_ms, order_id))
        counter.pass_time(dice.choice((0, 0, 1_000, 30_000, MINUTE_MS, 5 * MINUTE_MS)))


def create(counter, dice, number):
    """Create an order; now and then one that only an office knows which was set back to an old copy since."""
    purpose = dice.choice((Purpose.PLAY, Purpose.TOP_UP, Purpose.TOP_UP))
    order = counter.create(number, purpose=purpose, amount=dice.randrange(1, 9) * 50, submit=dice.random() < 0.8)
    if order.state is OrderState.CREATED and dice.random() < 0.5:
        counter.sandbox.create(Create(order.order_id, order.unit, order.amount, order.expires_ms))
        counter.sandbox.pay(order.order_id)


def settle_play(counter, dice, order_id):
    """Let a hub take a slip: the machine plays it, a part of it, or nothing."""
    books = counter.books
    back = dice.choice((0, books.elsewhere[order_id] // 2, books.elsewhere[order_id], books.elsewhere[order_id]))
    books.elsewhere[order_id] = 0
    books.purses[order_id] += back


def calm_down(counter):
    """Let the network heal and everything come to its end; then compare with the channel, as is done every day."""
    counter.sandbox.temper = CALM
    for order_id in counter.sandbox.orders:
        counter.pump.carry_out(counter.desk.on_submit(counter.now_ms, order_id))
    for _ in range(26):
        counter.pass_time(DAY_MS // 24)
    for order_id in counter.sandbox.orders:
        counter.pump.carry_out(counter.desk.on_check(counter.now_ms, order_id))
    counter.pass_time(DAY_MS)
    assert counter.sandbox.quiet


def rows_of(counter):
    """Return every row of the table that was walked."""
    walked = Tally()
    with counter.office.store.reading() as tx:
        for order in orders.orders(tx, TENANT):
            state = OrderState.CREATED
            for row in orders.steps(tx, TENANT, order.order_id):
                walked[state, row.step] += 1
                state = row.state
            assert state is order.state
    return walked


def judge(counter):
    """Compare the office with the channel: order by order, then all of it."""
    with counter.office.store.reading() as tx:
        found = orders.orders(tx, TENANT)
    for order in found:
        account = counter.sandbox.orders.get(order.order_id)
        has = account.left if account else 0
        assert order.state in FINAL | {OrderState.CREATED}, order
        assert (order.left if order.state in CREDITED else 0) == has, (order, account)
    assert counter.books.kept == counter.sandbox.taken(unit="CNY")
    spent_or_there = counter.books.kept
    assert spent_or_there == sum(order.left for order in found if order.state in CREDITED)


def run(office, seed, desk=PaymentDesk):
    counter = Counter(office, temper=STORMY, seed=seed, desk=desk)
    storm(counter, Random(seed))
    calm_down(counter)
    judge(counter)
    return rows_of(counter)


@pytest.mark.long
def test_no_storm_loses_or_makes_money(tmp_path):
    walked = Tally()
    for seed in range(count(300)):
        walked += in_an_office(tmp_path / f"{seed}", seed)
    assert size() != "full" or set(walked) == set(TABLE)


def in_an_office(folder, seed, desk=PaymentDesk):
    folder.mkdir()
    office = Office(folder)
    try:
        return run(office, seed, desk)
    finally:
        office.store.close()


class _Guesses(PaymentDesk):
    """Takes silence for a payment."""

    def on_answer(self, now_ms, ask, word):
        if isinstance(word, NoAnswer) and isinstance(ask, Query):
            order = self._order(ask.order_id)
            if order.state is OrderState.PENDING:
                word = Paid(f"guess-{order.order_id.hex()}", order.unit, order.amount)
        return super().on_answer(now_ms, ask, word)

    def _order(self, order_id):
        with self._store.reading() as tx:
            return orders.order(tx, TENANT, order_id)


class _Trusts(_Guesses):
    """Credits what the phone says."""

    def on_claim(self, now_ms, order_id):
        order = self._order(order_id)
        if order is not None and order.state is OrderState.PENDING:
            claimed = Paid(f"claim-{order_id.hex()}", order.unit, order.amount)
            return PaymentDesk.on_answer(self, now_ms, Query(order_id), claimed)
        return super().on_claim(now_ms, order_id)

    def on_answer(self, now_ms, ask, word):
        return PaymentDesk.on_answer(self, now_ms, ask, word)


class _Forgets(_Guesses):
    """Does not hear a payment that comes after the end of its order."""

    def on_answer(self, now_ms, ask, word):
        return Handled(None) if self._is_late(ask.order_id, word) else PaymentDesk.on_answer(self, now_ms, ask, word)

    def on_notice(self, now_ms, channel, notice):
        return (
            Noted("taken")
            if self._is_late(notice.order_id, notice.word)
            else super().on_notice(now_ms, channel, notice)
        )

    def _is_late(self, order_id, word):
        order = self._order(order_id)
        ended = order is not None and order.state in (OrderState.CLOSED, OrderState.FAILED)
        return isinstance(word, Paid) and ended


class _ForgetsRefundIds(PaymentDesk):
    """Asks for a refund under a new id each time it does not hear of it: the channel gives it twice."""

    def on_time(self, now_ms):
        return [
            structs.replace(send, ask=structs.replace(send.ask, refund_id=bytes(8) + now_ms.to_bytes(8, "big")))
            if isinstance(send.ask, Refund)
            else send
            for send in super().on_time(now_ms)
        ]


@pytest.mark.long
@pytest.mark.parametrize("mutant", [_Guesses, _Trusts, _Forgets, _ForgetsRefundIds])
def test_a_broken_desk_is_noticed(tmp_path, mutant):
    """The same storms, on builds that guess, trust a phone, overhear late money, or refund under new ids."""
    for seed in range(30):
        try:
            in_an_office(tmp_path / f"{seed}", seed, mutant)
        except AssertionError:
            return
    pytest.fail("no seed of 30 noticed it")
