"""What a lane shows: the price of the next tap, and how a play stands. Only for the eye."""

from edge_agent.messages import Show
from edge_agent.step.draft import Draft
from payment_core.bus import View, ViewState
from payment_core.commands import ApproveVend
from payment_core.money import Money
from payment_core.policy import Lane


def view_of(
    draft: Draft, lane: Lane, state: ViewState, cost: Money | None, *, reason: str = "", item: int = 0
) -> View:
    """Return what a lane shows; `cost` None: no price is known. `item`: what a vending machine was asked for."""
    return View(
        state,
        draft.now.wall_ms,
        cost.unit if cost else draft.site.currency,
        cost.minor if cost else 0,
        lane.name or lane.machine,
        reason,
        offline=not draft.site.office_up,
        vends=names_prices(draft, lane),
        item=item,
    )


def names_prices(draft: Draft, lane: Lane) -> bool:
    """Say whether a lane's machine gives goods and names their prices."""
    birth = draft.site.births.get(lane.output)
    return birth is not None and ApproveVend.__name__ in birth.capabilities


def show_idle(draft: Draft, *, only_new_prices: bool = False) -> None:
    """Show every lane where nothing is under way what the next tap costs; a busy one keeps what it shows."""
    busy = {authorization.lane for authorization in draft.open_ones()} | draft.site.vending.lanes
    for lane in draft.site.lanes.values():
        if lane.id in busy:
            continue
        known = draft.site.shown.price(lane.id)
        view = idle_view(draft, lane)
        if not (only_new_prices and known in (None, view.price)):
            draft.effect(Show(lane.id, view))


def follow_the_clock(draft: Draft) -> None:
    """Once a minute: a price band may have begun or ended."""
    if draft.now.local != draft.site.shown_at:
        draft.site.shown_at = draft.now.local
        show_idle(draft, only_new_prices=True)


def idle_view(draft: Draft, lane: Lane) -> View:
    """Return what a lane shows while nobody plays: the price of the next tap, which is honoured from now on.

    Where the machine names the price there is none before it has, whatever the list says.
    """
    quote = draft.site.quote(lane, draft.now.local)
    if quote is not None and (quote.price.asks or names_prices(draft, lane)):
        quote = None
    draft.site.shown.note(lane.id, quote, draft.now.boottime_ms)
    return view_of(draft, lane, "idle", quote.price.shown if quote else None)
