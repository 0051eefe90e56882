"""The decision: ordered checks over given facts, each with its own decline reason. Pure; replaying gives the same."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from payment_core.credential import ListRow
from payment_core.money import Money
from payment_core.policy import Lane, RiskDocument
from payment_core.pricing import LocalTime, Price
from payment_core.purses import plan_payment

Proof = Literal["proven", "identified", "refused"]
"""proven: class A showed its key. identified: a bare identifier. refused: it should have proven itself and did not."""


class Facts(msgspec.Struct, frozen=True):
    """All that one tap's decision may look at; times are UTC ms, sums are minor units of the venue's currency.

    `row` None: neither list nor cache knows the credential. `allowances`: what the leases of its account still allow,
    by unit. `spent_today` and the `recent_*` figures are of the account; `floor_*` and `hub_*` since the last receipt.
    """

    trading: bool
    lane: Lane | None
    output_ready: bool
    row: ListRow | None
    proof: Proof
    now_ms: int
    local: LocalTime | None
    price: Price | None
    allowances: Mapping[str, int]
    currency: str
    risk: RiskDocument
    spent_today: int = 0
    recent_count: int = 0
    recent_amount: int = 0
    floor_spent: int = 0
    hub_floor_spent: int = 0
    hub_count: int = 0
    hub_amount: int = 0
    stepped_up: bool = False


class Approved(msgspec.Struct, frozen=True):
    """Yes: pay `parts`, in order. `by_floor`: no lease covers it, the hub's floor does. reasons: one letter a check."""

    parts: tuple[Money, ...]
    reasons: str
    by_floor: bool = False


class Declined(msgspec.Struct, frozen=True):
    """No, because of `reason`. reasons: one letter a check, `p` passed, `x` failed, `-` not asked."""

    reason: str
    reasons: str


Decision = Approved | Declined


def _cost(facts: Facts) -> int:
    """Return the price in the venue's currency; a play that money cannot buy costs none of it."""
    assert facts.price is not None
    return facts.price.in_unit(facts.currency)


def _trading(facts: Facts) -> str | None:
    return None if facts.trading else "hub_closed"


def _device(facts: Facts) -> str | None:
    if facts.lane is None:
        return "unknown_lane"
    return None if facts.output_ready else "machine_off"


def _proof(facts: Facts) -> str | None:
    if facts.row is None:
        return "unknown_card"
    if facts.proof == "refused" or (facts.row.class_ == "A" and facts.proof != "proven"):
        return "card_not_proven"
    return None


def _blocked(facts: Facts) -> str | None:
    assert facts.row is not None
    return {"active": None, "blocked": "card_blocked", "lost": "card_lost"}[facts.row.status]


def _expired(facts: Facts) -> str | None:
    assert facts.row is not None
    until = facts.row.valid_until_ms
    return "card_expired" if until is not None and facts.now_ms >= until else None


def _place_time_age(facts: Facts) -> str | None:
    assert facts.row is not None
    closing = facts.risk.minor_closing_minute
    if closing is None or facts.row.age_band != "minor":
        return None
    late = facts.local is None or facts.local.minute >= closing
    return "too_young_now" if late else None


def _price(facts: Facts) -> str | None:
    return None if facts.price is not None else "no_price"


def _class_cap(facts: Facts) -> str | None:
    assert facts.row is not None
    cap = facts.risk.limit_of(facts.row.class_)
    cost = _cost(facts)
    for per_tap in (facts.row.tap_limit, cap.per_tap):
        if per_tap is not None and cost > per_tap:
            return "over_tap_limit"
    for per_day in (facts.row.day_limit, cap.per_day):
        if per_day is not None and facts.spent_today + cost > per_day:
            return "over_day_limit"
    return None


def _floor_covers(facts: Facts) -> bool:
    assert facts.row is not None
    if facts.allowances or facts.row.class_ == "C":
        return False
    cost = _cost(facts)
    return cost > 0 and (
        facts.floor_spent + cost <= facts.risk.floor_per_credential
        and facts.hub_floor_spent + cost <= facts.risk.floor_per_hub
    )


def _covered(facts: Facts) -> str | None:
    assert facts.price is not None
    if plan_payment(facts.price.price, facts.allowances) is not None or _floor_covers(facts):
        return None
    return "not_enough" if facts.allowances else "offline_limit"


def _velocity(facts: Facts) -> str | None:
    rule = facts.risk.velocity
    if rule is None:
        return None
    too_many = facts.recent_count + 1 > rule.count or facts.recent_amount + _cost(facts) > rule.amount
    return "too_fast" if too_many else None


def _step_up(facts: Facts) -> str | None:
    over = facts.risk.step_up_over
    return "second_factor_needed" if over is not None and _cost(facts) > over and not facts.stepped_up else None


def _hub_caps(facts: Facts) -> str | None:
    count, amount = facts.risk.hub_count, facts.risk.hub_amount
    over = (count is not None and facts.hub_count + 1 > count) or (
        amount is not None and facts.hub_amount + _cost(facts) > amount
    )
    return "hub_limit" if over else None


CHECKS: Final[tuple[tuple[str, Callable[[Facts], str | None]], ...]] = (
    ("hub may trade", _trading),
    ("device enabled, lane known", _device),
    ("credential proves itself", _proof),
    ("not blocked", _blocked),
    ("not expired", _expired),
    ("place, time and age", _place_time_age),
    ("price found", _price),
    ("class cap", _class_cap),
    ("lease or floor covers", _covered),
    ("velocity", _velocity),
    ("step-up", _step_up),
    ("hub caps", _hub_caps),
)
"""In this order, for ever: the reason vector has one letter for each."""

DECLINE_REASONS: Final = (
    "hub_closed", "unknown_lane", "machine_off", "unknown_card", "card_not_proven", "card_blocked", "card_lost",
    "card_expired", "too_young_now", "no_price", "over_tap_limit", "over_day_limit", "not_enough", "offline_limit",
    "too_fast", "second_factor_needed", "hub_limit",
)  # fmt: skip


def decide(facts: Facts) -> Decision:
    """Return the decision and its reason vector. The first check that fails gives the reason; no later one is asked."""
    for position, (_name, check) in enumerate(CHECKS):
        reason = check(facts)
        if reason is not None:
            return Declined(reason=reason, reasons="p" * position + "x" + "-" * (len(CHECKS) - position - 1))
    assert facts.price is not None
    vector = "p" * len(CHECKS)
    parts = plan_payment(facts.price.price, facts.allowances)
    if parts is None:
        return Approved(parts=(Money(_cost(facts), facts.currency),), reasons=vector, by_floor=True)
    return Approved(parts=parts, reasons=vector)
