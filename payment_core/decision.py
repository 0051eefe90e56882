"""The decision: ordered checks over given facts (payment_core.checks). Pure; deciding again gives the same."""

from typing import Final

import msgspec

from payment_core.checks import CHECKS, DECLINE_REASONS, cost_of, pays, the_pass
from payment_core.facts import Facts, Proof
from payment_core.money import Money

__all__ = ["CHECKS", "DECLINE_REASONS", "Approved", "Decision", "Declined", "Facts", "Proof", "decide"]

_ASKED: Final = tuple(check for _name, check in CHECKS)
_PASSED: Final = "p" * len(CHECKS)


class Approved(msgspec.Struct, frozen=True):
    """Yes: pay `parts`, in order. reasons: one letter a check.

    `by_floor`: no lease covers it, the hub's floor does. `right`: the pass that pays, `pass:<group>`, and no parts.
    """

    parts: tuple[Money, ...]
    reasons: str
    by_floor: bool = False
    right: str = ""


class Declined(msgspec.Struct, frozen=True):
    """No, because of `reason`. reasons: one letter a check, `p` passed, `x` failed, `-` not asked."""

    reason: str
    reasons: str


Decision = Approved | Declined


def decide(facts: Facts) -> Decision:
    """Return the decision and its reason vector. The first check that fails gives the reason; no later one is asked."""
    for position, check in enumerate(_ASKED):
        reason = check(facts)
        if reason is not None:
            return Declined(reason=reason, reasons="p" * position + "x" + "-" * (len(CHECKS) - position - 1))
    right = the_pass(facts)
    if right is not None:
        return Approved((), _PASSED, right=f"pass:{right.group}")
    parts = pays(facts)
    if parts is None:
        return Approved((Money(cost_of(facts), facts.currency),), _PASSED, by_floor=True)
    return Approved(parts, _PASSED)
