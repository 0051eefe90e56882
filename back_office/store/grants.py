"""Leases as the office knows them, and the payments that put money into purses."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.engine import Transaction
from back_office.store.tables import LEASES, PAYMENTS


class LeaseKey(msgspec.Struct, frozen=True, order=True):
    """One lease: an account's money in one unit at one hub, under the hub's epoch."""

    account_id: bytes
    unit: str
    hub_id: bytes
    epoch: int


class LeaseRow(msgspec.Struct, frozen=True):
    """What was given to the hub (`granted`), what of it is spent (`settled`), and what was claimed beyond.

    `overclaimed` is negative where a hub gave back more than it had claimed. `granted_seq`: the office's entry of the
    last grant, 0 where there was none.
    """

    granted: int = 0
    settled: int = 0
    overclaimed: int = 0
    granted_seq: int = 0

    @property
    def left(self) -> int:
        """What the hub may still spend, as far as the office has heard."""
        return self.granted - self.settled


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in through a channel, named by the channel's own id."""

    channel: str
    payment_id: str
    account_id: bytes
    unit: str
    amount: int
    office_seq: int


def _lease(row: sa.RowMapping) -> tuple[LeaseKey, LeaseRow]:
    place = LeaseKey(row["account_id"], row["unit"], row["hub_id"], row["epoch"])
    return place, LeaseRow(row["granted"], row["settled"], row["overclaimed"], row["granted_seq"])


def leases_of_accounts(tx: Transaction, tenant_id: bytes, account_ids: Iterable[bytes]) -> dict[LeaseKey, LeaseRow]:
    """Return all leases of some accounts, at whatever hub."""
    found: dict[LeaseKey, LeaseRow] = {}
    for ids in chunks(account_ids):
        query = sa.select(LEASES).where(LEASES.c.tenant_id == tenant_id, LEASES.c.account_id.in_(ids))
        found.update(_lease(row) for row in tx.execute(query).mappings())
    return found


def leases_of_hub(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, granted_after: int = -1
) -> dict[LeaseKey, LeaseRow]:
    """Return a hub's leases, or those whose last grant stands behind the office's entry `granted_after`."""
    query = sa.select(LEASES).where(
        LEASES.c.tenant_id == tenant_id, LEASES.c.hub_id == hub_id, LEASES.c.granted_seq > granted_after
    )
    return dict(_lease(row) for row in tx.execute(query).mappings())


def leases(tx: Transaction, tenant_id: bytes) -> dict[LeaseKey, LeaseRow]:
    """Return every lease of a tenant."""
    query = sa.select(LEASES).where(LEASES.c.tenant_id == tenant_id)
    return dict(_lease(row) for row in tx.execute(query).mappings())


def outstanding(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, unit: str) -> int:
    """Return how much of a unit one hub may still spend over all its leases."""
    query = sa.select(sa.func.sum(LEASES.c.granted - LEASES.c.settled)).where(
        LEASES.c.tenant_id == tenant_id, LEASES.c.hub_id == hub_id, LEASES.c.unit == unit
    )
    return int(tx.execute(query).scalar() or 0)


def write_leases(
    tx: Transaction, tenant_id: bytes, rows: Sequence[tuple[LeaseKey, LeaseRow]], *, known: frozenset[LeaseKey]
) -> None:
    """Write leases as they stand now; `known` are those that have a row already."""
    fresh = [
        {"tenant_id": tenant_id, **msgspec.structs.asdict(place), **msgspec.structs.asdict(row)}
        for place, row in rows
        if place not in known
    ]
    if fresh:
        tx.execute(sa.insert(LEASES), fresh)
    moved = [
        {
            **{f"b_{name}": value for name, value in msgspec.structs.asdict(place).items()},
            **{f"b_{name}": value for name, value in msgspec.structs.asdict(row).items()},
        }
        for place, row in rows
        if place in known
    ]
    if moved:
        names = LeaseKey.__struct_fields__
        where = [LEASES.c.tenant_id == tenant_id, *(LEASES.c[name] == sa.bindparam(f"b_{name}") for name in names)]
        values: dict[str, Any] = {name: sa.bindparam(f"b_{name}") for name in LeaseRow.__struct_fields__}
        tx.execute(sa.update(LEASES).where(*where).values(values), moved)


def payment(tx: Transaction, tenant_id: bytes, *, channel: str, payment_id: str) -> Payment | None:
    """Return the payment under this id, if it was booked."""
    query = sa.select(PAYMENTS).where(
        PAYMENTS.c.tenant_id == tenant_id, PAYMENTS.c.channel == channel, PAYMENTS.c.payment_id == payment_id
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else Payment(**{name: row[name] for name in Payment.__struct_fields__})


def add_payment(tx: Transaction, tenant_id: bytes, booked: Payment) -> None:
    """Write a booked payment down; the primary key refuses the same id twice."""
    tx.execute(sa.insert(PAYMENTS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(booked)}])


def deposits(tx: Transaction, tenant_id: bytes, account_ids: Iterable[bytes]) -> dict[tuple[bytes, str], int]:
    """Return what came in for some accounts, by (account, unit)."""
    found: dict[tuple[bytes, str], int] = {}
    for ids in chunks(account_ids):
        query = sa.select(PAYMENTS.c.account_id, PAYMENTS.c.unit, sa.func.sum(PAYMENTS.c.amount)).where(
            PAYMENTS.c.tenant_id == tenant_id, PAYMENTS.c.account_id.in_(ids)
        )
        for account_id, unit, amount in tx.execute(query.group_by(PAYMENTS.c.account_id, PAYMENTS.c.unit)):
            found[account_id, unit] = int(amount)
    return found
