"""What a word of its channel makes of an order.

Nothing is guessed: `NoAnswer` moves nothing, and nobody is credited but by `Paid` from the channel itself.
"""

from typing import Final

import msgspec

from back_office.payments import returning
from back_office.payments.port import (
    Accepted,
    Ask,
    Close,
    Closed,
    Failed,
    NoAnswer,
    NotKnown,
    Paid,
    Query,
    Returned,
    ReturnRefused,
    Waiting,
    Word,
)
from back_office.payments.turn import Turn
from back_office.store import orders
from payment_core.orders import OrderState, OrderStep, Purpose, advance

WATCH_BASE_MS: Final = 60_000
WATCH_CAP_MS: Final = 6 * 3_600_000
WATCH_MS: Final = 24 * 3_600_000
"""How long a closed or failed order is asked about: a payment that comes after its end is found and sent back."""


def hear(turn: Turn, word: Word, *, asked: Ask | None) -> None:
    """Take a word of the channel: the answer to `asked`, or None where it came by itself."""
    match word:
        case Accepted():
            _accepted(turn, word)
        case Waiting():
            _waiting(turn, asked)
        case NoAnswer():
            _nothing_new(turn, word.why)
        case NotKnown():
            _not_known(turn)
        case Closed():
            _end(turn, OrderStep.CLOSED, "the channel says closed")
        case Failed():
            _end(turn, OrderStep.FAIL, word.why)
        case Paid():
            _paid(turn, word)
        case Returned() | ReturnRefused():
            returning.hear(turn, word)


def ask_again(turn: Turn) -> None:
    """Do what is due: ask in the way that fits the order's state, or stop where nothing is owed any more."""
    order = turn.order
    match order.state:
        case OrderState.PENDING if not order.closing and order.expires_ms <= turn.now_ms:
            turn.close()
        case OrderState.PENDING if not order.closing and not order.code:
            turn.ask(turn.create_ask())
        case OrderState.PENDING:
            turn.ask(Query(order.order_id))
        case OrderState.REVERSING | OrderState.REFUNDING:
            refund = turn.asked_refund()
            assert refund is not None, "money on its way back has its refund written down"
            turn.ask(turn.refund_ask(refund))
        case OrderState.CLOSED | OrderState.FAILED if turn.now_ms - order.changed_ms <= WATCH_MS:
            turn.ask(Query(order.order_id))
            _watch(turn)
        case OrderState.PAID if order.purpose is Purpose.PLAY:
            returning.look_after_play(turn)
        case OrderState.PAID if turn.now_ms - order.created_ms <= 2 * returning.PAID_WATCH_MS:
            turn.ask(Query(order.order_id))
            returning.keep_looking(turn)
        case _:
            turn.change(due_ms=None)


def _watch(turn: Turn) -> None:
    turn.wait(base_ms=WATCH_BASE_MS, cap_ms=WATCH_CAP_MS)


def _nothing_new(turn: Turn, why: str) -> None:
    """Note an answer that decides nothing: the order stays as it is, and is asked about again when that is due."""
    if turn.can(OrderStep.UNKNOWN):
        turn.step(OrderStep.UNKNOWN, why)


def _accepted(turn: Turn, word: Accepted) -> None:
    if turn.order.state is OrderState.PENDING and not turn.order.code:
        turn.change(code=word.code)


def _waiting(turn: Turn, asked: Ask | None) -> None:
    _nothing_new(turn, "not decided yet")
    if isinstance(asked, Query) and turn.order.state is OrderState.PENDING and turn.order.closing:
        turn.ask(Close(turn.order.order_id))


def _not_known(turn: Turn) -> None:
    if turn.order.state is OrderState.PENDING and turn.order.closing:
        _end(turn, OrderStep.CLOSED, "the channel never heard of it")
        return
    _nothing_new(turn, "the channel does not know it")
    if turn.order.state is OrderState.PENDING:
        turn.change(code="")  # it is told again when it is asked next


def _end(turn: Turn, step: OrderStep, why: str) -> None:
    """Take an end without money. An answer that a payment has overtaken says nothing any more."""
    if not turn.can(step):
        return
    fresh = turn.order.state is OrderState.PENDING
    turn.step(step, why)
    if fresh:
        _watch(turn)


def _paid(turn: Turn, word: Paid) -> None:
    if not _is_of_this_order(turn, word):
        return
    before, first = turn.order.state, not turn.order.payment_id
    as_asked = (word.unit, word.amount) == (turn.order.unit, turn.order.amount)
    step = OrderStep.PAY if as_asked else OrderStep.MISPAY
    if first and advance(before, step) is OrderState.PAID and not _credited(turn, word):
        return
    turn.step(step, word.payment_id, payment_id=word.payment_id, paid_unit=word.unit, paid=word.amount)
    if first and turn.order.state is OrderState.REVERSING:
        why = f"it was {before.value} when they came"
        if not as_asked:
            why = f"{turn.order.amount} {turn.order.unit} were asked for"
        returning.send_back(turn, why)
    elif first:
        returning.keep_looking(turn)
    if word.charged_back:
        returning.charged_back(turn, word.charged_back)


def _is_of_this_order(turn: Turn, word: Paid) -> bool:
    """Say whether a payment can be this order's: the first one, or the very one it knows already."""
    known = (turn.order.payment_id, turn.order.paid_unit, turn.order.paid)
    told = (word.payment_id, word.unit, word.amount)
    if turn.order.payment_id and told != known:
        turn.refuse("payment_conflict", f"{known} has paid it, and now {told} is said to have paid it")
        return False
    if not word.payment_id or word.amount < 1:
        turn.refuse("payment_conflict", f"a payment without an id or a sum: {told}")
        return False
    other = orders.order_of_payment(turn.tx, turn.tenant_id, channel=turn.order.channel, payment_id=word.payment_id)
    if other not in (None, turn.order.order_id):
        turn.refuse("payment_conflict", f"payment {word.payment_id} has paid order {other.hex()} already")
        return False
    return True


def _credited(turn: Turn, word: Paid) -> bool:
    paid = msgspec.structs.replace(turn.order, payment_id=word.payment_id, paid_unit=word.unit, paid=word.amount)
    why = turn.books.credit(turn.tx, paid, now_ms=turn.now_ms)
    if why:
        turn.refuse("payment_conflict", why)
    return not why
