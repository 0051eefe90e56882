"""Money that goes back: by itself, because a person asked, or because the channel took it."""

from typing import Final

from back_office.payments.port import Returned, ReturnRefused
from back_office.payments.turn import Turn, delay_ms
from back_office.store.orders import RefundRow
from payment_core.orders import OrderState, OrderStep, Purpose

RETRY_BASE_MS: Final = 60_000
PLAY_BASE_MS: Final = 15_000
PLAY_CAP_MS: Final = 3_600_000
DAY_MS: Final = 24 * 3_600_000
PAID_WATCH_MS: Final = 64 * DAY_MS
"""How long a paid top-up is compared with what its channel says."""
PLAY_WATCH_MS: Final = 8 * DAY_MS
"""How long a paid play is looked after: longer than any hub is offline."""


def send_back(turn: Turn, why: str) -> None:
    """Return what was paid and never credited; the order is REVERSING already."""
    refund = turn.add_refund(turn.order.left, automatic=True, booked=False)
    turn.change(refunded=turn.order.paid)
    turn.ask(turn.refund_ask(refund))
    turn.alarm("order_reversed", f"{refund.amount} {turn.order.paid_unit} go back by themselves: {why}")


def refund(turn: Turn, refund_id: bytes, amount: int) -> None:
    """Begin a return that a person asked for: out of the purse first, then the channel is asked."""
    _take_out(turn, refund_id, amount, OrderStep.REFUND, automatic=False)


def look_after_play(turn: Turn) -> None:
    """Send back what of a paid play came back into its purse, once nothing of it is anywhere else."""
    order = turn.order
    there = turn.books.whereabouts(turn.tx, order)
    back = 0 if there.elsewhere else min(there.purse, order.left)
    if back:
        step = OrderStep.UNDELIVERED if back == order.left else OrderStep.REFUND
        _take_out(turn, turn.new_id(), back, step, automatic=True)
    if turn.order.state is OrderState.PAID:
        keep_looking(turn)


def keep_looking(turn: Turn) -> None:
    """Look at a paid order again later: at a play until no hub can bring anything back any more; at a top-up after one
    day, two, four …, because a channel may take money back and its notice be lost.
    """  # noqa: D205 - one sentence
    age_ms = turn.now_ms - turn.order.created_ms
    if turn.order.purpose is Purpose.PLAY and age_ms <= PLAY_WATCH_MS:
        turn.wait(base_ms=PLAY_BASE_MS, cap_ms=PLAY_CAP_MS)
    elif turn.order.purpose is Purpose.TOP_UP and age_ms <= PAID_WATCH_MS:
        turn.change(due_ms=turn.now_ms + max(age_ms, DAY_MS))
    else:
        turn.change(due_ms=None)


def _take_out(turn: Turn, refund_id: bytes, amount: int, step: OrderStep, *, automatic: bool) -> None:
    why = turn.books.take_out(turn.tx, turn.order, refund_id=refund_id, amount=amount, now_ms=turn.now_ms)
    if why:
        turn.refused = why
        return
    asked = turn.add_refund(amount, automatic=automatic, booked=True, refund_id=refund_id)
    turn.step(step, f"{amount}", refunded=turn.order.refunded + amount)
    turn.ask(turn.refund_ask(asked))


def hear(turn: Turn, word: Returned | ReturnRefused) -> None:
    """Take what the channel says about a refund."""
    if isinstance(word, Returned):
        returned(turn, word)
    else:
        return_refused(turn, word)


def returned(turn: Turn, word: Returned) -> None:
    """Take the channel's word that a refund is done."""
    found = _refund_of(turn, word.refund_id)
    if found is None or found.amount != word.amount or found.state == "refused":
        turn.refuse("refund_conflict", f"the channel says it returned {word.amount} as {word.refund_id.hex()}")
    elif found.state == "asked":
        turn.settle(found, "returned")
        part = turn.order.state is OrderState.REFUNDING and turn.order.left > 0
        turn.step(OrderStep.RETURNED_PART if part else OrderStep.RETURNED, f"{word.amount}")
        if part:
            keep_looking(turn)
    elif turn.can(OrderStep.RETURNED) and turn.asked_refund() is None:
        turn.step(OrderStep.RETURNED, "said again")


def return_refused(turn: Turn, word: ReturnRefused) -> None:
    """Take the channel's word that a refund will not be done.

    What goes back by itself is tried again under a new id, later each time; what a person asked for goes into the purse
    again.
    """
    found = _refund_of(turn, word.refund_id)
    if found is None or found.state == "returned":
        turn.refuse("refund_conflict", f"the channel says it did not return {word.refund_id.hex()}: {word.why}")
        return
    if found.state != "asked":
        return
    turn.settle(found, "refused")
    tries = sum(1 for refund in turn.refunds() if refund.state == "refused")
    if turn.order.state is OrderState.REVERSING:
        turn.step(OrderStep.RETURN_REFUSED, word.why)
        turn.add_refund(found.amount, automatic=True, booked=found.booked)
        turn.change(due_ms=turn.now_ms + delay_ms(tries, base_ms=RETRY_BASE_MS))
    else:
        turn.books.put_back(turn.tx, turn.order, refund_id=found.refund_id, amount=found.amount, now_ms=turn.now_ms)
        turn.step(OrderStep.RETURN_REFUSED, word.why, refunded=turn.order.refunded - found.amount)
        keep_looking(turn)
    if tries == 1:
        turn.alarm("refund_refused", f"{found.amount} {turn.order.paid_unit} do not go back: {word.why}")


def charged_back(turn: Turn, amount: int) -> None:
    """Take what the channel took. The sum says whether a refund that is on its way went before."""
    waiting = turn.asked_refund()
    if turn.order.state is OrderState.REFUNDING and waiting is not None:
        if amount == turn.order.left:
            returned(turn, Returned(waiting.refund_id, waiting.amount))
        elif amount == turn.order.left + waiting.amount:
            return_refused(turn, ReturnRefused(waiting.refund_id, "the payment was charged back"))
    match turn.order.state:
        case OrderState.PAID if amount == turn.order.left:
            turn.books.take_back(turn.tx, turn.order, amount=amount, now_ms=turn.now_ms)
            turn.step(OrderStep.CHARGEBACK, f"{amount}", refunded=turn.order.paid)
            turn.alarm("chargeback", f"the channel took {amount} {turn.order.unit} back")
        case OrderState.REVERSING if waiting is not None and amount == waiting.amount:
            turn.settle(waiting, "refused")
            turn.step(OrderStep.CHARGEBACK, f"{amount}")
        case OrderState.REVERSED:
            turn.step(OrderStep.CHARGEBACK, "said again")
        case _:
            turn.refuse("payment_conflict", f"a charge-back of {amount} where {turn.order.left} are left")


def _refund_of(turn: Turn, refund_id: bytes) -> RefundRow | None:
    return next((refund for refund in turn.refunds() if refund.refund_id == refund_id), None)
