"""What a tap's decision looks at, read from the ledger as it stands in this very step."""

from collections.abc import Sequence

import msgspec

from edge_agent.draft import Draft
from edge_agent.ledger import authorizations, leases, since_receipt, uses
from edge_agent.ledger.leases import LeaseRow
from edge_agent.ledger.since_receipt import Since
from edge_agent.ledger.uses import RightUse
from edge_agent.quotes import Quote
from edge_agent.step_up import Factor
from payment_core import usage
from payment_core.authorization import OPEN
from payment_core.checks import pass_for
from payment_core.credential import ListRow, Right
from payment_core.facts import Facts, Proof
from payment_core.policy import Lane, RiskDocument
from payment_core.price_calendar import day_kind
from payment_core.usage import NO_USE, Usage


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


class Case(msgspec.Struct, frozen=True):
    """A tap with all that is known about it. `elsewhere`: its account's use that no lease row counts."""

    tap: Tap
    facts: Facts
    quote: Quote | None
    leases: Sequence[LeaseRow]
    elsewhere: Usage

    @property
    def places(self) -> list[Usage]:
        """Where the account's use is counted."""
        return [*(usage.read_usage(row.used) for row in self.leases if row.used), self.elsewhere]


def look_up(draft: Draft, tap: Tap) -> Case:
    """Read everything that counts for a tap now."""
    site, now, row, lane = draft.site, draft.now, tap.row, tap.lane
    risk, known = site.risk, draft.known_ms is not None
    rows = leases.of_account(draft.store, row.account_id) if row else []
    guest = {"tier": row.tier, "group": row.group} if row else {}
    quote = site.quote_to_pay(lane, now.local, boottime_ms=now.boottime_ms, **guest) if lane else None
    counts = counts_cards(risk, row) or bool(risk.windows)
    elsewhere = usage.read_usage(uses.used_elsewhere(draft.store, row.account_id)) if row and counts else NO_USE
    case = Case(tap, _NO_FACTS, quote, rows, elsewhere)
    places = case.places if counts else []
    day = now.business_date if known else None
    allowances = leases.allowances(rows, now_ms=draft.known_ms)
    floors = risk.floor_per_hub > 0 and not allowances
    approved = since_receipt.of(draft.store, since_receipt.THE_HUB) if has_hub_caps(risk) else Since()
    right = pass_for(row, lane, now_ms=now.wall_ms, known=known, risk=risk) if row and row.rights and lane else None
    used = uses.right_use(draft.store, row.account_id, right_name(right)) if row and right else None
    facts = Facts(
        trading=site.prices is not None and not site.frozen,
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
        known=known,
        day=day_kind(site.calendar, now.local),
        venue=site.venue_id,
        spent_today=usage.spent_today(places, tap.credential_id, day),
        recent=usage.recent(places, risk.windows, now.wall_ms),
        floor_spent=since_receipt.of(draft.store, tap.credential_id).amount if floors else 0,
        hub_floor_spent=since_receipt.on_floor(draft.store).amount if floors else 0,
        hub_count=approved.count,
        hub_amount=approved.amount,
        list_age_minutes=site.list_age.minutes(now),
        right_used_ms=used.at_ms if used else None,
        right_busy=used is not None and _is_busy(draft, used),
        stepped_up=_stepped_up(draft, tap),
        calendar=site.calendar.version,
        honoured=quote is not None and quote.honoured,
        token_counter=tap.token_counter,
    )
    return msgspec.structs.replace(case, facts=facts)


_NO_FACTS: Facts = Facts(
    trading=False, lane=None, output_ready=False, row=None, proof="identified", now_ms=0, local=None, price=None,
    allowances={}, currency="", risk=RiskDocument(0),
)  # fmt: skip


def counts_cards(risk: RiskDocument, row: ListRow | None) -> bool:
    """Say whether anybody asks what this card spent in a day."""
    return row is not None and (row.day_limit is not None or risk.limit_of(row.class_).per_day is not None)


def has_hub_caps(risk: RiskDocument) -> bool:
    """Say whether anybody asks what this hub approved since the last receipt."""
    return risk.hub_count is not None or risk.hub_amount is not None


def right_name(right: Right) -> str:
    """Return how the journal and the neighbours call a pass."""
    return f"pass:{right.group}"


def _is_busy(draft: Draft, used: RightUse) -> bool:
    """Say whether the play that a pass paid last is under way: known here, or told by a neighbour a moment ago."""
    if used.authorization_id:
        row = authorizations.by_id(draft.store, used.authorization_id)
        return row is not None and row.state in OPEN
    return abs(draft.now.wall_ms - used.at_ms) < draft.site.risk.answer_ms


def _stepped_up(draft: Draft, tap: Tap) -> bool:
    if tap.lane is None or tap.row is None:
        return False
    factor = Factor(tap.credential_id, tap.row.class_, draft.now.boottime_ms)
    life_ms = draft.site.risk.step_up_life_ms
    return draft.site.step_ups.has_second(tap.lane.id, tap.row.account_id, factor, life_ms=life_ms)
