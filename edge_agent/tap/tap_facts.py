"""What a tap's decision looks at, read from the ledger as it stands in this very step."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from edge_agent.ledger import authorizations, floor_debts, leases, office_facts, since_receipt, uses
from edge_agent.ledger.leases import LeaseRow
from edge_agent.ledger.since_receipt import Since
from edge_agent.ledger.uses import RightUse
from edge_agent.step.draft import Draft
from edge_agent.step.quotes import Quote
from edge_agent.step.site import Site
from edge_agent.step.step_up import Factor
from payment_core import usage
from payment_core.authorization import OPEN, State
from payment_core.checks import pass_for
from payment_core.credential import ListRow, Right
from payment_core.facts import MINUTE_MS, Facts, Proof, Recent
from payment_core.policy import Lane, RiskDocument
from payment_core.price_calendar import day_kind
from payment_core.pricing import asked_price
from payment_core.usage import NO_USE, Usage


class Vend(msgspec.Struct, frozen=True):
    """What a machine asks for, of its price's unit. session: it belongs to; empty: it asked before a card was shown.

    begins: it has not asked yet, and `amount` is the least it could: an approval lets the guest choose, no more.
    number: of the machine's question.
    """

    amount: int
    item: int = 0
    session: str = ""
    begins: bool = False
    number: int = 0


class Tap(msgspec.Struct, frozen=True):
    """A tap after its proof: what a decision needs besides the ledger. `deadline_ms`: until when (boottime)."""

    reader: str
    event_epoch: int
    event_seq: int
    lane: Lane | None
    credential_id: bytes
    row: ListRow | None
    proof: Proof
    deadline_ms: int
    token_counter: int | None = None
    """what a token of class A counted at this tap"""
    office_answered: bool = False
    """the office was asked for it and has no more"""
    vend: Vend | None = None
    """what its machine asks for, where machines name the price"""


class Case(msgspec.Struct, frozen=True):
    """A tap with all that is known about it. `leases`: those something is left of.

    `elsewhere`: its account's use that no lease row counts.
    """

    tap: Tap
    facts: Facts
    quote: Quote | None
    leases: Sequence[LeaseRow]
    elsewhere: Usage


class _Use(msgspec.Struct, frozen=True):
    """How much card, account and hub were used, as far as anybody asks."""

    elsewhere: Usage = NO_USE
    spent_today: int = 0
    recent: tuple[Recent, ...] = ()
    floor_spent: int = 0
    hub_floor_spent: int = 0
    hub: Since = Since()
    unlisted: bool = False
    """the office's list does not have the credential; looked at only where the floor is asked for it"""


_NOBODY_ASKS: Final = _Use()


def look_up(draft: Draft, tap: Tap) -> Case:
    """Read everything that counts for a tap now."""
    site, now, row, lane = draft.site, draft.now, tap.row, tap.lane
    risk, known_ms = site.risk, draft.known_ms
    rows = leases.live(draft.store, row.account_id) if row else []
    quote = quote_of(draft, tap)
    allowances = leases.allowances(draft.store, row.account_id, rows, now_ms=known_ms) if row else {}
    use = _use_of(draft, tap, rows, floor=not allowances)
    right = None
    if row is not None and row.rights and lane is not None:
        right = pass_for(row, lane, now_ms=now.wall_ms, known=known_ms is not None, risk=risk)
    used, busy = _right_use(draft, row.account_id, right) if row and right else (None, False)
    facts = Facts(
        trading=site.tariff is not None and not site.frozen,
        lane=lane,
        output_ready=lane is not None and site.ready(lane.output),
        row=row,
        proof=tap.proof,
        now_ms=now.wall_ms,
        local=now.local,
        price=quote.price if quote else None,
        allowances=allowances,
        currency=site.currency,
        risk=risk,
        known=known_ms is not None,
        day=day_kind(site.calendar, now.local) if risk.opening or risk.curfews else None,
        venue=site.venue_id,
        spent_today=use.spent_today,
        recent=use.recent,
        floor_spent=use.floor_spent,
        hub_floor_spent=use.hub_floor_spent,
        hub_count=use.hub.count,
        hub_amount=use.hub.amount,
        list_age_minutes=_list_age(draft),
        right_used_ms=used.at_ms if used else None,
        right_busy=busy,
        stepped_up=_stepped_up(draft, tap),
        calendar=site.calendar.version,
        honoured=quote is not None and quote.honoured,
        token_counter=tap.token_counter,
        office_answered=tap.office_answered,
        asked=tap.vend.amount if tap.vend else None,
        unlisted=use.unlisted,
    )
    return Case(tap, facts, quote, rows, use.elsewhere)


