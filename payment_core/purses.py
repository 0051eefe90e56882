"""Which purses pay a price: the declared order, pro rata, rounded in the guest's favour."""

from collections.abc import Mapping, Sequence

from payment_core.money import Money


def plan_payment(price: Sequence[Money], allowances: Mapping[str, int]) -> tuple[Money, ...] | None:
    """Return what each purse pays, in order, or None where they do not cover the price together.

    `price` lists the full price in each unit it may be paid in: `[(200, bonus), (200, CNY)]`. A purse that covers a
    part leaves the same share to the next, rounded down: 1 of 3 bonus leaves 2/3 of 200 CNY = 133.
    """
    if len(price) == 1:  # most prices have one unit: the same as below, and nothing is made anew
        full = price[0]
        if full.minor > max(allowances.get(full.unit, 0), 0):
            return None
        return (full,) if full.minor else ()
    left_numerator, left_denominator = 1, 1
    parts: list[Money] = []
    for full in price:
        due = full.minor * left_numerator // left_denominator
        paid = min(due, max(allowances.get(full.unit, 0), 0))
        if paid:
            parts.append(Money(paid, full.unit))
        if paid == due:
            return tuple(parts)
        left_numerator = left_numerator * full.minor - paid * left_denominator
        left_denominator *= full.minor
    return None
