"""Tenants, venues and hubs: who is there, which keys are pinned, who is frozen, who was seen when."""

from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import HUBS, TENANTS, VENUES
from back_office.store.transaction import insert_into

_TENANT: sa.BindParameter[bytes] = sa.bindparam("tenant")
_HUB: sa.BindParameter[bytes] = sa.bindparam("hub")
_VENUES = sa.select(VENUES).where(VENUES.c.tenant_id == _TENANT).order_by(VENUES.c.name)
_UPDATE = sa.update(HUBS).where(HUBS.c.tenant_id == _TENANT, HUBS.c.hub_id == _HUB)
# Statements are built once: building one takes four times as long as running it.


class Tenant(msgspec.Struct, frozen=True):
    """One operator."""

    tenant_id: bytes
    name: str
    created_ms: int


class Venue(msgspec.Struct, frozen=True):
    """One venue. `timezone`: IANA name; `day_begins_minute`: where its business day begins.

    `hub_lease_cap`: X_h, the most in minor units of each unit that one hub may hold of guests' money.
    """

    tenant_id: bytes
    venue_id: bytes
    name: str
    timezone: str
    day_begins_minute: int
    hub_lease_cap: int


class Hub(msgspec.Struct, frozen=True):
    """One enrolled hub and its pinned keys.

    epoch: the newest that is booked, 0 before the first batch; allowed_epoch: the newest an operator opened.
    frozen: why nothing is taken from it or given to it, or empty. hello_number, nonce, sealed_seq (its newest batch)
    and outbox_* (records without a receipt, age of the oldest): its newest hello's. closed_ms: when an operator
    closed it for good; closed_epoch: the newest epoch that the hub itself has closed; reopened: the freeze that an
    operator lifted last, or empty once it is frozen again. risk_version: of the risk document that its newest hello
    has, 0: none; risk_from: the first entry of its newest epoch that it surely wrote behind a risk document, 0: none.
    told_through: with which entry of told_epoch its journal ended at told_ms, by its newest hello: when that
    was said at the earliest, by its own clock, or of a clock that is ahead, behind the newest receipt that it had then;
    None: nobody knows, it said none, or an older release heard it.
    """

    tenant_id: bytes
    hub_id: bytes
    venue_id: bytes
    name: str
    sign_key: bytes
    seal_key: bytes
    enrolled_ms: int
    epoch: int = 0
    allowed_epoch: int = 1
    frozen: str = ""
    hello_number: int = 0
    nonce: bytes = b""
    last_seen_ms: int | None = None
    sealed_seq: int = 0
    outbox_entries: int = 0
    outbox_age_ms: int = 0
    closed_ms: int | None = None
    closed_epoch: int = 0
    reopened: str = ""
    risk_version: int = 0
    risk_from: int = 0
    told_epoch: int = 0
    told_through: int = 0
    told_ms: int | None = None


_HUBS = sa.select(*(HUBS.c[name] for name in Hub.__struct_fields__)).where(HUBS.c.tenant_id == _TENANT)
_OF_TENANT = _HUBS.order_by(HUBS.c.name)
_ITSELF = HUBS.alias()
_ITS_VENUE = sa.select(_ITSELF.c.venue_id).where(_ITSELF.c.tenant_id == _TENANT, _ITSELF.c.hub_id == _HUB)
_NEIGHBOURS = by_index(
    _OF_TENANT.where(HUBS.c.venue_id == _ITS_VENUE.scalar_subquery(), HUBS.c.hub_id != _HUB), HUBS, "hubs_of_a_venue"
)
_ONE_HUB = _HUBS.where(HUBS.c.hub_id == _HUB)
_BY_IDS = _HUBS.where(HUBS.c.hub_id.in_(sa.bindparam("hubs", expanding=True)))


def add_tenant(tx: Transaction, tenant: Tenant) -> None:
    """Write a tenant down."""
    tx.execute(insert_into(TENANTS), [msgspec.structs.asdict(tenant)])


def add_venue(tx: Transaction, venue: Venue) -> None:
    """Write a venue down."""
    tx.execute(insert_into(VENUES), [msgspec.structs.asdict(venue)])


def set_lease_cap(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, cap: int) -> None:
    """Set the most that one hub of a venue may hold of guests' money, in minor units of each unit."""
    venue = sa.update(VENUES).where(VENUES.c.tenant_id == tenant_id, VENUES.c.venue_id == venue_id)
    tx.execute(venue.values(hub_lease_cap=cap))


