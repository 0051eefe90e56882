"""Coins at a lane: they become credit there, and the credit plays as soon as it covers the price."""

from typing import Final

from edge_agent.draft import Draft, Spot
from edge_agent.ledger.authorizations import Authorization
from edge_agent.messages import Show
from edge_agent.plays import hold_and_command, view_of
from payment_core.journal import Actor, Held, Part, Tender
from payment_core.money import Money
from payment_core.policy import Lane
from payment_core.pricing import find_price

MAX_CREDITS: Final = 100
"""Credits of one command, as the coin line takes them; what is left plays after it."""


def add(draft: Draft, lane: Lane, amount: int) -> None:
    """Add a booked coin to a lane's credit."""
    draft.store.execute(
        "INSERT INTO coin_credit(lane, unit, amount) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (lane.id, draft.site.currency, amount),
    )


def play(draft: Draft, lane: Lane) -> None:
    """Let a lane's credit play what it covers, where the machine takes it and the hub may trade."""
    site, local = draft.site, draft.now.local
    price = find_price(site.prices, machine=lane.machine, zone=lane.zone, local=local) if site.prices else None
    cost = price.in_unit(site.currency) if price else 0
    if price is None or not cost or site.frozen or not site.ready(lane.output):
        return
    rows = draft.store.rows("SELECT amount FROM coin_credit WHERE lane = ?", (lane.id,))
    plays = min(rows[0][0] // cost if rows else 0, max(MAX_CREDITS // price.credits, 1))
    if plays:
        _hold(draft, lane, Money(cost * plays, site.currency), price.credits * plays, price.tax_code or None)


def _hold(draft: Draft, lane: Lane, paid: Money, credits: int, tax_code: str | None) -> None:
    """Hold coin credit. Its event is the journal entry itself: one coin may be what several plays waited for."""
    part = Part(paid.unit, paid.minor)
    draft.store.execute("UPDATE coin_credit SET amount = amount - ? WHERE lane = ?", (part.amount, lane.id))
    spot = Spot(Actor.GUEST, Tender.CASH, lane, draft.new_id(), tax_code)
    header = draft.header(spot)
    expires_ms = draft.now.wall_ms + draft.site.risk.hold_ms
    held = Held(1, header, (part,), None, None, None, lane.output, draft.site.epoch, header.seq, expires_ms)
    hold_and_command(draft, held, spot, credits=credits)
    draft.effect(Show(lane.id, view_of(draft, lane, "held", paid)))


def on_device(draft: Draft, device: str) -> None:
    """An output may be back: what was inserted meanwhile plays now."""
    lane = draft.site.lane_of_device.get(device)
    if lane is not None and device == lane.output:
        play(draft, lane)


def after(draft: Draft, played: Authorization) -> None:
    """A coin play was delivered: what the credit still covers follows."""
    lane = draft.site.lanes.get(played.lane) if played.lane else None
    if played.account_id is None and lane is not None:
        play(draft, lane)
