"""Where the money of a payment lies that is not in the purse, told to who wants it back."""

from collections import defaultdict
from typing import Final

from back_office.ledger.desk import Desk
from back_office.store import grants, lots, places
from payment_core.journal import LotKind

_COMES_BACK: Final = "it comes back by itself when the guest has not played there for half an hour, or at closing"


def lies_elsewhere(desk: Desk, paid: grants.Payment) -> str:
    """Return at which hubs a payment's own money lies or on its way, and how it comes back; empty: at none."""
    if desk.learning:
        return ""
    found = lots.lots_of_payment(desk.tx, desk.tenant_id, channel=paid.channel, payment_id=paid.payment_id)
    mine = {key.lot for key, row in found.items() if key.account_id == paid.account_id and row.kind == LotKind.PAID}
    at_hubs: dict[bytes, int] = defaultdict(int)
    for place, row in grants.live_leases(desk.tx, desk.tenant_id, {paid.account_id: mine}).items():
        if place.lot in mine and place.unit == paid.unit:
            at_hubs[place.hub_id] += row.left
    passing = lots.passing_of(desk.tx, desk.tenant_id, {paid.account_id: mine}, ()).items()
    between = sum(max(row.waiting, 0) for way, row in passing if way.lot in mine and way.unit == paid.unit)
    names = {hub.hub_id: hub.name for hub in places.hubs(desk.tx, desk.tenant_id)} if at_hubs else {}
    said = [f"{amount} {paid.unit} lie at hub {names[hub]}" for hub, amount in sorted(at_hubs.items()) if amount > 0]
    said += [f"{between} {paid.unit} are between two hubs"] if between else []
    return f"{', '.join(said)}: {_COMES_BACK}; ask again then" if said else ""
