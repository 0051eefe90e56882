"""The terms of top-ups, as data: what is given with a payment, what lots live for, and what of a gift goes back."""

from collections.abc import Sequence
from typing import Final, Self

import msgspec

from back_office.store import acts
from back_office.store.engine import Transaction
from payment_core.lots import GiftRule

DAY_MS: Final = 24 * 3_600_000


class GiftStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who pays in `at_least` of `unit` is given `amount` of `gives`, good for `expires_days` (None: for ever)."""

    unit: str
    at_least: int
    gives: str
    amount: int
    expires_days: int | None = None


class TopUpTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of the terms. `expires_days`: how long what was paid is good for; None: for ever.

    `gift_rule`: what happens to a gift when its payment is paid back. Of the steps of one unit and gift the highest
    that a payment reaches counts.
    """

    version: int = 0
    steps: tuple[GiftStep, ...] = ()
    gift_rule: GiftRule = "pro_rata"
    expires_days: int | None = None

    @classmethod
    def newest(cls, tx: Transaction, tenant_id: bytes) -> Self:
        """Return the terms in force; those that give nothing where none were ever set."""
        kept = acts.newest_terms(tx, tenant_id)
        return cls() if kept is None else msgspec.json.decode(kept.body, type=cls)


def gifts_for(terms: TopUpTerms, unit: str, amount: int) -> Sequence[GiftStep]:
    """Return what is given with a payment: per gift unit the highest step it reaches."""
    best: dict[str, GiftStep] = {}
    for step in terms.steps:
        if step.unit == unit and step.at_least <= amount and step.amount > 0:
            held = best.get(step.gives)
            if held is None or step.at_least > held.at_least:
                best[step.gives] = step
    return [best[gives] for gives in sorted(best)]


def keep_terms(tx: Transaction, tenant_id: bytes, terms: TopUpTerms, *, now_ms: int) -> TopUpTerms:
    """Keep terms under the next version and return them as kept; the same content changes nothing."""
    held = TopUpTerms.newest(tx, tenant_id)
    fresh = msgspec.structs.replace(terms, version=held.version + 1)
    if held.version and msgspec.structs.replace(fresh, version=held.version) == held:
        return held
    acts.add_terms(tx, tenant_id, acts.Terms(fresh.version, msgspec.json.encode(fresh), now_ms))
    return fresh