def add_hub(tx: Transaction, hub: Hub) -> None:
    """Write an enrolled hub down."""
    tx.execute(insert_into(HUBS), [msgspec.structs.asdict(hub)])


def tenants(tx: Transaction) -> list[Tenant]:
    """Return every tenant of this database, by name."""
    return [Tenant(**row) for row in tx.execute(sa.select(TENANTS).order_by(TENANTS.c.name)).mappings()]


def venues(tx: Transaction, tenant_id: bytes) -> list[Venue]:
    """Return a tenant's venues, by name."""
    return [Venue(**row) for row in tx.execute(_VENUES, {"tenant": tenant_id}).mappings()]


def hubs(tx: Transaction, tenant_id: bytes) -> list[Hub]:
    """Return a tenant's hubs, by name."""
    return [Hub(*row) for row in tx.execute(_OF_TENANT, {"tenant": tenant_id})]


def neighbours(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[Hub]:
    """Return the other hubs of a hub's venue, by name."""
    return [Hub(*row) for row in tx.execute(_NEIGHBOURS, {"tenant": tenant_id, "hub": hub_id})]


def hub(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> Hub | None:
    """Return one hub."""
    row = tx.execute(_ONE_HUB, {"tenant": tenant_id, "hub": hub_id}).first()
    return None if row is None else Hub(*row)


def hubs_by_id(tx: Transaction, tenant_id: bytes, hub_ids: Iterable[bytes]) -> dict[bytes, Hub]:
    """Return some hubs."""
    return {
        found.hub_id: found
        for ids in chunks(hub_ids)
        for found in (Hub(*row) for row in tx.execute(_BY_IDS, {"tenant": tenant_id, "hubs": ids}))
    }


def booked(tx: Transaction, tenant_id: bytes, epochs: Mapping[bytes, int], *, now_ms: int) -> None:
    """Note that batches are in the books. epochs: of which epoch of each hub."""
    rows = [
        {"tenant": tenant_id, "hub": hub_id, "epoch": epoch, "last_seen_ms": now_ms}
        for hub_id, epoch in sorted(epochs.items())  # two writers never cross
    ]
    tx.execute(_UPDATE, rows)


def freeze(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, why: str) -> None:
    """Take nothing more from a hub and give it nothing; the first reason stays."""
    tx.execute(_of(tenant_id, hub_id).where(HUBS.c.frozen == "").values(frozen=why, reopened=""))


def reopen(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, allowed_epoch: int) -> None:
    """Take from a frozen hub again, also from a new epoch of its journal on; what it was frozen for is told to it."""
    values = {"reopened": HUBS.c.frozen, "frozen": "", "allowed_epoch": allowed_epoch}
    tx.execute(_of(tenant_id, hub_id).where(HUBS.c.frozen != "").values(values))


def close(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, now_ms: int) -> None:
    """Close a hub for good: nothing is leased to it any more, and what it still says is late."""
    tx.execute(_of(tenant_id, hub_id).where(HUBS.c.closed_ms.is_(None)).values(closed_ms=now_ms))


def close_epoch(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, epoch: int) -> None:
    """Note that a hub has signed that it holds nothing more in an epoch."""
    tx.execute(_of(tenant_id, hub_id).where(HUBS.c.closed_epoch < epoch).values(closed_epoch=epoch))


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a hello says that is kept."""

    hello_number: int
    nonce: bytes
    sealed_seq: int
    outbox_entries: int
    outbox_age_ms: int
    risk_version: int
    risk_from: int
    told_epoch: int
    told_through: int
    told_ms: int | None


def greeted(tx: Transaction, tenant_id: bytes, hub_id: bytes, greeting: Greeting, *, now_ms: int) -> None:
    """Keep a hub's newest hello."""
    values = {**msgspec.structs.asdict(greeting), "last_seen_ms": now_ms}
    tx.execute(_UPDATE, {"tenant": tenant_id, "hub": hub_id, **values})


def _of(tenant_id: bytes, hub_id: bytes) -> sa.Update:
    return sa.update(HUBS).where(HUBS.c.tenant_id == tenant_id, HUBS.c.hub_id == hub_id)


def allow_epoch(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, epoch: int) -> None:
    """Take from a hub also what it says in a newer epoch of its journal; an older one is never barred by this."""
    tx.execute(_of(tenant_id, hub_id).where(HUBS.c.allowed_epoch < epoch).values(allowed_epoch=epoch))
