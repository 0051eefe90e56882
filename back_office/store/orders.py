"""Payment orders, the refunds asked for them, every step they took, and the notices channels sent."""
from typing import Any

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.order_tables import ORDER_NOTICES, ORDER_REFUNDS, ORDER_STEPS, ORDERS
from back_office.store.transaction import insert_into
from payment_core.orders import OrderState, OrderStep, Purpose


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order. Times are UTC ms; amounts are minor units of `unit`.

    lane: where a play is to be had, or empty. code: what the guest's phone scans, empty until the channel said it.
    payment_id, paid_unit, paid: the channel's own words, empty and 0 before it said them; what was refunded or is being
    refunded is `refunded`. closing: somebody wants it closed. tries: since it was last answered; due_ms: when the
    channel is asked again, None where nothing is owed. steps: how many it took.
    """

    order_id: bytes
    venue_id: bytes
    purpose: Purpose
    channel: str
    account_id: bytes
    unit: str
    amount: int
    lane: str = ""
    state: OrderState = OrderState.CREATED
    created_ms: int
    expires_ms: int
    code: str = ""
    payment_id: str = ""
    paid_unit: str = ""
    paid: int = 0
    refunded: int = 0
    closing: bool = False
    tries: int = 0
    due_ms: int | None = None
    steps: int = 0
    changed_ms: int

    @property
    def left(self) -> int:
        """What of the payment has not gone back and is not going back."""
        return self.paid - self.refunded


class StepRow(msgspec.Struct, frozen=True):
    """One step an order took, and the state it led to."""

    step_no: int
    at_ms: int
    step: OrderStep
    state: OrderState
    why: str


class RefundRow(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back. automatic: nobody asked; booked: it was taken out of the guest's purse."""

    refund_id: bytes
    amount: int
    automatic: bool
    booked: bool
    state: str
    asked_ms: int


def _values(order: Order) -> dict[str, object]:
    row = msgspec.structs.asdict(order)
    return {**row, "purpose": order.purpose.value, "state": order.state.value, "closing": int(order.closing)}


def _order(row: dict[str, Any]) -> Order:
    known = {name: row[name] for name in Order.__struct_fields__}
    return Order(
        **{
            **known,
            "purpose": Purpose(row["purpose"]),
            "state": OrderState(row["state"]),
            "closing": bool(row["closing"]),
        }
    )


def add_order(tx: Transaction, tenant_id: bytes, order: Order) -> None:
    """Write a new order down."""
    tx.execute(insert_into(ORDERS), [{"tenant_id": tenant_id, **_values(order)}])


