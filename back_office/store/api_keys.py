"""Keys of the API, of which only a hash is kept, and the answers that were given once."""

from typing import Final, Literal, get_args

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import API_ANSWERS, API_KEYS
from back_office.store.transaction import insert_into

Role = Literal["reader", "operator", "auditor"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the API. venue_id None: every venue; secret_hash: SHA-256 of a 256-bit secret; times UTC ms."""

    key_id: str
    name: str
    role: Role
    venue_id: bytes | None
    secret_hash: bytes
    created_ms: int
    created_by: str
    revoked_ms: int | None = None
    revoked_by: str = ""


class KeptAnswer(msgspec.Struct, frozen=True):
    """What was answered to a request that named itself `once`. request_hash: SHA-256 of all that it asked."""

    key_id: str
    once: str
    request_hash: bytes
    status: int
    body: bytes
    at_ms: int


_TENANT: Final = API_KEYS.c.tenant_id == sa.bindparam("tenant")
_KEYS = sa.select(*(API_KEYS.c[name] for name in ApiKey.__struct_fields__)).where(_TENANT)
_ALL = _KEYS.order_by(API_KEYS.c.created_ms, API_KEYS.c.key_id)
_ONE = _KEYS.where(API_KEYS.c.key_id == sa.bindparam("key"))
_REVOKE = sa.update(API_KEYS).where(_TENANT, API_KEYS.c.key_id == sa.bindparam("key"), API_KEYS.c.revoked_ms.is_(None))
_ANSWER = sa.select(*(API_ANSWERS.c[name] for name in KeptAnswer.__struct_fields__)).where(
    API_ANSWERS.c.tenant_id == sa.bindparam("tenant"), API_ANSWERS.c.key_id == sa.bindparam("key"),
    API_ANSWERS.c.once == sa.bindparam("name"),
)  # fmt: skip
_FORGET = sa.delete(API_ANSWERS).where(
    API_ANSWERS.c.tenant_id == sa.bindparam("tenant"), API_ANSWERS.c.at_ms < sa.bindparam("before")
)


def add_key(tx: Transaction, tenant_id: bytes, key: ApiKey) -> None:
    """Write a key down."""
    tx.execute(insert_into(API_KEYS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(key)}])


def keys(tx: Transaction, tenant_id: bytes) -> list[ApiKey]:
    """Return every key there ever was, the oldest first."""
    return [ApiKey(*row) for row in tx.execute(_ALL, {"tenant": tenant_id})]


def key(tx: Transaction, tenant_id: bytes, key_id: str) -> ApiKey | None:
    """Return one key."""
    row = tx.execute(_ONE, {"tenant": tenant_id, "key": key_id}).first()
    return None if row is None else ApiKey(*row)


def revoke(tx: Transaction, tenant_id: bytes, key_id: str, *, by: str, now_ms: int) -> None:
    """Let a key count no more, for good; the first who did it stays."""
    tx.execute(_REVOKE, {"tenant": tenant_id, "key": key_id, "revoked_ms": now_ms, "revoked_by": by})


def answer(tx: Transaction, tenant_id: bytes, key_id: str, once: str) -> KeptAnswer | None:
    """Return what was answered to the request of this name."""
    row = tx.execute(_ANSWER, {"tenant": tenant_id, "key": key_id, "name": once}).first()
    return None if row is None else KeptAnswer(*row)


def keep_answer(tx: Transaction, tenant_id: bytes, given: KeptAnswer) -> None:
    """Keep an answer, in the transaction of what it tells of."""
    tx.execute(insert_into(API_ANSWERS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(given)}])


def forget_answers(tx: Transaction, tenant_id: bytes, *, before_ms: int) -> None:
    """Let old answers go."""
    tx.execute(_FORGET, {"tenant": tenant_id, "before": before_ms})
