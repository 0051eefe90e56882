"""The states of a cashless device on MDB, as one total table. docs/wire/mdb.md is drawn from it.

Money: an approval that has gone out ends exactly once, as DONE, FAILED or UNKNOWN, and no step leads back to it. Each
(state, step) is a row of `TABLE`; what a machine may not say there is OUT_OF_SEQUENCE, what the hub may not is illegal.
"""

from enum import StrEnum
from typing import Final

import msgspec

from firmware_bridge.wire.mdb import Reply


class State(StrEnum):
    """Where a device stands with its machine."""

    INACTIVE = "inactive"
    """nobody has set it up: the machine is off, or was just reset"""
    DISABLED = "disabled"
    ENABLED = "enabled"
    IDLE = "idle"
    """a session: somebody may choose"""
    ASKED = "asked"
    """the machine waits for yes or no"""
    APPROVING = "approving"
    """yes was said and waits for the machine's ACK"""
    HANDED = "handed"
    """yes was handed to a board that does not tell the ACK"""
    VENDING = "vending"
    """the machine has heard yes: only it knows what comes out"""
    DENYING = "denying"
    """no was said and waits for its ACK"""
    ENDING = "ending"
    """END SESSION was said and waits for its ACK"""


class Step(StrEnum):
    """What can happen."""

    RESET = "reset"
    SETUP = "setup"
    ENABLE = "enable"
    DISABLE = "disable"
    REQUEST = "request"
    CANCEL = "cancel"
    SUCCESS = "success"
    FAILURE = "failure"
    COMPLETE = "complete"
    CLOSE = "close"
    """SESSION COMPLETE of a level-1 machine whose profile says that it means success"""
    CASH_SALE = "cash_sale"
    REVALUE = "revalue"
    ACKED = "acked"
    """the machine has acknowledged what was said last"""
    SILENCE = "silence"
    """the machine is not on the bus any more, or gave no result in its time"""
    REFUSED = "refused"
    """the board says that it did not take what was handed to it"""
    LOST = "lost"
    """the board stands where only a result leads to, and nobody heard the result"""
    BEGIN = "begin"
    APPROVE = "approve"
    HAND_OVER = "hand_over"
    DENY = "deny"
    END = "end"


class Vend(StrEnum):
    """How an approved vend ended: each of them is final."""

    DONE = "done"
    FAILED = "failed"
    """certainly nothing came out: the hold goes back"""
    UNKNOWN = "unknown"
    """nobody can say: the hold stays, and nobody tries again"""


class Row(msgspec.Struct, frozen=True):
    """Where a step leads. vend: how the approval ended with it; say: the answer to the next POLL."""

    to: State
    vend: Vend | None = None
    say: Reply | None = None


class IllegalStepError(AssertionError):
    """The hub did what the state does not allow; the text names both."""


HUB_STEPS: Final = frozenset({Step.BEGIN, Step.APPROVE, Step.HAND_OVER, Step.DENY, Step.END})
APPROVED: Final = frozenset({State.APPROVING, State.HANDED, State.VENDING})
"""States in which an approval is open: it has not ended."""
IN_SESSION: Final = APPROVED | {State.IDLE, State.ASKED, State.DENYING, State.ENDING}

_RESET: Final = Row(State.INACTIVE, say=Reply.JUST_RESET)
_ENDS: Final = Row(State.ENDING, say=Reply.END_SESSION)
_NO: Final = Row(State.DENYING, say=Reply.DENIED)
_NO_REVALUE: Final = Row(State.IDLE, say=Reply.REVALUE_DENIED)


def _result_rows(state: State) -> dict[tuple[State, Step], Row]:
    """Return what ends an approval that the machine has, or may have: every one with how the vend ended."""
    return {
        (state, Step.SUCCESS): Row(State.IDLE, Vend.DONE),
        (state, Step.FAILURE): Row(State.IDLE, Vend.FAILED),
        (state, Step.CLOSE): Row(State.ENDING, Vend.DONE, Reply.END_SESSION),
        (state, Step.COMPLETE): Row(State.ENDING, Vend.UNKNOWN, Reply.END_SESSION),
        (state, Step.RESET): Row(State.INACTIVE, Vend.UNKNOWN, Reply.JUST_RESET),
        (state, Step.SILENCE): Row(State.INACTIVE, Vend.UNKNOWN),
        (state, Step.DISABLE): Row(state),
        (state, Step.ENABLE): Row(state),
    }


