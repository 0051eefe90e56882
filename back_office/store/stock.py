"""Cards that the office encoded: where each one is now, and every step on the way."""

from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import CARD_STEPS, CARD_STOCK
from back_office.store.transaction import insert_into

LIST_LIMIT: Final = 10_000
"""Rows of one listing."""


class StockRow(msgspec.Struct, frozen=True, kw_only=True):
    """One card. `state`: a word of back_office.members.stock.CardState; `token_key`: 16 bytes for class A, or empty."""

    credential_id: bytes
    media: str
    state: str
    token_key: bytes = b""


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A card came into `state`, by whom, and why."""

    state: str
    at_ms: int
    who: str
    note: str = ""


def row(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> StockRow | None:
    """Return one card, or None where it was never begun."""
    query = _rows(tenant_id).where(CARD_STOCK.c.credential_id == credential_id)
    found = tx.execute(query).mappings().first()
    return None if found is None else StockRow(**found)


def rows(tx: Transaction, tenant_id: bytes) -> list[StockRow]:
    """Return all cards, by id."""
    query = _rows(tenant_id).order_by(CARD_STOCK.c.credential_id).limit(LIST_LIMIT)
    return [StockRow(**found) for found in tx.execute(query).mappings()]


def is_empty(tx: Transaction, tenant_id: bytes) -> bool:
    """Say whether no card was ever begun."""
    return tx.execute(_rows(tenant_id).limit(1)).first() is None


def steps(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> list[StepRow]:
    """Return a card's steps, oldest first."""
    columns = [CARD_STEPS.c[name] for name in StepRow.__struct_fields__]
    query = sa.select(*columns).where(CARD_STEPS.c.tenant_id == tenant_id, CARD_STEPS.c.credential_id == credential_id)
    return [StepRow(**found) for found in tx.execute(query.order_by(CARD_STEPS.c.step_no)).mappings()]


def write(tx: Transaction, tenant_id: bytes, card: StockRow, step: StepRow) -> None:
    """Write where a card is from now on, and the step that brought it there."""
    if row(tx, tenant_id, card.credential_id) is None:
        tx.execute(insert_into(CARD_STOCK), [{"tenant_id": tenant_id, **msgspec.structs.asdict(card)}])
    else:
        where = (CARD_STOCK.c.tenant_id == tenant_id, CARD_STOCK.c.credential_id == card.credential_id)
        tx.execute(sa.update(CARD_STOCK).where(*where).values(state=card.state, token_key=card.token_key))
    key = {"tenant_id": tenant_id, "credential_id": card.credential_id}
    number = len(steps(tx, tenant_id, card.credential_id)) + 1
    tx.execute(insert_into(CARD_STEPS), [{**key, "step_no": number, **msgspec.structs.asdict(step)}])


def _rows(tenant_id: bytes) -> sa.Select[tuple[object, ...]]:
    columns = [CARD_STOCK.c[name] for name in StockRow.__struct_fields__]
    return sa.select(*columns).where(CARD_STOCK.c.tenant_id == tenant_id)
