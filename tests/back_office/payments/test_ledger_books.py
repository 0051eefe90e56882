"""Payment orders in the office's real books: every path leaves them balanced, and lots know what was paid."""

from random import Random

import pytest

from back_office.ledger.terms import GiftStep, TopUpTerms, keep_terms
from back_office.payments.desk import PaymentDesk
from back_office.payments.ledger_books import LedgerBooks
from back_office.payments.port import Notice, Paid, Returned, ReturnRefused
from back_office.payments.pump import Pump
from back_office.payments.slips import return_slips
from back_office.store import books, lots, slips
from payment_core.accounts import Kind
from payment_core.orders import OrderState, Purpose
from tests.back_office.payments.world import DAY_MS, Counter
from tests.back_office.world import GUEST, HUB, KEYS, TENANT

ONE = (1).to_bytes(16, "big")
REFUND = bytes([9]) * 16
OF_GUEST = GUEST.hex()


@pytest.fixture
def counter(office):
    made = Counter(office)
    dice = Random(5)
    made.desk = PaymentDesk(office.store, TENANT, LedgerBooks(KEYS, dice=dice.randbytes), dice=dice.randbytes)
    made.pump = Pump(made.desk, {"sandbox": made.sandbox}, lambda: made.now_ms)
    yield made
    proof = office.prove()
    assert (proof.ok, proof.faults) == (True, [])


def balance(counter, kind, key=OF_GUEST, unit="CNY"):
    with counter.office.store.reading() as tx:
        rows = books.balances(tx, TENANT)
    return sum(row.amount for row in rows if (row.account.kind, row.account.key, row.unit) == (kind, key, unit))


def desk_of(counter, tx):
    counter.office.now_ms = counter.now_ms
    return counter.office.desk(tx)


def paid(counter, **changes):
    counter.create(**changes)
    counter.sandbox.pay(ONE)
    counter.pass_time()
    return counter.order()


def with_gift(counter):
    """Give 100 bonus to whoever pays in 1,000."""
    with counter.office.store.writing() as tx:
        keep_terms(tx, TENANT, TopUpTerms(steps=(GiftStep("CNY", 1_000, "bonus", 100),)), now_ms=counter.now_ms)


def test_a_paid_order_is_a_lot_that_names_its_payment(counter):
    order = paid(counter)
    with counter.office.store.reading() as tx:
        ((key, row),) = lots.lots_of_payment(tx, TENANT, channel="sandbox", payment_id=order.payment_id).items()
    assert (key.account_id, key.unit, row.deposited, row.available) == (GUEST, "CNY", 1_000, 1_000)
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PSP_CLEARING, "sandbox")) == (-1_000, 1_000)


def test_a_refund_in_parts_takes_its_share_of_the_gift(counter):
    with_gift(counter)
    paid(counter)
    assert balance(counter, Kind.PURSE, unit="bonus") == -100
    counter.pump.carry_out(counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND, amount=400))
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PURSE, unit="bonus")) == (-600, -60)
    counter.pump.carry_out(counter.desk.on_refund(counter.now_ms, ONE, refund_id=ONE))
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PURSE, unit="bonus")) == (0, 0)
    assert counter.order().state is OrderState.REFUNDED
    assert balance(counter, Kind.PSP_CLEARING, "sandbox") == 0


def test_a_refused_refund_puts_money_and_gift_back(counter):
    with_gift(counter)
    paid(counter)
    (send,) = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND, amount=500).sends
    assert balance(counter, Kind.PURSE, unit="bonus") == -50
    counter.desk.on_answer(counter.now_ms, send.ask, ReturnRefused(REFUND, "empty"))
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PURSE, unit="bonus")) == (-1_000, -100)
    (send,) = counter.desk.on_refund(counter.now_ms, ONE, refund_id=ONE).sends
    counter.desk.on_answer(counter.now_ms, send.ask, Returned(ONE, 1_000))
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PURSE, unit="bonus")) == (0, 0)


