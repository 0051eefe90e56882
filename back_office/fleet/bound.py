"""The bound of a venue as it is configured now: from the newest risk document of each hub and the venue's lease cap."""

import msgspec

from back_office.store import papers, places
from back_office.store.engine import Transaction
from payment_core.exposure import Exposure, HubTerms, exposure, hub_terms
from payment_core.policy import RiskDocument


class _Priced(msgspec.Struct, frozen=True):
    unit: str = ""


def bound_of(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, rollbacks: int = 1, days: int = 1) -> Exposure:
    """Return what a venue can lose while its hubs decide alone; the unit is empty before the first price list."""
    venue = next(venue for venue in places.venues(tx, tenant_id) if venue.venue_id == venue_id)
    unit, hubs = "", []
    for hub in places.hubs(tx, tenant_id):
        if hub.venue_id != venue_id or hub.closed_ms is not None:
            continue
        held = {document.name: document.body for document in papers.documents(tx, tenant_id, hub.hub_id)}
        terms = hub_terms(hub.name, msgspec.json.decode(held.get("risk", b'{"version":0}'), type=RiskDocument))
        unit = unit or msgspec.json.decode(held.get("prices", b"{}"), type=_Priced).unit
        hubs.append(_capped(terms, venue.hub_lease_cap))
    return exposure(unit, hubs, rollbacks=rollbacks, days=days)


def _capped(terms: HubTerms, venue_cap: int) -> HubTerms:
    """The office leases no more than the venue's cap; a hub's own may be lower."""
    lease = venue_cap if terms.lease is None else min(terms.lease, venue_cap)
    return msgspec.structs.replace(terms, lease=lease)
