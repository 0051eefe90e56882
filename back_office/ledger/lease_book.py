"""What a hub's entries do to one lease: spent and passed on from what it was given; apart from that, what it was not.

A row keeps five sums that rise or fall with the entries: `granted` by the office, `taken` from vouchers and slips or
brought in, `settled` by play, `moved` away otherwise; what nobody had a right to stands beside them.
"""

import msgspec

from back_office.store.grants import LeaseRow


class LeaseMove(msgspec.Struct, frozen=True):
    """A lease after a move: what the move changed in the guest's money, and what in the over-claim beside it."""

    row: LeaseRow
    settled: int
    overclaimed: int


def spend(row: LeaseRow, amount: int) -> LeaseMove:
    """Settle `amount` against a lease: first against what was given back too much, then against what is left of it;
    the rest is an over-claim.
    """  # noqa: D205 - one sentence
    settled = _covered(row, amount)
    return _step(row, settled=settled, overclaimed=amount - settled)


def give_back(row: LeaseRow, amount: int) -> LeaseMove:
    """Undo `amount` of a lease's spending: first an over-claim, then what was settled; the rest was never claimed."""
    cleared = min(amount, max(row.overclaimed, 0))
    settled = min(amount - cleared, row.settled)
    return _step(row, settled=-settled, overclaimed=settled - amount)


def pass_on(row: LeaseRow, amount: int) -> LeaseMove:
    """Let `amount` leave for good: to another hub, or into the guest's hand. The rest is an over-claim."""
    moved = _covered(row, amount)
    after = msgspec.structs.replace(
        row, moved=row.moved + moved, overclaimed=row.overclaimed + amount - moved
    )
    return LeaseMove(after, moved, amount - moved)


def hand_back(row: LeaseRow, amount: int) -> LeaseMove:
    """Return `amount` to the office. What the lease never had is credited to nobody; it stands in `beyond`."""
    moved = min(amount, row.left)
    after = msgspec.structs.replace(row, moved=row.moved + moved, beyond=row.beyond + amount - moved)
    return LeaseMove(after, moved, amount - moved)


def arrive(row: LeaseRow, amount: int) -> LeaseRow:
    """Take `amount` in that did not come from the office's purse."""
    return msgspec.structs.replace(row, taken=row.taken + amount)


def _covered(row: LeaseRow, amount: int) -> int:
    returned = min(amount, max(-row.overclaimed, 0))
    return min(amount - returned, row.left)


def _step(row: LeaseRow, *, settled: int, overclaimed: int) -> LeaseMove:
    after = msgspec.structs.replace(row, settled=row.settled + settled, overclaimed=row.overclaimed + overclaimed)
    return LeaseMove(after, settled, overclaimed)
