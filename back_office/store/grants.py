"""Leases as the office knows them, and the payments that put money into purses."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.books import Named, chunks, named_chunks
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import HUBS, LEASES, PAYMENTS
from back_office.store.transaction import Row, insert_into
from payment_core.lease import LeaseState


class LeaseKey(msgspec.Struct, frozen=True, order=True):
    """One lease: an account's money in one unit and lot at one hub, under the hub's epoch. lot empty: none is named."""

    account_id: bytes
    unit: str
    hub_id: bytes
    epoch: int
    lot: bytes = b""


class LeaseRow(msgspec.Struct, frozen=True):
    """What the office gave to the hub (`granted`), what of it is spent (`settled`), and what was claimed beyond.

    `overclaimed` is negative where a hub gave back more than it had claimed. `granted_seq`: the office's entry of the
    last grant, 0 where there was none. `taken`: came by voucher or slip, or was brought in. `moved`: returned, passed
    on, paid out. `beyond`: what a hub wanted to return and never had; nobody was credited.
    """

    granted: int = 0
    settled: int = 0
    overclaimed: int = 0
    granted_seq: int = 0
    taken: int = 0
    moved: int = 0
    beyond: int = 0

    @property
    def left(self) -> int:
        """What the hub may still spend, as far as the office has heard."""
        return self.granted + self.taken - self.settled - self.moved

    def state(self, *, closed: bool) -> LeaseState:
        """Return where it stands; `closed`: its hub signed that it holds nothing more, or an operator closed it."""
        if not (self.granted or self.taken):
            return LeaseState.NONE
        return LeaseState.CLOSED if closed else LeaseState.OPEN


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in through a channel, named by the channel's own id."""

    channel: str
    payment_id: str
    account_id: bytes
    unit: str
    amount: int
    office_seq: int


_KEY: Final = LeaseKey.__struct_fields__
_COUNTERS: Final = LeaseRow.__struct_fields__
_LEFT: Final = LEASES.c.granted + LEASES.c.taken - LEASES.c.settled - LEASES.c.moved
_ROWS: Final = sa.select(*(LEASES.c[name] for name in (*_KEY, *_COUNTERS))).where(
    LEASES.c.tenant_id == sa.bindparam("tenant")
)
_OF_ACCOUNTS: Final = _ROWS.where(LEASES.c.account_id.in_(sa.bindparam("accounts", expanding=True)))
_LIVE: Final = _OF_ACCOUNTS.where((_LEFT > 0) | LEASES.c.lot.in_(sa.bindparam("lots", expanding=True)))
_OF_HUB: Final = _ROWS.where(
    LEASES.c.hub_id == sa.bindparam("hub"), LEASES.c.granted_seq > sa.bindparam("after")
)
_OUTSTANDING: Final = by_index(
    sa.select(sa.func.sum(_LEFT)).where(
        LEASES.c.tenant_id == sa.bindparam("tenant"),
        LEASES.c.hub_id == sa.bindparam("hub"),
        LEASES.c.unit == sa.bindparam("unit"),
    ),
    LEASES, "leases_of_a_hub",
)  # fmt: skip
_PAYMENT: Final = sa.select(*(PAYMENTS.c[name] for name in Payment.__struct_fields__)).where(
    PAYMENTS.c.tenant_id == sa.bindparam("tenant"),
    PAYMENTS.c.channel == sa.bindparam("channel"),
    PAYMENTS.c.payment_id == sa.bindparam("payment"),
)
_GRANTED_SINCE: Final = sa.select(HUBS.c.hub_id).where(
    HUBS.c.tenant_id == sa.bindparam("tenant"),
    sa.exists().where(
        LEASES.c.tenant_id == HUBS.c.tenant_id,
        LEASES.c.hub_id == HUBS.c.hub_id,
        LEASES.c.granted_seq > sa.bindparam("after"),
    ),
)
"""One seek in the index for each hub, however many leases there are."""
_INSERT: Final = insert_into(LEASES)
_UPDATE: Final = (
    sa.update(LEASES)
    .where(LEASES.c.tenant_id == sa.bindparam("b_tenant"))
    .where(*(LEASES.c[name] == sa.bindparam(f"b_{name}") for name in _KEY))
    .values({name: sa.bindparam(f"b_{name}") for name in _COUNTERS})
)


