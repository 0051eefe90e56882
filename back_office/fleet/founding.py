"""How an office begins: its tenant, its first venue, its books; and how a hub is pinned in them."""

from typing import Final

from back_office.business_day import time_of_day
from back_office.fleet.trust import keep_trust
from back_office.ledger.desk import Desk, venue_of
from back_office.store import places
from back_office.store.acts import AuditLine, audit
from back_office.store.engine import Store
from back_office.store.faults import RESTORE
from back_office.store.places import Hub, Tenant, Venue
from cloud_sync.receiver import HubRecord

HUB_LEASE_CAP: Final = 2_000_000
"""X_h of a new venue, in minor units of each unit: what a stolen hub can cost at most."""
DAY_BEGINS_MINUTE: Final = 6 * 60


class FoundingError(Exception):
    """The office is there already, or the hub's name is taken, or the venue is not known; the text says which."""


class VenueUnknownError(FoundingError):
    """No venue is named so, or none is named where there are several; the text lists them."""


def found_office(
    store: Store, tenant: Tenant, *, venue_id: bytes, venue: str, timezone: str, day_begins: int = DAY_BEGINS_MINUTE
) -> None:
    """Write the tenant, its first venue and the first entry of its books; FoundingError where books are there."""
    tenant_id = tenant.tenant_id
    with store.writing() as tx:
        if places.tenants(tx):
            message = "the books have an owner already: name another folder"
            raise FoundingError(message)
        places.add_tenant(tx, tenant)
        first = Venue(tenant_id, venue_id, venue, timezone, day_begins, HUB_LEASE_CAP)
        places.add_venue(tx, first)
        Desk(tx, tenant_id, first, now_ms=tenant.created_ms).open_books()


def add_venue(store: Store, venue: Venue, *, by: str, now_ms: int) -> None:
    """Write another venue down; FoundingError where its name is taken. The audit keeps who added it."""
    with store.writing() as tx:
        if any(known.name == venue.name for known in places.venues(tx, venue.tenant_id)):
            message = f"there is a venue {venue.name!r} already: choose another name"
            raise FoundingError(message)
        places.add_venue(tx, venue)
        note = f"{venue.timezone}, its day begins at {time_of_day(venue.day_begins_minute)}"
        audit(tx, venue.tenant_id, AuditLine(now_ms, by, f"venue added: {venue.name}", venue.venue_id, note))


def set_lease_cap(store: Store, venue: Venue, cap: int, *, by: str, why: str, now_ms: int) -> None:
    """Set X_h of a venue, in minor units of each unit; leases above it stay until they come back."""
    with store.writing() as tx:
        places.set_lease_cap(tx, venue.tenant_id, venue.venue_id, cap=cap)
        what = f"cap of a hub: {venue.hub_lease_cap} -> {cap}"
        audit(tx, venue.tenant_id, AuditLine(now_ms, by, what, venue.venue_id, why))


def refuse_unfounded(store: Store, tenant_id: bytes) -> None:
    """Raise FoundingError where the books are not this office's: no tenant of these keys, or no venue, is in them."""
    with store.reading() as tx:
        if not places.venues(tx, tenant_id):
            message = f"these books have no tenant or venue of this folder's keys; {RESTORE}"
            raise FoundingError(message)


def only_venue(store: Store, tenant_id: bytes, name: str = "") -> Venue:
    """Return the venue of this name, or the only one; VenueUnknownError lists what there is."""
    with store.reading() as tx:
        known = places.venues(tx, tenant_id)
    chosen = [venue for venue in known if name in ("", venue.name)]
    if len(chosen) != 1:
        message = f"which venue? This office has {', '.join(repr(venue.name) for venue in known)}"
        raise VenueUnknownError(message)
    return chosen[0]


def find_hub(store: Store, tenant_id: bytes, name: str) -> Hub:
    """Return the hub of this name or id; FoundingError lists what there is."""
    with store.reading() as tx:
        known = places.hubs(tx, tenant_id)
    wanted = name.replace("-", "").lower()
    for hub in known:
        if hub.name == name or hub.hub_id.hex() == wanted:
            return hub
    message = f"there is no hub {name!r}; enrolled are: {', '.join(hub.name for hub in known) or 'none'}"
    raise FoundingError(message)


def pin_hub(store: Store, tenant_id: bytes, record: HubRecord, *, venue_id: bytes, name: str, now_ms: int) -> Hub:
    """Pin a hub's keys; FoundingError where its name is taken, or it is pinned already."""
    hub = Hub(
        tenant_id=tenant_id,
        hub_id=record.hub_id,
        venue_id=venue_id,
        name=name,
        sign_key=record.sign_public,
        seal_key=record.receive_public,
        enrolled_ms=now_ms,
        allowed_epoch=record.allowed_epoch,
    )
    with store.writing() as tx:
        venue_of(tx, tenant_id, venue_id)
        if places.hub(tx, tenant_id, hub.hub_id) is not None:
            message = "this hub is enrolled already, into another folder: use that one"
            raise FoundingError(message)
        if any(known.name == name for known in places.hubs(tx, tenant_id)):
            message = f"there is a hub {name!r} already: choose another --name"
            raise FoundingError(message)
        places.add_hub(tx, hub)
        keep_trust(tx, tenant_id, venue_id, now_ms=now_ms)
    return hub