def order(tx: Transaction, tenant_id: bytes, order_id: bytes) -> Order | None:
    """Return one order."""
    query = sa.select(ORDERS).where(ORDERS.c.tenant_id == tenant_id, ORDERS.c.order_id == order_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else _order(row)


def write_order(tx: Transaction, tenant_id: bytes, changed: Order) -> None:
    """Write an order as it stands now; the database refuses a state its table does not lead to."""
    where = (ORDERS.c.tenant_id == tenant_id, ORDERS.c.order_id == changed.order_id)
    values = {name: value for name, value in _values(changed).items() if name != "order_id"}
    tx.execute(sa.update(ORDERS).where(*where).values(**values))


def orders(tx: Transaction, tenant_id: bytes, *, state: str = "", limit: int = 100) -> list[Order]:
    """Return orders, newest first; of one state where it is named."""
    query = sa.select(ORDERS).where(ORDERS.c.tenant_id == tenant_id)
    if state:
        query = query.where(ORDERS.c.state == state)
    query = query.order_by(ORDERS.c.created_ms.desc(), ORDERS.c.order_id.desc()).limit(limit)
    return [_order(row) for row in tx.execute(query).mappings()]


def due_orders(tx: Transaction, tenant_id: bytes, *, now_ms: int, limit: int) -> list[Order]:
    """Return orders whose channel is to be asked now, the longest waiting first."""
    query = sa.select(ORDERS).where(ORDERS.c.tenant_id == tenant_id, ORDERS.c.due_ms <= now_ms)
    query = query.order_by(ORDERS.c.due_ms, ORDERS.c.order_id).limit(limit)
    return [_order(row) for row in tx.execute(query).mappings()]


def order_of_payment(tx: Transaction, tenant_id: bytes, *, channel: str, payment_id: str) -> bytes | None:
    """Return the order that a channel's payment paid, if there is one."""
    query = sa.select(ORDERS.c.order_id).where(
        ORDERS.c.tenant_id == tenant_id, ORDERS.c.channel == channel, ORDERS.c.payment_id == payment_id
    )
    found: bytes | None = tx.execute(query).scalar()
    return found


def sums(tx: Transaction, tenant_id: bytes) -> list[tuple[str, str, int, int, int]]:
    """Return (state, unit, how many, paid, refunded) of all orders."""
    query = sa.select(
        ORDERS.c.state, ORDERS.c.unit, sa.func.count(), sa.func.sum(ORDERS.c.paid), sa.func.sum(ORDERS.c.refunded)
    ).where(ORDERS.c.tenant_id == tenant_id)
    query = query.group_by(ORDERS.c.state, ORDERS.c.unit).order_by(ORDERS.c.state, ORDERS.c.unit)
    return [(state, unit, int(n), int(paid), int(back)) for state, unit, n, paid, back in tx.execute(query)]


def add_step(tx: Transaction, tenant_id: bytes, order_id: bytes, step: StepRow) -> None:
    """Write a step down."""
    row = {**msgspec.structs.asdict(step), "step": step.step.value, "state": step.state.value}
    tx.execute(insert_into(ORDER_STEPS), [{"tenant_id": tenant_id, "order_id": order_id, **row}])


def steps(tx: Transaction, tenant_id: bytes, order_id: bytes) -> list[StepRow]:
    """Return an order's steps, first one first."""
    query = sa.select(ORDER_STEPS).where(ORDER_STEPS.c.tenant_id == tenant_id, ORDER_STEPS.c.order_id == order_id)
    rows = tx.execute(query.order_by(ORDER_STEPS.c.step_no)).mappings()
    return [
        StepRow(row["step_no"], row["at_ms"], OrderStep(row["step"]), OrderState(row["state"]), row["why"])
        for row in rows
    ]


def add_refund(tx: Transaction, tenant_id: bytes, order_id: bytes, refund: RefundRow) -> None:
    """Write a refund down; the database refuses a second one that is still on its way."""
    row = {**msgspec.structs.asdict(refund), "automatic": int(refund.automatic), "booked": int(refund.booked)}
    tx.execute(insert_into(ORDER_REFUNDS), [{"tenant_id": tenant_id, "order_id": order_id, **row}])


def refunds(tx: Transaction, tenant_id: bytes, order_id: bytes) -> list[RefundRow]:
    """Return an order's refunds, first one first."""
    columns = [ORDER_REFUNDS.c[name] for name in RefundRow.__struct_fields__]
    query = sa.select(*columns).where(ORDER_REFUNDS.c.tenant_id == tenant_id, ORDER_REFUNDS.c.order_id == order_id)
    rows = tx.execute(query.order_by(ORDER_REFUNDS.c.asked_ms, ORDER_REFUNDS.c.refund_id)).mappings()
    return [RefundRow(**{**row, "automatic": bool(row["automatic"]), "booked": bool(row["booked"])}) for row in rows]


def settle_refund(tx: Transaction, tenant_id: bytes, order_id: bytes, refund_id: bytes, *, state: str) -> None:
    """Note what became of a refund: `returned` or `refused`."""
    where = (
        ORDER_REFUNDS.c.tenant_id == tenant_id,
        ORDER_REFUNDS.c.order_id == order_id,
        ORDER_REFUNDS.c.refund_id == refund_id,
    )
    tx.execute(sa.update(ORDER_REFUNDS).where(*where).values(state=state))


def notice(tx: Transaction, tenant_id: bytes, *, channel: str, notice_id: str) -> bytes | None:
    """Return what a notice of this id said, if one came."""
    query = sa.select(ORDER_NOTICES.c.content).where(
        ORDER_NOTICES.c.tenant_id == tenant_id,
        ORDER_NOTICES.c.channel == channel,
        ORDER_NOTICES.c.notice_id == notice_id,
    )
    content: bytes | None = tx.execute(query).scalar()
    return content


def add_notice(tx: Transaction, tenant_id: bytes, *, channel: str, notice_id: str, content: bytes, now_ms: int) -> None:
    """Write a notice down; the primary key refuses the same id twice."""
    row = {"tenant_id": tenant_id, "channel": channel, "notice_id": notice_id, "content": content, "at_ms": now_ms}
    tx.execute(insert_into(ORDER_NOTICES), [row])