_MOVES: Final[dict[tuple[State, Step], Row]] = {
    (State.INACTIVE, Step.RESET): _RESET,
    (State.INACTIVE, Step.SETUP): Row(State.DISABLED),
    (State.INACTIVE, Step.SILENCE): Row(State.INACTIVE),
    (State.DISABLED, Step.RESET): _RESET,
    (State.DISABLED, Step.SETUP): Row(State.DISABLED),
    (State.DISABLED, Step.ENABLE): Row(State.ENABLED),
    (State.DISABLED, Step.DISABLE): Row(State.DISABLED),
    (State.DISABLED, Step.CASH_SALE): Row(State.DISABLED),
    (State.DISABLED, Step.SILENCE): Row(State.INACTIVE),
    (State.ENABLED, Step.RESET): _RESET,
    (State.ENABLED, Step.ENABLE): Row(State.ENABLED),
    (State.ENABLED, Step.DISABLE): Row(State.DISABLED),
    (State.ENABLED, Step.REQUEST): Row(State.ASKED),
    (State.ENABLED, Step.CASH_SALE): Row(State.ENABLED),
    (State.ENABLED, Step.SILENCE): Row(State.INACTIVE),
    (State.ENABLED, Step.BEGIN): Row(State.IDLE, say=Reply.BEGIN_SESSION),
    (State.IDLE, Step.RESET): _RESET,
    (State.IDLE, Step.ENABLE): Row(State.IDLE),
    (State.IDLE, Step.DISABLE): Row(State.IDLE),
    (State.IDLE, Step.REQUEST): Row(State.ASKED),
    (State.IDLE, Step.COMPLETE): _ENDS,
    (State.IDLE, Step.CLOSE): _ENDS,
    (State.IDLE, Step.CASH_SALE): Row(State.IDLE),
    (State.IDLE, Step.SUCCESS): Row(State.IDLE),  # a machine that missed the ACK of its word says it again
    (State.IDLE, Step.FAILURE): Row(State.IDLE),
    (State.IDLE, Step.REVALUE): _NO_REVALUE,
    (State.IDLE, Step.SILENCE): Row(State.INACTIVE),
    (State.IDLE, Step.END): Row(State.IDLE, say=Reply.CANCEL_REQUEST),
    (State.ASKED, Step.RESET): _RESET,
    (State.ASKED, Step.ENABLE): Row(State.ASKED),
    (State.ASKED, Step.DISABLE): Row(State.ASKED),
    (State.ASKED, Step.CANCEL): _NO,
    (State.ASKED, Step.COMPLETE): _ENDS,
    (State.ASKED, Step.CLOSE): _ENDS,
    (State.ASKED, Step.SILENCE): Row(State.INACTIVE),
    (State.ASKED, Step.APPROVE): Row(State.APPROVING, say=Reply.APPROVED),
    (State.ASKED, Step.HAND_OVER): Row(State.HANDED),
    (State.ASKED, Step.DENY): _NO,
    (State.ASKED, Step.END): _NO,
    **_result_rows(State.APPROVING),
    (State.APPROVING, Step.ACKED): Row(State.VENDING),
    (State.APPROVING, Step.CANCEL): Row(State.DENYING, Vend.FAILED, Reply.DENIED),
    (State.APPROVING, Step.RESET): Row(State.INACTIVE, Vend.FAILED, Reply.JUST_RESET),
    **_result_rows(State.HANDED),
    (State.HANDED, Step.CANCEL): Row(State.IDLE, Vend.FAILED),
    (State.HANDED, Step.REFUSED): Row(State.IDLE, Vend.FAILED),
    (State.HANDED, Step.LOST): Row(State.IDLE, Vend.UNKNOWN),
    **_result_rows(State.VENDING),
    (State.DENYING, Step.RESET): _RESET,
    (State.DENYING, Step.ENABLE): Row(State.DENYING),
    (State.DENYING, Step.DISABLE): Row(State.DENYING),
    (State.DENYING, Step.CANCEL): Row(State.DENYING),
    (State.DENYING, Step.COMPLETE): _ENDS,
    (State.DENYING, Step.CLOSE): _ENDS,
    (State.DENYING, Step.ACKED): Row(State.IDLE),
    (State.DENYING, Step.SILENCE): Row(State.INACTIVE),
    (State.ENDING, Step.RESET): _RESET,
    (State.ENDING, Step.ENABLE): Row(State.ENDING),
    (State.ENDING, Step.DISABLE): Row(State.ENDING),
    (State.ENDING, Step.COMPLETE): Row(State.ENDING),
    (State.ENDING, Step.CLOSE): Row(State.ENDING),
    (State.ENDING, Step.ACKED): Row(State.ENABLED),
    (State.ENDING, Step.SILENCE): Row(State.INACTIVE),
}


def _row(state: State, step: Step) -> Row:
    """Return a move, or what a word out of its turn does: nothing; the machine is told so, and then resets."""
    silent = step in {Step.ACKED, Step.REFUSED, Step.LOST}
    return _MOVES.get((state, step), Row(state, say=None if silent else Reply.OUT_OF_SEQUENCE))


TABLE: Final = {
    (state, step): _row(state, step)
    for state in State
    for step in Step
    if step not in HUB_STEPS or (state, step) in _MOVES
}


def advance(state: State, step: Step) -> Row:
    """Return where a step leads; IllegalStepError names state and step where the hub may not take it."""
    row = TABLE.get((state, step))
    if row is None:
        message = f"a cashless device that is {state.value} cannot {step.value}"
        raise IllegalStepError(message)
    return row


def allows(state: State, step: Step) -> bool:
    """Say whether the hub may take a step now."""
    return (state, step) in TABLE
