"""The trial balance: what stands on each kind of account in each unit; in sum nothing, or it is a fault."""

from collections import defaultdict
from typing import Literal

import msgspec

from back_office.store import books
from back_office.store.engine import Transaction
from payment_core.accounts import CHART


class TrialLine(msgspec.Struct, frozen=True):
    """One kind of account in one unit. amount: minor units, debit positive; side: where it normally stands."""

    kind: str
    unit: str
    amount: int
    side: Literal["debit", "credit"]
    means: str


class Trial(msgspec.Struct, frozen=True):
    """Every kind that holds anything. off: units in which the books do not balance, and by how much; empty: they do."""

    lines: list[TrialLine]
    off: dict[str, int]

    @property
    def ok(self) -> bool:
        """Say whether the books balance in every unit."""
        return not self.off


def balance(tx: Transaction, tenant_id: bytes) -> Trial:
    """Return the trial balance of a tenant at this moment."""
    units: defaultdict[str, int] = defaultdict(int)
    lines = []
    for kind, unit, amount in books.balances_by_kind(tx, tenant_id):
        units[unit] += amount
        if amount:
            lines.append(TrialLine(kind.value, unit, amount, CHART[kind].side, CHART[kind].means))
    return Trial(lines, {unit: amount for unit, amount in sorted(units.items()) if amount})
