"""Which receive keys hubs were told to seal to, and which version of their trust document each hub has said it has."""

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import RECEIVE_KEYS, TRUST_HEARD
from back_office.store.transaction import insert_into

_TENANT: sa.BindParameter[bytes] = sa.bindparam("tenant")
_HUB: sa.BindParameter[bytes] = sa.bindparam("hub")


class ReceiveKey(msgspec.Struct, frozen=True):
    """One key, by its public half. `number` rises; the highest is in use. Times are UTC ms."""

    number: int
    public: bytes
    since_ms: int
    retired_ms: int | None = None
    retired_by: str = ""


class TrustHeard(msgspec.Struct, frozen=True):
    """The first hello in which a hub had this version: batches behind `sealed_seq` of `epoch` go by it."""

    hub_id: bytes
    version: int
    epoch: int
    sealed_seq: int
    heard_ms: int


_KEYS = (
    sa.select(*(RECEIVE_KEYS.c[name] for name in ReceiveKey.__struct_fields__))
    .where(RECEIVE_KEYS.c.tenant_id == _TENANT)
    .order_by(RECEIVE_KEYS.c.number)
)
_HEARD = (
    sa.select(*(TRUST_HEARD.c[name] for name in TrustHeard.__struct_fields__))
    .where(TRUST_HEARD.c.tenant_id == _TENANT)
    .order_by(TRUST_HEARD.c.hub_id, TRUST_HEARD.c.version)
)
_IS_HEARD = sa.select(TRUST_HEARD.c.version).where(
    TRUST_HEARD.c.tenant_id == _TENANT,
    TRUST_HEARD.c.hub_id == _HUB,
    TRUST_HEARD.c.version == sa.bindparam("is_version"),
)


def told(tx: Transaction, tenant_id: bytes) -> list[ReceiveKey]:
    """Return every key that hubs were told, oldest first; none before the first rotation."""
    return [ReceiveKey(*row) for row in tx.execute(_KEYS, {"tenant": tenant_id})]


def tell(tx: Transaction, tenant_id: bytes, key: ReceiveKey) -> None:
    """Write a key down that hubs are told from now on."""
    tx.execute(insert_into(RECEIVE_KEYS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(key)}])


def retire(tx: Transaction, tenant_id: bytes, number: int, *, by: str, now_ms: int) -> None:
    """Note that a key opens nothing any more."""
    query = sa.update(RECEIVE_KEYS).where(RECEIVE_KEYS.c.tenant_id == tenant_id, RECEIVE_KEYS.c.number == number)
    tx.execute(query.values(retired_ms=now_ms, retired_by=by))


def heard(tx: Transaction, tenant_id: bytes) -> list[TrustHeard]:
    """Return what hubs have said of their trust documents, by hub and version."""
    return [TrustHeard(*row) for row in tx.execute(_HEARD, {"tenant": tenant_id})]


def is_heard(tx: Transaction, tenant_id: bytes, hub_id: bytes, version: int) -> bool:
    """Say whether a hub has said before that it has this version."""
    return tx.execute(_IS_HEARD, {"tenant": tenant_id, "hub": hub_id, "is_version": version}).first() is not None


def hear(tx: Transaction, tenant_id: bytes, row: TrustHeard) -> None:
    """Keep the first hello in which a hub has a version; later ones say nothing new."""
    tx.execute(insert_into(TRUST_HEARD), [{"tenant_id": tenant_id, **msgspec.structs.asdict(row)}])
