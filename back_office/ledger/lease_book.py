"""What a hub's entries do to its leases: spent from what it was given, and apart from that what it had no right to."""

from collections.abc import Iterator

import msgspec

from back_office.store.grants import LeaseRow
from payment_core.journal import Captured, Entry, Expired, Held, Part, Refunded, Voided


class LeaseMove(msgspec.Struct, frozen=True):
    """`amount` spent from a lease (positive) or given back to it.

    epoch None: the epoch the entry stands in. epoch 0: no lease, the hub's floor.
    """

    account_id: bytes
    unit: str
    epoch: int | None
    amount: int


class LeaseStep(msgspec.Struct, frozen=True):
    """A lease after a move; what the move changed in the guest's lease, and what in the over-claim beside it."""

    row: LeaseRow
    settled: int
    overclaimed: int


def lease_moves(entry: Entry) -> Iterator[LeaseMove]:
    """Yield what an entry spends from leases and gives back: the same money as its postings on lease accounts."""
    match entry:
        case Held():
            yield from _moves(entry.account_id, entry.parts, sign=1)
        case Voided() | Expired():
            yield from _moves(entry.account_id, entry.parts, sign=-1)
        case Captured():
            yield from _moves(entry.account_id, entry.released, sign=-1)
        case Refunded():
            yield from _moves(entry.account_id, entry.parts, sign=-1)
        case _:
            return


def _moves(account_id: bytes | None, parts: tuple[Part, ...], *, sign: int) -> Iterator[LeaseMove]:
    for part in parts:
        if account_id is not None and part.lease_epoch:
            yield LeaseMove(account_id, part.unit, part.lease_epoch, sign * part.amount)


def spend(row: LeaseRow, amount: int) -> LeaseStep:
    """Settle `amount` against a lease: first against what was given back too much, then against what is left of the
    grant; the rest is an over-claim.
    """  # noqa: D205 - one sentence
    returned = min(amount, max(-row.overclaimed, 0))
    settled = min(amount - returned, row.left)
    return _step(row, settled=settled, overclaimed=amount - settled)


def give_back(row: LeaseRow, amount: int) -> LeaseStep:
    """Undo `amount` of a lease's spending: first an over-claim, then what was settled; the rest was never claimed."""
    cleared = min(amount, max(row.overclaimed, 0))
    settled = min(amount - cleared, row.settled)
    return _step(row, settled=-settled, overclaimed=settled - amount)


def _step(row: LeaseRow, *, settled: int, overclaimed: int) -> LeaseStep:
    after = msgspec.structs.replace(row, settled=row.settled + settled, overclaimed=row.overclaimed + overclaimed)
    return LeaseStep(after, settled, overclaimed)
