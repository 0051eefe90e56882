"""People whose signatures open balances: each key once for ever, and when it counted."""

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import SIGNERS
from back_office.store.transaction import insert_into


class SignerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person's pinned Ed25519 key. venue_id None: at every venue of the operator; until_ms None: it counts."""

    public: bytes
    name: str
    venue_id: bytes | None
    since_ms: int
    until_ms: int | None = None
    added_by: str
    removed_by: str = ""


def signers(tx: Transaction, tenant_id: bytes) -> list[SignerRow]:
    """Return everybody who was ever pinned, by name and time."""
    columns = [SIGNERS.c[name] for name in SignerRow.__struct_fields__]
    query = sa.select(*columns).where(SIGNERS.c.tenant_id == tenant_id)
    rows = tx.execute(query.order_by(SIGNERS.c.name, SIGNERS.c.since_ms, SIGNERS.c.public)).mappings()
    return [SignerRow(**row) for row in rows]


def add(tx: Transaction, tenant_id: bytes, signer: SignerRow) -> None:
    """Pin a key; the primary key refuses one that was pinned before."""
    tx.execute(insert_into(SIGNERS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(signer)}])


def end(tx: Transaction, tenant_id: bytes, public: bytes, *, by: str, now_ms: int) -> None:
    """Let a key count no more."""
    of_key = (SIGNERS.c.tenant_id == tenant_id, SIGNERS.c.public == public, SIGNERS.c.until_ms.is_(None))
    tx.execute(sa.update(SIGNERS).where(*of_key).values(until_ms=now_ms, removed_by=by))
