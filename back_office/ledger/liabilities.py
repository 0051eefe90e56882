"""The float: what the house owes its guests, by purse and by how long ago the money came in."""

from typing import Final

import msgspec

from back_office.ledger.terms import DAY_MS
from back_office.store import books, statements
from back_office.store.engine import Transaction
from payment_core.accounts import Kind

AGES: Final = ("0-30", "31-90", "91-365", "older", "unknown")
"""Days since the lot was opened; unknown: money that no top-up names."""
_YOUNGER_THAN: Final = (31, 91, 366)
_OF_GUESTS: Final = frozenset({Kind.PURSE, Kind.LEASE, Kind.PASSING})
_PUT_ASIDE: Final = frozenset({Kind.HELD, Kind.SUSPENSE, Kind.COIN_CREDIT})


class FloatLine(msgspec.Struct, frozen=True):
    """One purse. ages: minor units by age, only what is not nothing; total: their sum; put_aside: for plays that are
    open or in doubt, and coins that have not bought one: nobody's revenue yet, and of no age.

    booked: what the books say guests have in purses, at hubs and on its way: it equals `total`, or it is a fault.
    """  # noqa: D205 - one sentence

    unit: str
    ages: dict[str, int]
    total: int
    put_aside: int
    booked: int


def guests_float(tx: Transaction, tenant_id: bytes, *, now_ms: int) -> list[FloatLine]:
    """Return what guests have, purse by purse, at this moment (UTC ms)."""
    opened_after = tuple(now_ms - days * DAY_MS for days in _YOUNGER_THAN)
    found = statements.by_age(tx, tenant_id, (opened_after[0], opened_after[1], opened_after[2]))
    booked: dict[str, int] = {}
    aside: dict[str, int] = {}
    for kind, unit, amount in books.balances_by_kind(tx, tenant_id):
        if kind in _OF_GUESTS:
            booked[unit] = booked.get(unit, 0) - amount
        elif kind in _PUT_ASIDE:
            aside[unit] = aside.get(unit, 0) - amount
    lines = []
    for unit in sorted({unit for unit, _ in found} | booked.keys() | aside.keys()):
        ages = {age: found[unit, number] for number, age in enumerate(AGES) if found.get((unit, number))}
        line = FloatLine(unit, ages, sum(ages.values()), aside.get(unit, 0), booked.get(unit, 0))
        if line.total or line.put_aside or line.booked:
            lines.append(line)
    return lines
