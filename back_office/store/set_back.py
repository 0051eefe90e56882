"""Hubs that hold receipts or leases which these books have forgotten, until each was heard whole."""

from typing import Final

import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import CREDENTIALS, SET_BACK
from back_office.store.transaction import insert_into

_TENANT: Final[sa.BindParameter[bytes]] = sa.bindparam("tenant")
_HUB: Final[sa.BindParameter[bytes]] = sa.bindparam("hub")
_ALL: Final = sa.select(SET_BACK.c.hub_id, SET_BACK.c.declared).where(SET_BACK.c.tenant_id == _TENANT)
_FORGET: Final = sa.delete(SET_BACK).where(SET_BACK.c.tenant_id == _TENANT, SET_BACK.c.hub_id == _HUB)
_NEWEST: Final = sa.select(sa.func.max(CREDENTIALS.c.version)).where(CREDENTIALS.c.tenant_id == _TENANT)


def unheard(tx: Transaction, tenant_id: bytes) -> dict[bytes, bool]:
    """Return the hubs that know more, and whether a person has declared that the books were restored."""
    return {hub_id: bool(declared) for hub_id, declared in tx.execute(_ALL, {"tenant": tenant_id})}


def note(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, declared: bool, now_ms: int) -> None:
    """Note that a hub knows more; what a person declared takes the place of what the hub said alone."""
    forget(tx, tenant_id, hub_id)
    row = {"tenant_id": tenant_id, "hub_id": hub_id, "declared": int(declared), "since_ms": now_ms}
    tx.execute(insert_into(SET_BACK), row)


def forget(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> None:
    """Note that these books have all a hub knows."""
    tx.execute(_FORGET, {"tenant": tenant_id, "hub": hub_id})


def raise_list(tx: Transaction, tenant_id: bytes, *, by: int) -> None:
    """Let the list go on under higher versions: its newest row becomes one of them."""
    newest = tx.execute(_NEWEST, {"tenant": tenant_id}).scalar()
    if newest:
        at = (CREDENTIALS.c.tenant_id == tenant_id, CREDENTIALS.c.version == newest)
        tx.execute(sa.update(CREDENTIALS).where(*at).values(version=newest + by))
