"""Slips that ran out: which hubs may have taken one unheard, and whose its money is once none of these lives."""

from collections.abc import Callable, Sequence
from typing import Final

from back_office.ledger.desk import Desk
from back_office.ledger.left_behind import Doubt, left_behind
from back_office.store import places, slips
from back_office.store.engine import Transaction
from back_office.store.lots import LotKey
from back_office.store.places import Hub
from back_office.store.slips import SlipRow
from payment_core.journal import Header, Part, SlipReturned

CLOCK_MARGIN_MS: Final = 3_600_000
"""How wrong a hub's clock may be that it takes for known: longer before a slip is counted as over everywhere."""
Make = Callable[[Header], SlipReturned]


def waits_for(tx: Transaction, tenant_id: bytes, slip: SlipRow, *, now_ms: int) -> list[Hub]:
    """Return the hubs that may still have taken a slip without the office knowing it; none: it can go back.

    A hub is out of the question once it has said, behind the slip's end and a margin for clocks, that it holds nothing
    the office has not booked; or was enrolled behind it; or an operator has closed it. Time alone says nothing.
    """
    return [hub for hub in may_have(tx, tenant_id, slip, now_ms=now_ms) if hub.closed_ms is None]


def may_have(tx: Transaction, tenant_id: bytes, slip: SlipRow, *, now_ms: int | None = None) -> list[Hub]:
    """Return the hubs that may have taken a slip unheard, or may yet, those that are closed with them."""
    over_ms = slip.valid_until_ms + CLOCK_MARGIN_MS
    reported = slips.clear_ms(tx, tenant_id)
    return [
        hub
        for hub in places.hubs(tx, tenant_id)
        if hub.venue_id == slip.venue_id
        and slip.hub_id in (None, hub.hub_id)
        and hub.enrolled_ms <= over_ms
        and ((now_ms is not None and now_ms <= over_ms) or reported.get(hub.hub_id, 0) <= over_ms)
    ]


def return_slips(desk: Desk, *, doubt: Doubt = "open") -> list[SlipRow]:
    """Bring the money of slips back into their purses that no hub of the desk's venue can have; return them.

    What others took of a closed hub that may have had a slip is theirs: that does not come back too. Where such a hub
    may have given back a play instead, nobody can say; the slip stays until somebody has decided the `doubt`.
    """
    done: list[SlipRow] = []
    for slip in slips.outstanding(desk.tx, desk.tenant_id):
        over = desk.now_ms > slip.valid_until_ms + CLOCK_MARGIN_MS
        if slip.venue_id != desk.venue.venue_id or not over:
            continue
        found = may_have(desk.tx, desk.tenant_id, slip, now_ms=desk.now_ms)
        if all(hub.closed_ms is not None for hub in found):
            makes = _settled(desk, slip, [hub.hub_id for hub in found], doubt)
            if makes:
                desk.append_all(makes)
                done.append(slip)
    return done


def _settled(desk: Desk, slip: SlipRow, closed: Sequence[bytes], doubt: Doubt) -> list[Make]:
    """Return the entries that settle a slip: what each closed hub had passed on of it, then what comes back."""
    makes: list[Make] = []
    lot = LotKey(slip.account_id, slip.unit, slip.lot)
    rest, unclear = slips.way(desk.tx, desk.tenant_id, slip.slip_id).waiting, 0
    for hub_id in closed:
        found = left_behind(desk.tx, desk.tenant_id, hub_id, doubt=doubt)
        onward = min(rest, found.ahead.get(lot, 0))
        refunded = min(onward, found.refundable.get(lot, 0)) if doubt != "venue" else 0
        unclear += refunded
        if onward > refunded:
            makes.append(_returned(slip, [hub_id], onward=onward - refunded))
        rest -= onward
    if rest:
        makes.append(_returned(slip, closed, back=rest))
    if unclear and doubt == "guest":  # by a person's word, and not because of a hub that is closed
        makes.append(_returned(slip, (), back=unclear))
    return makes


def _returned(slip: SlipRow, closed: Sequence[bytes], *, back: int = 0, onward: int = 0) -> Make:
    def parts(amount: int) -> tuple[Part, ...]:
        return (Part(slip.unit, amount, None, slip.lot),) if amount else ()

    return lambda header: SlipReturned(
        1, header, slip.account_id, parts(back), slip.slip_id, tuple(closed), parts(onward)
    )
