"""A payment order's states and steps as one total table. Its diagram in docs/payments.md is drawn from it.

An order asks a payment channel for money: for a purse, or for one play at one lane. Only the channel's own word moves
it; a phone's claim is a reason to ask and nothing else. Every (state, step) is either a row of `TABLE` or illegal.
"""

from enum import StrEnum
from typing import Final

from payment_core.errors import IllegalStepError


class Purpose(StrEnum):
    """What is bought."""

    TOP_UP = "top_up"
    """money for a purse"""
    PLAY = "play"
    """one play at one lane; what the machine did not deliver goes back by itself"""


class OrderState(StrEnum):
    """Where an order stands.

    REVERSING and REFUNDING are two states because they end differently: what goes back by itself goes back whole and is
    tried until it has arrived; what a person asked for may be a part, and is paid again where the channel refuses.
    """

    CREATED = "created"
    """written down, nobody told"""
    PENDING = "pending"
    """the channel was told, or may have been"""
    PAID = "paid"
    """the channel says it has the money, and it is credited; parts of it may have been refunded"""
    FAILED = "failed"
    """the channel says it will not be paid"""
    CLOSED = "closed"
    """the channel says it can no longer be paid, or never heard of it"""
    REVERSING = "reversing"
    """money that came too late, in a wrong sum or for nothing is on its way back by itself"""
    REVERSED = "reversed"
    """all of it is back with the guest, and nothing was bought"""
    REFUNDING = "refunding"
    """a person asked for money to go back, and the channel has not said yet that it did"""
    REFUNDED = "refunded"
    """all of it went back, in one part or several"""


class OrderStep(StrEnum):
    """What can happen to an order."""

    SUBMIT = "submit"
    """written down that the channel will be told; only then it is"""
    QUERY = "query"
    """written down that the channel is asked again"""
    UNKNOWN = "unknown"
    """no answer, or one that says nothing yet"""
    PAY = "pay"
    """the channel says: paid, as it was asked"""
    MISPAY = "mispay"
    """the channel says: paid, but not as it was asked"""
    FAIL = "fail"
    """the channel says: it will not be paid"""
    CLOSE = "close"
    """somebody or the clock wants it closed"""
    CLOSED = "closed"
    """the channel says: it can no longer be paid"""
    UNDELIVERED = "undelivered"
    """the play came back unplayed"""
    REFUND = "refund"
    """a person wants the whole or a part to go back"""
    RETURNED = "returned"
    """the channel says: all of it is back"""
    RETURNED_PART = "returned_part"
    """the channel says: this part is back, and a rest stays"""
    RETURN_REFUSED = "return_refused"
    """the channel says: it does not give this back"""
    CHARGEBACK = "chargeback"
    """the channel took the money back on its own"""


_S = OrderState
_T = OrderStep

TABLE: Final[dict[tuple[OrderState, OrderStep], OrderState]] = {
    (_S.CREATED, _T.SUBMIT): _S.PENDING,
    (_S.CREATED, _T.CLOSE): _S.CLOSED,
    # An office set back to an old copy of its books: the channel knows more than we do, and money is money.
    (_S.CREATED, _T.PAY): _S.PAID,
    (_S.CREATED, _T.MISPAY): _S.REVERSING,
    (_S.PENDING, _T.QUERY): _S.PENDING,
    (_S.PENDING, _T.UNKNOWN): _S.PENDING,
    (_S.PENDING, _T.CLOSE): _S.PENDING,
    (_S.PENDING, _T.PAY): _S.PAID,
    (_S.PENDING, _T.MISPAY): _S.REVERSING,
    (_S.PENDING, _T.FAIL): _S.FAILED,
    (_S.PENDING, _T.CLOSED): _S.CLOSED,
    (_S.PAID, _T.PAY): _S.PAID,
    (_S.PAID, _T.QUERY): _S.PAID,
    (_S.PAID, _T.UNKNOWN): _S.PAID,
    (_S.PAID, _T.UNDELIVERED): _S.REVERSING,
    (_S.PAID, _T.REFUND): _S.REFUNDING,
    (_S.PAID, _T.CHARGEBACK): _S.REVERSED,
    (_S.FAILED, _T.QUERY): _S.FAILED,
    (_S.FAILED, _T.UNKNOWN): _S.FAILED,
    (_S.FAILED, _T.FAIL): _S.FAILED,
    (_S.FAILED, _T.PAY): _S.REVERSING,
    (_S.FAILED, _T.MISPAY): _S.REVERSING,
    (_S.CLOSED, _T.QUERY): _S.CLOSED,
    (_S.CLOSED, _T.UNKNOWN): _S.CLOSED,
    (_S.CLOSED, _T.CLOSED): _S.CLOSED,
    (_S.CLOSED, _T.PAY): _S.REVERSING,
    (_S.CLOSED, _T.MISPAY): _S.REVERSING,
    (_S.REVERSING, _T.QUERY): _S.REVERSING,
    (_S.REVERSING, _T.UNKNOWN): _S.REVERSING,
    (_S.REVERSING, _T.PAY): _S.REVERSING,
    (_S.REVERSING, _T.MISPAY): _S.REVERSING,
    (_S.REVERSING, _T.RETURN_REFUSED): _S.REVERSING,
    (_S.REVERSING, _T.RETURNED): _S.REVERSED,
    (_S.REVERSING, _T.CHARGEBACK): _S.REVERSED,
    (_S.REVERSED, _T.PAY): _S.REVERSED,
    (_S.REVERSED, _T.MISPAY): _S.REVERSED,
    (_S.REVERSED, _T.RETURNED): _S.REVERSED,
    (_S.REVERSED, _T.CHARGEBACK): _S.REVERSED,
    (_S.REFUNDING, _T.QUERY): _S.REFUNDING,
    (_S.REFUNDING, _T.UNKNOWN): _S.REFUNDING,
    (_S.REFUNDING, _T.PAY): _S.REFUNDING,
    (_S.REFUNDING, _T.RETURNED): _S.REFUNDED,
    (_S.REFUNDING, _T.RETURNED_PART): _S.PAID,
    (_S.REFUNDING, _T.RETURN_REFUSED): _S.PAID,
    (_S.REFUNDED, _T.PAY): _S.REFUNDED,
    (_S.REFUNDED, _T.RETURNED): _S.REFUNDED,
}

OPEN: Final = frozenset({_S.CREATED, _S.PENDING, _S.REVERSING, _S.REFUNDING})
"""States that still owe an answer."""

FINAL: Final = frozenset({_S.PAID, _S.FAILED, _S.CLOSED, _S.REVERSED, _S.REFUNDED})

CREDITED: Final = frozenset({_S.PAID, _S.REFUNDING, _S.REFUNDED})
"""States in which what was paid, but for what was refunded, is the guest's."""


def advance(state: OrderState, step: OrderStep) -> OrderState:
    """Return the next state; IllegalStepError names both where the table has no row."""
    try:
        return TABLE[state, step]
    except KeyError:
        message = f"a payment order that is {state.value} cannot take the step {step.value}"
        raise IllegalStepError(message) from None
