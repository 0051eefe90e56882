"""The checks of a tap, in their order for ever, each with its own decline reasons. Pure: facts in, reason or None out.

docs/authorization.md says what each means for the guest and for the venue.
"""

from collections.abc import Callable
from typing import Final

from payment_core.credential import ListRow, Right
from payment_core.facts import MINUTE_MS, Facts
from payment_core.money import Money
from payment_core.policy import Hours, Lane, RiskDocument
from payment_core.price_calendar import DAY_MINUTES, EVERY_DAY
from payment_core.purses import plan_payment


def pass_for(row: ListRow, lane: Lane, *, now_ms: int, known: bool, risk: RiskDocument) -> Right | None:
    """Return the first pass of a credential that pays at a lane now; a pass without a group pays everywhere."""
    for right in row.rights:
        lasts = now_ms < right.until_ms if known else risk.clock_unknown == "allow"
        if lasts and right.group in ("", lane.group):
            return right
    return None


def the_pass(facts: Facts) -> Right | None:
    """Return the pass that pays this tap, or None."""
    if facts.row is None or not facts.row.rights or facts.lane is None:
        return None
    return pass_for(facts.row, facts.lane, now_ms=facts.now_ms, known=facts.known, risk=facts.risk)


def cost_of(facts: Facts) -> int:
    """Return the price in the venue's currency; a play that money cannot buy, or that a pass pays, costs none of it."""
    assert facts.price is not None
    return 0 if the_pass(facts) is not None else facts.price.in_unit(facts.currency)


def pays(facts: Facts) -> tuple[Money, ...] | None:
    """Return what each purse pays from its leases, or None where they do not cover the price."""
    assert facts.price is not None
    return () if the_pass(facts) is not None else plan_payment(facts.price.price, facts.allowances)


def is_stale(facts: Facts) -> bool:
    """Say whether the office's list is older than its class may rely on, and the venue's policy for that counts."""
    risk, row = facts.risk, facts.row
    limit_ms = risk.list_age_a_ms if row is not None and row.class_ == "A" else risk.list_age_bc_ms
    return risk.stale_list != "go_on" and facts.list_age_minutes * MINUTE_MS >= limit_ms


def _halved(facts: Facts, cap: int | None) -> int | None:
    return cap if cap is None or not is_stale(facts) else cap // 2


def _trading(facts: Facts) -> str | None:
    return None if facts.trading else "hub_closed"


def _device(facts: Facts) -> str | None:
    if facts.lane is None:
        return "unknown_lane"
    return None if facts.output_ready else "machine_off"


def _proof(facts: Facts) -> str | None:
    if facts.row is None:
        return "unknown_card"
    # A card that the list blocks is told so: hubs have no key of it any more, and it plays nowhere.
    unproven = facts.row.class_ == "A" and facts.proof != "proven" and facts.row.status == "active"
    if facts.proof == "refused" or unproven:
        return "card_not_proven"
    return None


_BLOCKS: Final = {"active": None, "blocked": "card_blocked", "lost": "card_lost"}


def _blocked(facts: Facts) -> str | None:
    assert facts.row is not None
    return _BLOCKS[facts.row.status]


def _expired(facts: Facts) -> str | None:
    assert facts.row is not None
    until = facts.row.valid_until_ms
    return "card_expired" if until is not None and facts.known and facts.now_ms >= until else None


def _place_time_age(facts: Facts) -> str | None:
    row, lane = facts.row, facts.lane
    assert row is not None
    assert lane is not None
    if row.venues and facts.venue not in row.venues:
        return "wrong_place"
    for zones in (row.zones, facts.risk.limit_of(row.class_).zones):
        if zones and lane.zone not in zones:
            return "wrong_place"
    return _time_and_age(facts, row)


