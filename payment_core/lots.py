"""Lots: what each top-up opened. Which lot pays, what a refund names, and what of a gift goes when its payment goes."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from payment_core.pricing import Tax, tax_in
from payment_core.records import LotKind, Part

LotOrder = Literal["gift_first", "paid_first"]
"""Which kind pays first; within a kind what expires soonest, then what was opened first."""

GiftRule = Literal["pro_rata", "forfeit", "keep"]
"""What happens to a gift when (a part of) the payment it came with is paid back.

pro_rata: the same share of the gift goes, rounded in the guest's favour. forfeit: all of it goes. keep: nothing goes.
What should go and was spent is kept of the paid money.
"""

NEVER = 2**63 - 1


class LotShare(msgspec.Struct, frozen=True):
    """`amount` minor units of a lot that may be spent. `expires_ms` None: never."""

    lot: bytes
    kind: LotKind
    amount: int
    opened_ms: int = 0
    expires_ms: int | None = None


def spend_order(shares: Sequence[LotShare], order: LotOrder, *, now_ms: int | None) -> list[LotShare]:
    """Return the shares in the order they pay, without those that ran out. now_ms None: nobody knows the time."""
    gift_rank = 0 if order == "gift_first" else 2

    def rank(share: LotShare) -> tuple[int, int, int, bytes]:
        kind = gift_rank if share.kind is LotKind.GIFT else 1
        return kind, NEVER if share.expires_ms is None else share.expires_ms, share.opened_ms, share.lot

    live = (share for share in shares if share.amount > 0 and not is_expired(share.expires_ms, now_ms=now_ms))
    return sorted(live, key=rank)


def is_expired(expires_ms: int | None, *, now_ms: int | None) -> bool:
    """Say whether a lot ran out; while nobody knows the time it did not."""
    return expires_ms is not None and now_ms is not None and now_ms >= expires_ms


def split_refund(captured: Sequence[Part], refunded: Sequence[Part], amount: int | None, *, unit: str) -> (
    tuple[Part, ...] | None
):
    """Return the parts that go back for a refund of `amount` minor units of `unit`, or None where it is too much.

    amount None: all that is left of every unit. A refund of a part goes back to the lots in the reverse order of their
    spending, so that what the guest would spend last stays with him longest.
    """
    left = [_minus(part, refunded) for part in captured]
    left = [part for part in left if part.amount]
    if amount is None:
        return tuple(left)
    parts: list[Part] = []
    missing = amount
    for part in reversed(left):
        take = min(part.amount, missing) if part.unit == unit else 0
        if take:
            parts.append(msgspec.structs.replace(part, amount=take))
            missing -= take
    return None if missing or amount < 1 else tuple(parts)


def _minus(part: Part, refunded: Sequence[Part]) -> Part:
    same = (part.unit, part.lease_epoch, part.lot)
    gone = sum(other.amount for other in refunded if (other.unit, other.lease_epoch, other.lot) == same)
    return msgspec.structs.replace(part, amount=part.amount - gone)


class GiftGone(msgspec.Struct, frozen=True):
    """What a gift costs whose payment goes back: `left` of what is left of it, and `spent` out of the paid money."""

    left: int
    spent: int


def forfeited(
    rule: GiftRule, *, before: int, paid_back: int, paid: int, gift: int, left: int, spent: int
) -> GiftGone:  # fmt: skip
    """Return what of a gift goes when `paid_back` of a payment of `paid` goes back, after `before` of it went.

    `gift`: what was given with the payment; `left` of it is unspent. What is missing because it was `spent` comes out
    of the paid money, minor unit for minor unit; what ran out is nobody's debt.
    """
    due = 0
    match rule:
        case "keep":
            pass
        case "forfeit":
            due = gift
        case "pro_rata":
            due = gift * (before + paid_back) // paid - gift * before // paid if paid else 0
    took = min(left, due)
    return GiftGone(took, min(due - took, spent))


def tax_within(parts: Sequence[Part], *, unit: str, tax: Tax | None) -> tuple[Part, ...]:
    """Return the tax that is part of what was earned in the venue's currency, `unit`."""
    amount = tax_in(_of_unit(parts, unit), tax.milli_percent) if tax else 0
    return (Part(unit, amount),) if amount else ()


def tax_back(
    taxed: Sequence[Part], captured: Sequence[Part], before: Sequence[Part], parts: Sequence[Part]
) -> tuple[Part, ...]:
    """Return the tax that goes back with a refund of `parts` after refunds of `before`.

    By the share refunded so far, rounded down each time: whoever gets the whole back in parts gets the whole tax back.
    """
    back = []
    for tax in taxed:
        whole, then, more = (_of_unit(each, tax.unit) for each in (captured, before, parts))
        amount = tax.amount * (then + more) // whole - tax.amount * then // whole if whole else 0
        if amount:
            back.append(Part(tax.unit, amount))
    return tuple(back)


def _of_unit(parts: Sequence[Part], unit: str) -> int:
    return sum(part.amount for part in parts if part.unit == unit)
