"""The authorization's states and steps as one total table. Its diagram in docs/flow.md is drawn from it.

Every (state, step) is either a row of `TABLE` or illegal; `advance` says so with both names.
"""

from enum import StrEnum
from typing import Final

from payment_core.errors import IllegalStepError


class State(StrEnum):
    """Where an authorization stands. DECLINED is the answer that no money moved; it never had a hold."""

    HELD = "held"
    COMMANDED = "commanded"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"
    IN_DOUBT = "in_doubt"
    REFUNDED = "refunded"
    DECLINED = "declined"


class Step(StrEnum):
    """What can happen to an authorization."""

    COMMAND = "command"
    """the device was told"""
    INCREASE = "increase"
    """more is put aside under the same authorization"""
    CANCEL = "cancel"
    """given up before the device was told"""
    LAPSE = "lapse"
    """its time ran out before the device was told"""
    DELIVER = "deliver"
    """the device says it was done"""
    FAIL = "fail"
    """the device certainly did not do it"""
    NO_ANSWER = "no_answer"
    """the device cannot say, or nobody answered"""
    CONFIRM = "confirm"
    """read-back, policy or staff: it was delivered"""
    DENY = "deny"
    """read-back, policy or staff: it was not"""
    REFUND = "refund"
    """the whole or a part goes back"""
    EVIDENCE = "evidence"
    """an answer after the end: kept, changes nothing"""


TABLE: Final[dict[tuple[State, Step], State]] = {
    (State.HELD, Step.COMMAND): State.COMMANDED,
    (State.HELD, Step.INCREASE): State.HELD,
    (State.HELD, Step.CANCEL): State.VOIDED,
    (State.HELD, Step.LAPSE): State.EXPIRED,
    (State.COMMANDED, Step.INCREASE): State.COMMANDED,
    (State.COMMANDED, Step.DELIVER): State.CAPTURED,
    (State.COMMANDED, Step.FAIL): State.VOIDED,
    (State.COMMANDED, Step.NO_ANSWER): State.IN_DOUBT,
    (State.IN_DOUBT, Step.DELIVER): State.CAPTURED,
    (State.IN_DOUBT, Step.FAIL): State.VOIDED,
    (State.IN_DOUBT, Step.CONFIRM): State.CAPTURED,
    (State.IN_DOUBT, Step.DENY): State.VOIDED,
    (State.IN_DOUBT, Step.NO_ANSWER): State.IN_DOUBT,
    (State.CAPTURED, Step.REFUND): State.REFUNDED,
    (State.CAPTURED, Step.EVIDENCE): State.CAPTURED,
    (State.REFUNDED, Step.REFUND): State.REFUNDED,
    (State.REFUNDED, Step.EVIDENCE): State.REFUNDED,
    (State.VOIDED, Step.EVIDENCE): State.VOIDED,
    (State.EXPIRED, Step.EVIDENCE): State.EXPIRED,
    (State.DECLINED, Step.EVIDENCE): State.DECLINED,
}

OPEN: Final = frozenset({State.HELD, State.COMMANDED, State.IN_DOUBT})
"""States that still owe an answer."""

FINAL: Final = frozenset({State.CAPTURED, State.VOIDED, State.EXPIRED, State.REFUNDED, State.DECLINED})


def advance(state: State, step: Step) -> State:
    """Return the next state; IllegalStepError names both where the table has no row."""
    try:
        return TABLE[state, step]
    except KeyError:
        message = f"an authorization that is {state.value} cannot take the step {step.value}"
        raise IllegalStepError(message) from None
