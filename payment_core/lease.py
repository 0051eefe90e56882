"""One lease: part of an account's money, of one lot, that one hub alone may spend; four counters that only rise.

What can happen to a lease is a total table: every (state, step) is either a row of `LEASE_TABLE` or illegal.
"""

from enum import StrEnum
from typing import Final

import msgspec

from payment_core.errors import IllegalStepError


class LeaseState(StrEnum):
    """Where a lease stands. CLOSED: its hub may spend nothing more of it; what comes later is late."""

    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"


class LeaseStep(StrEnum):
    """What can happen to a lease."""

    GRANT = "grant"
    """the office signed (more of) it over"""
    TAKE = "take"
    """a voucher of another hub, or a slip of the office, became lease here"""
    BRING_IN = "bring_in"
    """the guest brought value in at this hub"""
    COMMIT = "commit"
    """put aside at HELD"""
    RELEASE = "release"
    """void, expiry, or the part not captured"""
    REFUND = "refund"
    """captured money goes back"""
    RETURN = "return"
    """back to the office's purse"""
    PASS = "pass"  # noqa: S105 - a step, not a password
    """to another hub of the venue, by voucher"""
    PAY_OUT = "pay_out"
    """paid out in cash where it was brought in"""
    CLOSE = "close"
    """the hub signed that it holds nothing more, or an operator closed a dead hub"""
    OVERCLAIM = "overclaim"
    """the office heard more spending than the lease had: booked at the venue's risk"""


LEASE_TABLE: Final[dict[tuple[LeaseState, LeaseStep], LeaseState]] = {
    (LeaseState.NONE, LeaseStep.GRANT): LeaseState.OPEN,
    (LeaseState.NONE, LeaseStep.TAKE): LeaseState.OPEN,
    (LeaseState.NONE, LeaseStep.BRING_IN): LeaseState.OPEN,
    (LeaseState.NONE, LeaseStep.OVERCLAIM): LeaseState.NONE,
    (LeaseState.OPEN, LeaseStep.GRANT): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.TAKE): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.BRING_IN): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.COMMIT): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.RELEASE): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.REFUND): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.RETURN): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.PASS): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.PAY_OUT): LeaseState.OPEN,
    (LeaseState.OPEN, LeaseStep.CLOSE): LeaseState.CLOSED,
    (LeaseState.OPEN, LeaseStep.OVERCLAIM): LeaseState.OPEN,
    (LeaseState.CLOSED, LeaseStep.OVERCLAIM): LeaseState.CLOSED,
}


def lease_step(state: LeaseState, step: LeaseStep) -> LeaseState:
    """Return the next state; IllegalStepError names both where the table has no row."""
    try:
        return LEASE_TABLE[state, step]
    except KeyError:
        message = f"a lease that is {state.value} cannot take the step {step.value}"
        raise IllegalStepError(message) from None


class Lease(msgspec.Struct, frozen=True):
    """Counters in minor units. Allowance = granted − committed + released + refunded, never below zero.

    `granted`: everything that ever came here, from the office, by voucher, or brought in. What is passed on, returned
    or paid out is `committed` and never released: spent, only not on a play.
    """

    account_id: bytes
    unit: str
    epoch: int
    granted: int = 0
    committed: int = 0
    released: int = 0
    refunded: int = 0
    lot: bytes = b""

    @property
    def allowance(self) -> int:
        """What may still be spent here."""
        return self.granted - self.committed + self.released + self.refunded

    @property
    def settled(self) -> int:
        """What has been spent here and not come back; open holds included."""
        return self.committed - self.released - self.refunded


class Overdrawn(msgspec.Struct, frozen=True):
    """The refusal of a lease: `missing` minor units are not there."""

    missing: int


def grant(lease: Lease, *, granted_total: int) -> Lease:
    """Take over the office's total. Totals only rise: an older or repeated grant changes nothing."""
    return msgspec.structs.replace(lease, granted=max(lease.granted, granted_total))


def add(lease: Lease, amount: int) -> Lease:
    """Take `amount` in: from a voucher or a slip, or brought in by the guest."""
    _whole(amount)
    return msgspec.structs.replace(lease, granted=lease.granted + amount)


def commit(lease: Lease, amount: int) -> Lease | Overdrawn:
    """Spend `amount` at HELD, or say how much is missing."""
    _whole(amount)
    if amount > lease.allowance:
        return Overdrawn(missing=amount - lease.allowance)
    return msgspec.structs.replace(lease, committed=lease.committed + amount)


def release(lease: Lease, amount: int) -> Lease:
    """Give back what was held and not captured."""
    _whole(amount)
    if lease.released + lease.refunded + amount > lease.committed:
        message = f"release of {amount} is more than is committed"
        raise ValueError(message)
    return msgspec.structs.replace(lease, released=lease.released + amount)


def refund(lease: Lease, amount: int) -> Lease:
    """Give back what was captured."""
    _whole(amount)
    if lease.released + lease.refunded + amount > lease.committed:
        message = f"refund of {amount} is more than was captured"
        raise ValueError(message)
    return msgspec.structs.replace(lease, refunded=lease.refunded + amount)


def _whole(amount: int) -> None:
    if amount < 0:
        message = f"counters only rise: {amount}"
        raise ValueError(message)
