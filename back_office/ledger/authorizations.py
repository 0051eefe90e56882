"""What a journal may say about an authorization: money is put aside once, and earned or given back once at most."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from payment_core.journal import (
    Captured,
    CoinBooked,
    Declined,
    Entry,
    Expired,
    Held,
    Increased,
    InDoubt,
    LeaseTaken,
    Part,
    Refunded,
    Voided,
)

End = Captured | Voided | Expired
Later = End | InDoubt | Refunded | Increased

_HELD: Final = "held"
_DOUBT: Final = "in suspense"
_EARNED: Final = "earned"


class _Standing(msgspec.Struct):
    """What of one authorization is where: {(place, unit, lease epoch, lot): amount}."""

    account_id: bytes | None
    amounts: dict[tuple[str, str, int | None, bytes], int]
    ended: bool = False

    def put(self, place: str, parts: Sequence[Part]) -> None:
        """Add parts at a place."""
        for part in parts:
            where = _where(place, part)
            self.amounts[where] = self.amounts.get(where, 0) + part.amount

    def take(self, place: str, parts: Sequence[Part]) -> str:
        """Take parts from a place; return what was never there, or nothing."""
        wrong = ""
        for part in parts:
            where = _where(place, part)
            left = self.amounts.pop(where, 0) - part.amount
            if left < 0:
                wrong = f"it moves {-left} {part.unit} more than is {place}"
            elif left:
                self.amounts[where] = left
        return wrong


class Authorizations:
    """One journal's authorizations. `take` its entries in order; only those of one authorization need be complete."""

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._standing: dict[bytes, _Standing] = {}

    def take(self, entry: Entry) -> str:
        """Note an entry; return what cannot be right about it, or nothing."""
        if any(amount < 0 for amount in _amounts(entry)):
            return "it names an amount below nothing"
        authorization_id = entry.header.authorization_id
        if isinstance(entry, Held):
            return self._begin(entry, authorization_id)
        if not isinstance(entry, Later):
            return ""
        standing = self._standing.get(authorization_id) if authorization_id is not None else None
        if standing is None:
            return "nothing was put aside under its authorization"
        wrong = _move(standing, entry)
        return "it is of another account than its hold" if standing.account_id != entry.account_id else wrong

    def _begin(self, entry: Held, authorization_id: bytes | None) -> str:
        if authorization_id is None:
            return "it puts money aside under no authorization"
        known = self._standing.get(authorization_id)
        if known is not None:
            return "money was put aside under its authorization before"
        standing = _Standing(entry.account_id, {})
        standing.put(_HELD, entry.parts)
        self._standing[authorization_id] = standing
        return ""


def _move(standing: _Standing, entry: Later) -> str:
    if isinstance(entry, Refunded):
        return standing.take(_EARNED, entry.parts)
    if standing.ended:
        return "its authorization had ended before"
    if isinstance(entry, Increased):
        standing.put(_HELD, entry.parts)
        return ""
    if isinstance(entry, InDoubt):
        wrong = standing.take(_HELD, entry.parts)
        standing.put(_DOUBT, entry.parts)
        return wrong
    standing.ended = True
    source = _DOUBT if not isinstance(entry, Expired) and entry.from_doubt else _HELD
    wrong = standing.take(source, entry.parts)
    if isinstance(entry, Captured):
        standing.put(_EARNED, entry.parts)
        wrong = standing.take(source, entry.released) or wrong
    return wrong


def _where(place: str, part: Part) -> tuple[str, str, int | None, bytes]:
    """Return where a part stands; what is earned does not remember its lease, only its lot."""
    return place, part.unit, None if place == _EARNED else part.lease_epoch, part.lot


def _amounts(entry: Entry) -> Iterator[int]:
    match entry:
        case Captured():
            yield from (part.amount for part in (*entry.parts, *entry.released))
        case Held() | Increased() | Voided() | Expired() | InDoubt() | Refunded():
            yield from (part.amount for part in entry.parts)
        case Declined():
            yield from (part.amount for part in entry.price)
        case CoinBooked():
            yield entry.amount
        case LeaseTaken():
            yield entry.granted
            yield entry.added
        case _:
            return