def quote_of(draft: Draft, tap: Tap) -> Quote | None:
    """Return what a tap costs now; None where it is at no lane, or nothing has a price."""
    if tap.lane is None:
        return None
    tier, group = (tap.row.tier, tap.row.group) if tap.row else ("", "")
    now = draft.now
    quote = draft.site.quote_to_pay(tap.lane, now.local, boottime_ms=now.boottime_ms, tier=tier, group=group)
    if quote is None or tap.vend is None:
        return quote
    return msgspec.structs.replace(quote, price=asked_price(quote.price, tap.vend.amount))


_read_usage: Final = lru_cache(maxsize=4_096)(usage.read_usage)
"""What was spent long ago says the same at every tap."""


def _used_on_leases(draft: Draft, account_id: bytes, rows: Sequence[LeaseRow]) -> list[Usage]:
    """Read the use of live leases, and of those spent already."""
    counted = [one.used for one in rows if one.used]
    return [_read_usage(used) for used in (*counted, *leases.spent_uses(draft.store, account_id))]


def _use_of(draft: Draft, tap: Tap, rows: Sequence[LeaseRow], *, floor: bool) -> _Use:
    """Read the use that a cap asks for. floor: no lease covers the tap, so the floor's counters are asked too."""
    risk, store, row = draft.site.risk, draft.store, tap.row
    counts = row is not None and (bool(risk.windows) or counts_cards(risk, row))
    on_floor, hub_caps = floor and risk.floor_per_hub > 0, has_hub_caps(risk)
    if row is None or not (counts or on_floor or hub_caps):
        return _NOBODY_ASKS
    elsewhere = usage.read_usage(uses.used_elsewhere(store, row.account_id)) if counts else NO_USE
    places = [*_used_on_leases(draft, row.account_id, rows), elsewhere] if counts else []
    day = draft.now.business_date if draft.known_ms is not None else None
    return _Use(
        elsewhere,
        usage.spent_today(places, tap.credential_id, day),
        usage.recent(places, risk.windows, draft.now.wall_ms),
        _on_floor(draft, tap.credential_id) if on_floor else 0,
        since_receipt.on_floor(store).amount if on_floor else 0,
        since_receipt.of(store, since_receipt.THE_HUB) if hub_caps else Since(),
        on_floor and office_facts.list_row(store, tap.credential_id) is None,
    )


def _on_floor(draft: Draft, credential_id: bytes) -> int:
    """Return what a card took on the floor: what it owes, and in any case what no receipt covers.

    A grant may have been on its way before the office heard of the sale: it lets go of the debt, not of that.
    """
    owed = floor_debts.owed(draft.store, credential_id)
    return max(owed, since_receipt.of(draft.store, credential_id).amount)


def _list_age(draft: Draft) -> int:
    """Return the list's age in minutes where it may matter; a young one is not written down with every tap."""
    minutes, risk = draft.site.list_age.minutes(draft.now), draft.site.risk
    return minutes if minutes * MINUTE_MS >= min(risk.list_age_a_ms, risk.list_age_bc_ms) else 0


def counts_cards(risk: RiskDocument, row: ListRow | None) -> bool:
    """Say whether anybody asks what this card spent in a day."""
    return row is not None and (row.day_limit is not None or risk.limit_of(row.class_).per_day is not None)


def has_hub_caps(risk: RiskDocument) -> bool:
    """Say whether anybody asks what this hub approved since the last receipt."""
    return risk.hub_count is not None or risk.hub_amount is not None


def right_name(right: Right) -> str:
    """Return how the journal and the neighbours call a pass."""
    return f"pass:{right.group}"


def _right_use(draft: Draft, account_id: bytes, right: Right) -> tuple[RightUse | None, bool]:
    """Return the last use of a pass that counts, and whether its play is under way.

    Known here by its authorization; of a neighbour's only the moment is known, and a play there takes at most as long
    as the slowest machine here: halls of one venue have the like.
    """
    used = uses.right_use(draft.store, account_id, right_name(right))
    if used is None:
        return None, False
    if not used.authorization_id:
        return used, abs(draft.now.wall_ms - used.at_ms) < _longest_play_ms(draft.site)
    row = authorizations.by_id(draft.store, used.authorization_id)
    if row is not None and row.state in (State.VOIDED, State.EXPIRED):
        return None, False  # the machine did not play: the pass was not used
    return used, row is not None and row.state in OPEN


def _longest_play_ms(site: Site) -> int:
    return max((site.answer_ms(lane.output) for lane in site.lanes.values()), default=site.risk.answer_ms)


def _stepped_up(draft: Draft, tap: Tap) -> bool:
    if tap.lane is None or tap.row is None:
        return False
    factor = Factor(tap.credential_id, tap.row.class_, draft.now.boottime_ms)
    life_ms = draft.site.risk.step_up_life_ms
    return draft.site.step_ups.has_second(tap.lane.id, tap.row.account_id, factor, life_ms=life_ms)