def _lease(row: Row) -> tuple[LeaseKey, LeaseRow]:
    keys = len(_KEY)
    return LeaseKey(*row[:keys]), LeaseRow(*row[keys:])


def leases_of_accounts(tx: Transaction, tenant_id: bytes, account_ids: Iterable[bytes]) -> dict[LeaseKey, LeaseRow]:
    """Return all leases of some accounts, at whatever hub."""
    found: dict[LeaseKey, LeaseRow] = {}
    for ids in chunks(account_ids):
        found.update(map(_lease, tx.execute(_OF_ACCOUNTS, {"tenant": tenant_id, "accounts": ids})))
    return found


def live_leases(tx: Transaction, tenant_id: bytes, named: Named) -> dict[LeaseKey, LeaseRow]:
    """Return the leases of some accounts that have anything left, and those of the lots that are named of each."""
    found: dict[LeaseKey, LeaseRow] = {}
    for ids, lots in named_chunks(named):
        found.update(map(_lease, tx.execute(_LIVE, {"tenant": tenant_id, "accounts": ids, "lots": lots})))
    return found


def leases_of_hub(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, granted_after: int = -1
) -> dict[LeaseKey, LeaseRow]:
    """Return a hub's leases, or those whose last grant stands behind the office's entry `granted_after`."""
    return dict(map(_lease, tx.execute(_OF_HUB, {"tenant": tenant_id, "hub": hub_id, "after": granted_after})))


def granted_since(tx: Transaction, tenant_id: bytes, after: int) -> frozenset[bytes]:
    """Return the hubs that have a grant behind the office's entry `after`."""
    return frozenset(tx.execute(_GRANTED_SINCE, {"tenant": tenant_id, "after": after}).scalars())


def leases(tx: Transaction, tenant_id: bytes) -> dict[LeaseKey, LeaseRow]:
    """Return every lease of a tenant."""
    return dict(map(_lease, tx.execute(_ROWS, {"tenant": tenant_id})))


def outstanding(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, unit: str) -> int:
    """Return how much of a unit one hub may still spend over all its leases."""
    return int(tx.execute(_OUTSTANDING, {"tenant": tenant_id, "hub": hub_id, "unit": unit}).scalar() or 0)


def left_at_hubs(tx: Transaction, tenant_id: bytes) -> list[tuple[bytes, str, int]]:
    """Return what each hub may still spend, as (hub, unit, amount)."""
    query = sa.select(LEASES.c.hub_id, LEASES.c.unit, sa.func.sum(_LEFT)).where(LEASES.c.tenant_id == tenant_id)
    rows = tx.execute(query.group_by(LEASES.c.hub_id, LEASES.c.unit).order_by(LEASES.c.hub_id, LEASES.c.unit))
    return [(hub_id, unit, int(amount)) for hub_id, unit, amount in rows if amount]


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
        tx.execute(_INSERT, fresh)
    moved = [
        {
            "b_tenant": tenant_id,
            **{f"b_{name}": value for name, value in msgspec.structs.asdict(place).items()},
            **{f"b_{name}": value for name, value in msgspec.structs.asdict(row).items()},
        }
        for place, row in rows
        if place in known
    ]
    if moved:
        tx.execute(_UPDATE, moved)


def payment(tx: Transaction, tenant_id: bytes, *, channel: str, payment_id: str) -> Payment | None:
    """Return the payment under this id, if it was booked."""
    row = tx.execute(_PAYMENT, {"tenant": tenant_id, "channel": channel, "payment": payment_id}).first()
    return None if row is None else Payment(**dict(zip(Payment.__struct_fields__, row, strict=True)))


_PAYMENTS = sa.select(PAYMENTS).where(PAYMENTS.c.tenant_id == sa.bindparam("tenant"))


def payments(tx: Transaction, tenant_id: bytes) -> list[Payment]:
    """Return every payment of a tenant."""
    names = Payment.__struct_fields__
    rows = tx.execute(_PAYMENTS, {"tenant": tenant_id}).mappings()
    return [Payment(**{name: row[name] for name in names}) for row in rows]


def add_payment(tx: Transaction, tenant_id: bytes, booked: Payment) -> None:
    """Write a booked payment down; the primary key refuses the same id twice."""
    tx.execute(insert_into(PAYMENTS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(booked)}])
