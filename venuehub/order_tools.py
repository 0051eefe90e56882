"""What `venuehub order` works with: the office's desk of payment orders, and a sandbox channel kept in a file."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from back_office.payments.desk import Handled, PaymentDesk
from back_office.payments.sandbox_file import SandboxDesk, shared_sandbox
from back_office.store import orders
from back_office.store.engine import Store
from back_office.store.orders import Order
from cloud_sync.identity import OfficeKeys
from payment_core.identifiers import uuid7, uuid_bytes, uuid_text
from payment_core.money import Money, money_text
from venuehub.errors import CliError, ExitCode
from venuehub.office.told import worded
from venuehub.office.tools import open_office


def now_ms() -> int:
    """Return UTC ms."""
    return time.time_ns() // 1_000_000


def new_id() -> bytes:
    """Return a new UUIDv7."""
    return uuid7(unix_ms=now_ms(), dice=secrets.token_bytes(10))


class OrderDesk(msgspec.Struct, frozen=True):
    """An office's payment orders with the sandbox as their channel."""

    store: Store
    keys: OfficeKeys
    at: SandboxDesk

    @property
    def desk(self) -> PaymentDesk:
        """The desk of orders."""
        return self.at.desk

    def done(self, handled: Handled) -> Order:
        """Carry out what a wish led to; CliError where it was refused."""
        after = self.at.pump.carry_out(handled)
        if handled.refused or after.order is None:
            hint = "venuehub order list shows the orders"
            if after.order is not None:
                hint = f"venuehub order show {uuid_text(after.order.order_id)} tells its state and its steps"
            raise CliError("refused", worded(handled.refused) or "there is no such order", hint=hint)
        return after.order


@contextmanager
def open_orders(folder: Path) -> Iterator[OrderDesk]:
    """Open an office's folder: its orders, its books and its sandbox. What is due comes first."""
    with open_office(folder) as (store, keys), shared_sandbox(store, keys, folder, clock=now_ms) as at:
        yield OrderDesk(store, keys, at)


def order_id_of(text: str, *, option: str = "") -> bytes:
    """Return the id that a person wrote, as ORDER or under an option that gives a new one."""
    try:
        return uuid_bytes(text.lower())
    except ValueError as error:
        hint = f"leave {option} out, and a new one is made" if option else "venuehub order list shows the ids"
        raise CliError("settings", str(error), where=option or "ORDER", hint=hint, exit_code=ExitCode.USAGE) from error


def as_document(order: Order) -> dict[str, object]:
    """Return an order for `--json`."""
    return {
        "order_id": uuid_text(order.order_id), "purpose": order.purpose, "channel": order.channel,
        "state": order.state, "unit": order.unit, "amount": order.amount, "paid": order.paid,
        "refunded": order.refunded, "account_id": order.account_id.hex(), "lane": order.lane, "code": order.code,
        "payment_id": order.payment_id, "created_ms": order.created_ms, "expires_ms": order.expires_ms,
        "due_ms": order.due_ms,
    }  # fmt: skip


def as_line(order: Order) -> str:
    """Return an order for a person."""
    back = f", {money_text(Money(order.refunded, order.unit))} back" if order.refunded else ""
    sum_ = money_text(Money(order.amount, order.unit))
    return f"{uuid_text(order.order_id)}  {order.purpose.value:6}  {sum_:>12}  {order.state.value}{back}"


def steps_of(at: OrderDesk, order_id: bytes) -> list[dict[str, object]]:
    """Return the steps an order took."""
    with at.store.reading() as tx:
        return [msgspec.structs.asdict(row) for row in orders.steps(tx, at.keys.tenant_id, order_id)]