def _time_and_age(facts: Facts, row: ListRow) -> str | None:
    risk, local = facts.risk, facts.local
    if not risk.opening and not risk.curfews and risk.minor_closing_minute is None:
        return None
    curfews: list[Hours] = [curfew for curfew in risk.curfews if row.age_band in curfew.ages]
    if risk.minor_closing_minute is not None and row.age_band == "minor":
        # From the evening on and through the night: after midnight the venue's day is still the same one.
        closing, opening = (minute % DAY_MINUTES for minute in (risk.minor_closing_minute, risk.minor_opening_minute))
        curfews.append(Hours(closing, opening, EVERY_DAY))
    if not risk.opening and not curfews:
        return None
    if local is None:
        return "time_unknown" if risk.clock_unknown == "refuse" else None
    if risk.opening and not any(hours.contain(local, facts.day) for hours in risk.opening):
        return "closed_now"
    return "too_young_now" if any(hours.contain(local, facts.day) for hours in curfews) else None


def _price(facts: Facts) -> str | None:
    price, asked = facts.price, facts.asked
    if price is None or price.asks != (asked is not None):
        return "no_price"
    return "asks_too_much" if asked is not None and asked > price.shown.minor else None


def _class_cap(facts: Facts) -> str | None:
    row = facts.row
    assert row is not None
    cap = facts.risk.limit_of(row.class_)
    if row.tap_limit is row.day_limit is cap.per_tap is cap.per_day is None:
        return None
    cost = cost_of(facts)
    for per_tap in (row.tap_limit, _halved(facts, cap.per_tap)):
        if per_tap is not None and cost > per_tap:
            return "over_tap_limit"
    for per_day in (row.day_limit, _halved(facts, cap.per_day)):
        if per_day is not None and facts.spent_today + cost > per_day:
            return "over_day_limit"
    return None


def floor_covers(facts: Facts) -> bool:
    """Say whether the hub may approve without a lease: classes A and B, within f and C_h since the last receipt.

    The floor is for when nobody can be asked: never where the office has just said that there is no more. Who may play
    without money is for the office to say, so a finger that a hub learned has none before the office has listed it.
    """
    assert facts.row is not None
    stale = is_stale(facts)
    if facts.allowances or facts.office_answered or facts.unlisted or facts.row.class_ == "C":
        return False
    if stale and facts.risk.stale_list == "stop":
        return False
    cost, share = cost_of(facts), 2 if stale else 1
    return cost > 0 and (
        facts.floor_spent + cost <= facts.risk.floor_per_credential // share
        and facts.hub_floor_spent + cost <= facts.risk.floor_per_hub // share
    )


def _covered(facts: Facts) -> str | None:
    right = the_pass(facts)
    if right is not None:
        if facts.right_busy:
            return "pass_in_use"
        used_ms = facts.right_used_ms
        resting = used_ms is not None and abs(facts.now_ms - used_ms) < right.cool_down_ms
        return "pass_resting" if resting else None
    if pays(facts) is not None or floor_covers(facts):
        return None
    return "not_enough" if facts.allowances or facts.office_answered else "offline_limit"


def _velocity(facts: Facts) -> str | None:
    if not facts.recent:
        return None
    cost = cost_of(facts)
    for rule, recent in zip(facts.risk.windows, facts.recent, strict=True):
        if recent.count + 1 > rule.count or recent.amount + cost > rule.amount:
            return "too_fast"
    return None


def wants_second_factor(facts: Facts) -> bool:
    """Say whether a tap of a listed card with a price plays only with a second factor."""
    assert facts.row is not None
    over = facts.risk.step_up_over
    return facts.row.step_up or (over is not None and cost_of(facts) > over)


def _step_up(facts: Facts) -> str | None:
    return "second_factor_needed" if wants_second_factor(facts) and not facts.stepped_up else None


def _hub_caps(facts: Facts) -> str | None:
    count, amount = facts.risk.hub_count, facts.risk.hub_amount
    over = (count is not None and facts.hub_count + 1 > count) or (
        amount is not None and facts.hub_amount + cost_of(facts) > amount
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
    "card_expired", "wrong_place", "time_unknown", "closed_now", "too_young_now", "no_price", "asks_too_much",
    "over_tap_limit", "over_day_limit", "pass_in_use", "pass_resting", "not_enough", "offline_limit", "too_fast",
    "second_factor_needed", "hub_limit",
)  # fmt: skip
