"""Coins at a lane: they become credit there, and the credit plays as soon as it covers the price."""

from typing import Final

from edge_agent.ledger import claims, lane_credit
from edge_agent.messages import FromDevice, Show
from edge_agent.play.plays import hold_and_command
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.quotes import Quote
from edge_agent.step.views import view_of
from edge_agent.takings.intake import Intake, bring_in
from payment_core.journal import Actor, Captured, Held, Part, Source, Tender, TicketsKept
from payment_core.money import Money
from payment_core.policy import Lane

MAX_CREDITS: Final = 100
"""Credits of one command, as the coin line takes them; what is left plays after it."""

TICKET: Final = "ticket"
OWNER_MS: Final = 120_000
"""How long who played last at a lane owns the tickets that come out there."""


def add(draft: Draft, lane: Lane, amount: int) -> None:
    """Add a booked coin to a lane's credit."""
    lane_credit.add_coins(draft.store, lane.id, draft.site.currency, amount)


def play(draft: Draft, lane: Lane) -> None:
    """Let a lane's credit play what it covers, where the machine takes it and the hub may trade."""
    site, now = draft.site, draft.now
    quote = site.quote_to_pay(lane, now.local, boottime_ms=now.boottime_ms)
    if quote is None or quote.price.cash is None:
        return
    price, cost = quote.price, quote.price.cash.minor
    if not cost or site.frozen or not site.ready(lane.output):
        return
    plays = min(lying_at(draft, lane, site.currency) // cost, max(MAX_CREDITS // price.credits, 1))
    if plays:
        _hold(draft, lane, Money(cost * plays, site.currency), price.credits * plays, quote)


def _hold(draft: Draft, lane: Lane, paid: Money, credits: int, quote: Quote) -> None:
    """Hold coin credit. Its event is the journal entry itself: one coin may be what several plays waited for."""
    part = Part(paid.unit, paid.minor)
    lane_credit.take(draft.store, lane.id, part.unit, part.amount, coins=True)
    tax_code = quote.price.tax_code or None
    spot = Spot(Actor.GUEST, Tender.CASH, lane, draft.new_id(), tax_code, stamp=quote.stamp)
    header = draft.header(spot)
    expires_ms = draft.now.wall_ms + draft.site.risk.hold_ms
    held = Held(1, header, (part,), None, None, None, lane.output, draft.site.epoch, header.seq, expires_ms)
    hold_and_command(draft, held, spot, credits=credits)
    draft.effect(Show(lane.id, view_of(draft, lane, "held", paid)))


def lying_at(draft: Draft, lane: Lane, unit: str) -> int:
    """Return what lies at a lane unplayed (coins, in the currency) or unclaimed (what was won there)."""
    return lane_credit.lying_at(draft.store, lane.id, unit, coins=unit == draft.site.currency)


def may_claim(draft: Draft, account_id: bytes, unit: str, amount: int) -> bool:
    """Say whether so much more may come from machines to an account today; the default is nothing at all."""
    cap = draft.site.staff.credit_to_account
    return cap > 0 and _claimed(draft, account_id, unit) + amount <= cap


def claim(
    draft: Draft, lane: Lane, account_id: bytes, unit: str, amount: int, *, intake_id: bytes, staff: str = ""
) -> None:
    """Move what lies at a lane to an account; the caller has looked at the cap."""
    money = unit == draft.site.currency
    lane_credit.take(draft.store, lane.id, unit, amount, coins=money)
    source = Source.LANE_CREDIT if money else Source.KEPT_TICKETS
    what = Intake(account_id, unit, amount, source, lane.id, intake_id, staff=staff)
    bring_in(draft, what, lane=lane)
    note_claim(draft, account_id, unit, amount)


def note_claim(draft: Draft, account_id: bytes, unit: str, amount: int) -> None:
    """Count what came from machines to an account today."""
    claims.note(draft.store, account_id, unit, amount, day=_this_day(draft))


def won(draft: Draft, lane: Lane, fact: FromDevice, count: int) -> None:
    """Book tickets that came out at a lane: to who played last there a moment ago, or as credit that waits there."""
    player = draft.site.last_player.get(lane.id)
    owner = player.account_id if player and draft.now.boottime_ms - player.at_ms <= OWNER_MS else None
    if owner is not None and may_claim(draft, owner, TICKET, count):
        what = Intake(owner, TICKET, count, Source.WON, lane.machine, draft.new_id())
        bring_in(draft, what, lane=lane)
        note_claim(draft, owner, TICKET, count)
        return
    header = draft.header(Spot(Actor.DEVICE, Tender.NONE, lane))
    draft.journal(TicketsKept(1, header, fact.device, fact.event.epoch, fact.event.seq, TICKET, count))
    lane_credit.add_won(draft.store, lane.id, TICKET, count, now_ms=draft.now.wall_ms)


def _claimed(draft: Draft, account_id: bytes, unit: str) -> int:
    return claims.claimed(draft.store, account_id, unit, day=_this_day(draft))


def _this_day(draft: Draft) -> int:
    """Return the business date that counts: a clock that goes back opens no day anew."""
    return max(draft.day, claims.latest_day(draft.store))


def on_device(draft: Draft, device: str) -> None:
    """An output may be back: what was inserted meanwhile plays now."""
    lane = draft.site.lane_of_device.get(device)
    if lane is not None and device == lane.output:
        play(draft, lane)


def go_on(draft: Draft) -> None:
    """Behind all inputs of a step: where a play of coins was captured, whoever said so, what they still cover follows.

    A machine that gave a part is not asked again by itself.
    """
    for entry in draft.watched:
        if isinstance(entry, Captured) and entry.account_id is None and not entry.released:
            lane = draft.site.lanes.get(entry.header.lane or "")
            if lane is not None:
                play(draft, lane)
