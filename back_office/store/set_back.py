"""Hubs that hold receipts or leases which these books have forgotten, until each was heard whole."""

from typing import Final

import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import CREDENTIALS, HUBS, LOTS, SET_BACK
from back_office.store.transaction import insert_into

JUMP: Final = 1_000_000
"""Versions go on so far above those of the backup: nobody changed a document or the list as often since."""

_TENANT: Final[sa.BindParameter[bytes]] = sa.bindparam("tenant")
_HUB: Final[sa.BindParameter[bytes]] = sa.bindparam("hub")
_ALL: Final = sa.select(SET_BACK.c.hub_id, SET_BACK.c.declared).where(SET_BACK.c.tenant_id == _TENANT)
_LEARNING: Final = (
    sa.select(SET_BACK.c.hub_id)
    .join(HUBS, (HUBS.c.tenant_id == SET_BACK.c.tenant_id) & (HUBS.c.hub_id == SET_BACK.c.hub_id))
    .where(
        SET_BACK.c.tenant_id == _TENANT,
        (SET_BACK.c.declared != 0) | ((HUBS.c.frozen == "") & HUBS.c.closed_ms.is_(None)),
    )
    .limit(1)
)
_FORGET: Final = sa.delete(SET_BACK).where(SET_BACK.c.tenant_id == _TENANT, SET_BACK.c.hub_id == _HUB)
_NEWEST: Final = sa.select(sa.func.max(CREDENTIALS.c.version)).where(CREDENTIALS.c.tenant_id == _TENANT)
_OPEN: Final = (LOTS.c.tenant_id == _TENANT, LOTS.c.forgotten > 0)
_FORGOTTEN: Final = sa.select(LOTS.c.unit, sa.func.sum(LOTS.c.forgotten)).where(*_OPEN).group_by(LOTS.c.unit)
_SETTLE: Final = sa.update(LOTS).where(*_OPEN, LOTS.c.deposited > 0).values(forgotten=0)


def unheard(tx: Transaction, tenant_id: bytes) -> dict[bytes, bool]:
    """Return the hubs that know more, and whether a person has declared that the books were restored."""
    return {hub_id: bool(declared) for hub_id, declared in tx.execute(_ALL, {"tenant": tenant_id})}


def is_learning(tx: Transaction, tenant_id: bytes) -> bool:
    """Say whether any hub knows more: by a person's word, or by its own, where nobody has frozen or closed it."""
    return tx.execute(_LEARNING, {"tenant": tenant_id}).first() is not None


def note(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, declared: bool, now_ms: int) -> None:
    """Note that a hub knows more; what a person declared takes the place of what the hub said alone."""
    tx.execute(_FORGET, {"tenant": tenant_id, "hub": hub_id})
    row = {"tenant_id": tenant_id, "hub_id": hub_id, "declared": int(declared), "since_ms": now_ms}
    tx.execute(insert_into(SET_BACK), row)


def forget(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> None:
    """Note that these books have all a hub knows."""
    tx.execute(_FORGET, {"tenant": tenant_id, "hub": hub_id})


def settle(tx: Transaction, tenant_id: bytes) -> dict[str, int]:
    """End the learning: what the venue stands for in known lots stays so; return all it stands for, per unit.

    Of a lot whose payment these books have not seen, what comes back still goes against it.
    """
    sums = {unit: int(amount) for unit, amount in tx.execute(_FORGOTTEN, {"tenant": tenant_id})}
    tx.execute(_SETTLE, {"tenant": tenant_id})
    return sums


def raise_list(tx: Transaction, tenant_id: bytes, *, by: int) -> None:
    """Let the list go on under higher versions: its newest row becomes one of them."""
    newest = tx.execute(_NEWEST, {"tenant": tenant_id}).scalar()
    if newest:
        at = (CREDENTIALS.c.tenant_id == tenant_id, CREDENTIALS.c.version == newest)
        tx.execute(sa.update(CREDENTIALS).where(*at).values(version=newest + by))
