"""What each journal entry moves, as a pure function of its type and version: postings are never sent."""

from collections.abc import Iterable
from typing import assert_never

from payment_core.accounts import Account, Kind, Posting
from payment_core.journal import (
    Captured,
    CoinBooked,
    Commanded,
    Declined,
    Entry,
    EpochOpened,
    Expired,
    Held,
    InDoubt,
    LateEvidence,
    LeaseGranted,
    LeaseTaken,
    Part,
    Refunded,
    Tampered,
    ToppedUp,
    Voided,
)

_HELD = Account(Kind.HELD)
_SUSPENSE = Account(Kind.SUSPENSE)


def _source(entry: Held | Captured | Voided | Expired | Refunded, part: Part) -> Account:
    """Return where a part came from and goes back to: the account's lease, the floor, or the lane's coin credit."""
    if part.lease_epoch is None or entry.account_id is None:
        return Account(Kind.COIN_CREDIT, entry.header.lane or "")
    if part.lease_epoch == 0:
        return Account(Kind.OVERCLAIM, entry.account_id.hex())
    return Account(Kind.LEASE, entry.account_id.hex())


def _move(parts: Iterable[Part], *, out_of: Account | None, into: Account | None, entry: Entry) -> list[Posting]:
    """Debit `out_of` and credit `into` per part; None stands for the part's own source."""
    rows: list[Posting] = []
    for part in parts:
        if not isinstance(entry, Held | Captured | Voided | Expired | Refunded):
            source = out_of or into
            assert source is not None
        else:
            source = _source(entry, part)
        rows.append(Posting(out_of or source, part.unit, part.amount))
        rows.append(Posting(into or source, part.unit, -part.amount))
    return rows


def _waiting(*, from_doubt: bool) -> Account:
    return _SUSPENSE if from_doubt else _HELD


def postings(entry: Entry) -> tuple[Posting, ...]:
    """Return the signed amounts of `entry`, debit positive; they sum to zero per unit. Many entries move nothing."""
    rows: list[Posting]
    match entry:
        case Held() | Captured() | Voided() | Expired() | InDoubt() | Refunded():
            rows = _authorization(entry)
        case CoinBooked():
            box = Account(Kind.CASH_BOX, entry.header.machine or "")
            credit = Account(Kind.COIN_CREDIT, entry.header.lane or "")
            rows = [Posting(box, entry.unit, entry.amount), Posting(credit, entry.unit, -entry.amount)]
        case ToppedUp():
            clearing = Account(Kind.PSP_CLEARING, entry.channel)
            purse = Account(Kind.PURSE, entry.account_id.hex())
            rows = [Posting(clearing, entry.unit, entry.amount), Posting(purse, entry.unit, -entry.amount)]
        case LeaseGranted():
            purse = Account(Kind.PURSE, entry.account_id.hex())
            lease = Account(Kind.LEASE, entry.account_id.hex())
            rows = [Posting(purse, entry.unit, entry.added), Posting(lease, entry.unit, -entry.added)]
        case EpochOpened() | Commanded() | Declined() | Tampered() | LeaseTaken() | LateEvidence():
            rows = []
        case _:
            assert_never(entry)
    return tuple(row for row in rows if row.amount)


def _authorization(entry: Held | Captured | Voided | Expired | InDoubt | Refunded) -> list[Posting]:
    revenue = Account(Kind.REVENUE, entry.header.machine or "")
    match entry:
        case Held():
            return _move(entry.parts, out_of=None, into=_HELD, entry=entry)
        case Captured():
            waiting = _waiting(from_doubt=entry.from_doubt)
            earned = _move(entry.parts, out_of=waiting, into=revenue, entry=entry)
            return earned + _move(entry.released, out_of=waiting, into=None, entry=entry)
        case Voided():
            return _move(entry.parts, out_of=_waiting(from_doubt=entry.from_doubt), into=None, entry=entry)
        case Expired():
            return _move(entry.parts, out_of=_HELD, into=None, entry=entry)
        case InDoubt():
            return _move(entry.parts, out_of=_HELD, into=_SUSPENSE, entry=entry)
        case Refunded():
            return _move(entry.parts, out_of=revenue, into=None, entry=entry)


def imbalance(rows: Iterable[Posting]) -> dict[str, int]:
    """Return the units whose postings do not sum to zero, with the sum; empty is balanced."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.unit] = sums.get(row.unit, 0) + row.amount
    return {unit: total for unit, total in sums.items() if total}
