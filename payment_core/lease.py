"""One lease: part of an account's money, of one lot, that one hub alone may spend; four counters that only rise.

What can happen to a lease is a total table: every (state, step) is either a row of `LEASE_TABLE` or illegal.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from payment_core.errors import IllegalStepError
from payment_core.journal import (
    BroughtIn,
    Captured,
    DepositReturned,
    DepositTaken,
    Entry,
    Expired,
    Held,
    Increased,
    LeasePassed,
    LeaseReturned,
    LeaseTaken,
    PaidOutHere,
    Part,
    Refunded,
    SlipTaken,
    TipGiven,
    Voided,
    VoucherTaken,
)


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
    """the guest brought value in at this hub: always a lot of its own"""
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


class LeaseMove(msgspec.Struct, frozen=True):
    """What an entry does to one lease of the hub that wrote it: `amount` minor units through `step`'s counter."""

    account_id: bytes
    unit: str
    epoch: int
    lot: bytes
    step: LeaseStep
    amount: int


_COUNTER: Final = {
    LeaseStep.GRANT: "granted", LeaseStep.TAKE: "granted", LeaseStep.BRING_IN: "granted",
    LeaseStep.COMMIT: "committed", LeaseStep.RETURN: "committed", LeaseStep.PASS: "committed",
    LeaseStep.PAY_OUT: "committed", LeaseStep.RELEASE: "released", LeaseStep.REFUND: "refunded",
}  # fmt: skip


_WithParts = (
    VoucherTaken | SlipTaken | Held | Increased | Voided | Expired | Refunded | LeaseReturned | LeasePassed
    | PaidOutHere | DepositTaken | DepositReturned | TipGiven
)  # fmt: skip
_STEP: Final[dict[type, LeaseStep]] = {
    VoucherTaken: LeaseStep.TAKE, SlipTaken: LeaseStep.TAKE, Held: LeaseStep.COMMIT, Increased: LeaseStep.COMMIT,
    Voided: LeaseStep.RELEASE, Expired: LeaseStep.RELEASE, Refunded: LeaseStep.REFUND,
    LeaseReturned: LeaseStep.RETURN, LeasePassed: LeaseStep.PASS, PaidOutHere: LeaseStep.PAY_OUT,
    DepositTaken: LeaseStep.COMMIT, DepositReturned: LeaseStep.RELEASE, TipGiven: LeaseStep.COMMIT,
}  # fmt: skip


def lease_moves(entry: Entry) -> Iterator[LeaseMove]:
    """Yield what an entry does to the leases of its hub; parts of the floor and of coins are of no lease."""
    match entry:
        case LeaseTaken():
            lot = entry.lot.lot if entry.lot else b""
            yield LeaseMove(entry.account_id, entry.unit, entry.lease_epoch, lot, LeaseStep.GRANT, entry.added)
        case BroughtIn():
            yield from _of(entry.account_id, entry.parts + entry.gifts, LeaseStep.BRING_IN)
        case Captured():
            yield from _of(entry.account_id, entry.released, LeaseStep.RELEASE)
        case _ if isinstance(entry, _WithParts):
            yield from _of(entry.account_id, entry.parts, _STEP[type(entry)])
        case _:
            return


def _of(account_id: bytes | None, parts: Iterable[Part], step: LeaseStep) -> Iterator[LeaseMove]:
    for part in parts:
        if account_id is not None and part.lease_epoch:
            yield LeaseMove(account_id, part.unit, part.lease_epoch, part.lot, step, part.amount)


def moved(lease: Lease, move: LeaseMove) -> Lease:
    """Return the lease after a move of its hub's journal. ValueError: the journal says what no lease can do."""
    counter = _COUNTER[move.step]
    after = msgspec.structs.replace(lease, **{counter: getattr(lease, counter) + move.amount})
    if move.amount < 0 or after.allowance < 0 or after.released + after.refunded > after.committed:
        message = f"a lease of {lease.unit} with {lease.allowance} left cannot {move.step.value} {move.amount}"
        raise ValueError(message)
    return after