def test_a_gift_that_was_played_is_not_refunded_as_money(counter):
    with_gift(counter)
    paid(counter)
    office = counter.office
    for key in lots_of_guest(counter):
        office.lots[GUEST, key.unit] = key.lot
    office.lease()
    office.worker.on_message(*office.hub.hello())
    office.hub.held(100, unit="bonus", authorization=1)
    office.hub.captured(100, unit="bonus", authorization=1)
    office.hub.returned(1_000)
    office.take(office.hub.batch())
    refused = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND).refused
    assert refused == "at most 900 CNY can go back: the rest stays for gifts that were spent"
    (send,) = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND, amount=900).sends
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PROMOTION_EXPENSE, "")) == (-1, -99)
    counter.desk.on_answer(counter.now_ms, send.ask, ReturnRefused(REFUND, "empty"))
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PROMOTION_EXPENSE, "")) == (-1_000, 0)


def lots_of_guest(counter):
    with counter.office.store.reading() as tx:
        return list(lots.lots_of_accounts(tx, TENANT, [GUEST]))


def test_what_a_hub_holds_cannot_be_refunded(counter):
    paid(counter)
    counter.office.lease()
    refused = counter.desk.on_refund(counter.now_ms, ONE, refund_id=REFUND).refused
    assert refused.startswith("1000 CNY cannot go back: 0 of this payment are in the purse")


def test_a_charge_back_after_spending_is_owed_by_the_guest(counter):
    with_gift(counter)
    order = paid(counter)
    counter.office.lease()
    word = Paid(order.payment_id, "CNY", 1_000, charged_back=1_000)
    assert counter.desk.on_notice(counter.now_ms, "sandbox", Notice("c", ONE, word)).verdict == "taken"
    assert balance(counter, Kind.GUEST_RECEIVABLE) == 1_000
    assert counter.order().state is OrderState.REVERSED
    counter.create(2)
    counter.sandbox.pay((2).to_bytes(16, "big"))
    counter.pass_time()
    assert balance(counter, Kind.GUEST_RECEIVABLE) == 0  # the next top-up settles it first


def test_a_charge_back_takes_what_is_there_and_the_gift(counter):
    with_gift(counter)
    paid(counter)
    counter.sandbox.charge_back(ONE)
    counter.pass_time()
    assert (balance(counter, Kind.PURSE), balance(counter, Kind.PURSE, unit="bonus")) == (0, 0)
    assert balance(counter, Kind.GUEST_RECEIVABLE) == 0


@pytest.mark.parametrize(("parts", "gift"), [((1,), -100), ((250,), -75), ((250, 250, 500), 0)])
def test_a_charge_back_of_a_part_takes_its_share_of_the_gift(counter, parts, gift):
    with_gift(counter)
    order, ledger = paid(counter), LedgerBooks(KEYS, dice=Random(6).randbytes)
    for part in parts:
        with counter.office.store.writing() as tx:
            ledger.take_back(tx, order, amount=part, now_ms=counter.now_ms)
    assert balance(counter, Kind.PURSE, unit="bonus") == gift
    assert balance(counter, Kind.GUEST_RECEIVABLE) == 0


def test_what_no_refund_took_is_not_put_back(counter):
    order, ledger = paid(counter), LedgerBooks(KEYS, dice=Random(6).randbytes)
    with pytest.raises(AssertionError, match="took anything"), counter.office.store.writing() as tx:
        ledger.put_back(tx, order, refund_id=REFUND, amount=100, now_ms=counter.now_ms)


def test_a_play_is_a_slip_of_its_own_account_and_no_hub_is_leased_to(counter):
    paid(counter, purpose=Purpose.PLAY)
    with counter.office.store.reading() as tx:
        slip = slips.slip(tx, TENANT, ONE)
        way = slips.way(tx, TENANT, ONE)
    assert (slip.account_id, slip.amount, slip.lane, way.state) == (ONE, 200, "racer-2", "outstanding")
    assert balance(counter, Kind.PASSING, ONE.hex()) == -200
    assert counter.office.lease(account=ONE, hub_id=HUB) == 0


def test_a_play_that_no_hub_can_have_goes_back_by_itself(counter):
    paid(counter, purpose=Purpose.PLAY)
    for _ in range(50):
        counter.pass_time(DAY_MS // 24)
        with counter.office.store.writing() as tx:
            return_slips(desk_of(counter, tx))
    assert counter.order().state is OrderState.PAID  # the hall's hub has not said that it has nothing
    with counter.office.store.writing() as tx:
        slips.note_clear(tx, TENANT, HUB, now_ms=counter.now_ms)
        return_slips(desk_of(counter, tx))
    counter.pass_time(DAY_MS // 24)
    assert counter.order().state is OrderState.REVERSED
    assert counter.sandbox.taken(unit="CNY") == 0
