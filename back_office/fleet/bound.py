"""The bound of a venue as its hubs keep it: of each hub, over all risk documents it was ever sent.

A disk that is restored brings back an older document with it, and a hub that is not heard may have any. The cap that
counts for leases stands in the documents (`documents.keep_document`). A hub keeps its own defaults until it has one:
they count until its newest hello says so.
"""

import msgspec

from back_office.ledger.caps import caps_in_force
from back_office.store import papers, places
from back_office.store.engine import Transaction
from back_office.store.places import Hub
from payment_core.exposure import Exposure, HubTerms, exposure, terms_of


def terms_at(tx: Transaction, tenant_id: bytes, hub: Hub) -> HubTerms:
    """Return a hub's terms, whatever of what it was ever sent it may have in force."""
    return terms_of(hub.name, caps_in_force(tx, tenant_id, hub))


class _Priced(msgspec.Struct, frozen=True):
    unit: str = ""


def bound_of(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, rollbacks: int = 1, days: int = 1) -> Exposure:
    """Return what a venue can lose while its hubs decide alone; the unit is empty before the first price list."""
    unit, hubs = "", []
    for hub in places.hubs(tx, tenant_id):
        if hub.venue_id != venue_id or hub.closed_ms is not None:
            continue
        prices = papers.newest(tx, tenant_id, hub.hub_id, "prices")
        hubs.append(terms_at(tx, tenant_id, hub))
        unit = unit or msgspec.json.decode(prices.body if prices else b"{}", type=_Priced).unit
    return exposure(unit, hubs, rollbacks=rollbacks, days=days)
