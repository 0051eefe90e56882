"""The tables of payment orders: what the database itself refuses, and the same rules for PostgreSQL."""

import sqlite3
from contextlib import closing

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from back_office.store import orders
from back_office.store.faults import StoreRefusedError
from back_office.store.migrations.versions import v0003_orders
from back_office.store.orders import Order, RefundRow, StepRow
from payment_core.orders import TABLE, OrderState, OrderStep, Purpose
from tests.back_office.world import GUEST, TENANT, VENUE, WALL_MS

ONE = (1).to_bytes(16, "big")


def an_order(**changes) -> Order:
    fields = {
        "order_id": ONE, "venue_id": VENUE, "purpose": Purpose.TOP_UP, "channel": "sandbox", "account_id": GUEST,
        "unit": "CNY", "amount": 1_000, "created_ms": WALL_MS, "expires_ms": WALL_MS + 1, "changed_ms": WALL_MS,
    }  # fmt: skip
    return Order(**{**fields, **changes})


@pytest.fixture
def with_order(office):
    with office.store.writing() as tx:
        orders.add_order(tx, TENANT, an_order())
    return office


def write(office, changed):
    with office.store.writing() as tx:
        orders.write_order(tx, TENANT, changed)


def test_an_order_is_read_as_it_was_written(with_order):
    changed = an_order(
        state=OrderState.PAID, code="c", payment_id="p", paid_unit="CNY", paid=1_000, refunded=300, closing=True,
        tries=2, due_ms=5, steps=3, lane="racer-2",
    )  # fmt: skip
    write(with_order, an_order(state=OrderState.PENDING))
    write(with_order, changed)
    with with_order.store.reading() as tx:
        assert orders.order(tx, TENANT, ONE) == changed
        assert orders.orders(tx, TENANT, state="paid") == [changed]
        assert orders.orders(tx, TENANT, state="failed") == []
        assert orders.due_orders(tx, TENANT, now_ms=4, limit=9) == []
        assert orders.due_orders(tx, TENANT, now_ms=5, limit=9) == [changed]
        assert orders.sums(tx, TENANT) == [("paid", "CNY", 1, 1_000, 300)]
        assert orders.order_of_payment(tx, TENANT, channel="sandbox", payment_id="p") == ONE


def test_the_databases_moves_are_those_of_the_table():
    moves = {f"{old.value}>{new.value}" for (old, _step), new in TABLE.items() if old is not new}
    assert set(v0003_orders._MOVES) == moves
    assert set(v0003_orders._STATES) == {state.value for state in OrderState}


@pytest.mark.parametrize("state", ["reversed", "refunded", "refunding"])
def test_a_step_that_is_not_in_the_table_is_refused_by_the_database(with_order, state):
    wrong = an_order(state=OrderState(state), payment_id="p", paid_unit="CNY", paid=1_000)
    with pytest.raises(StoreRefusedError, match="cannot take this step"):
        write(with_order, wrong)


@pytest.mark.parametrize(
    "changes", [{"paid": 999}, {"paid_unit": "HKD"}, {"payment_id": ""}, {"refunded": 1_001}], ids=str
)
def test_nothing_is_credited_but_what_was_asked_for_and_paid(with_order, changes):
    good = {"state": OrderState.PAID, "payment_id": "p", "paid_unit": "CNY", "paid": 1_000}
    write(with_order, an_order(state=OrderState.PENDING))
    with pytest.raises(StoreRefusedError, match=r"CHECK|check"):
        write(with_order, an_order(**{**good, **changes}))
    write(with_order, an_order(**good))


@pytest.mark.parametrize("changes", [{"amount": 1}, {"unit": "HKD"}, {"account_id": VENUE}, {"channel": "x"}], ids=str)
def test_what_was_ordered_does_not_change(with_order, changes):
    with pytest.raises(StoreRefusedError, match="does not change"):
        write(with_order, an_order(**changes))


def test_one_payment_pays_one_order(with_order):
    paid = {"state": OrderState.PENDING, "payment_id": "p", "paid_unit": "CNY", "paid": 1_000}
    write(with_order, an_order(**paid))
    with pytest.raises(StoreRefusedError, match=r"UNIQUE|unique"), with_order.store.writing() as tx:
        orders.add_order(tx, TENANT, an_order(order_id=bytes(16), **paid))


def test_one_refund_is_on_its_way_at_a_time(with_order):
    first = RefundRow(refund_id=bytes(16), amount=5, automatic=False, booked=True, state="asked", asked_ms=1)
    with with_order.store.writing() as tx:
        orders.add_refund(tx, TENANT, ONE, first)
        orders.settle_refund(tx, TENANT, ONE, bytes(16), state="refused")
        orders.add_refund(tx, TENANT, ONE, RefundRow(**{**_fields(first), "refund_id": ONE}))
    with pytest.raises(StoreRefusedError, match=r"UNIQUE|unique"), with_order.store.writing() as tx:
        orders.add_refund(tx, TENANT, ONE, RefundRow(**{**_fields(first), "refund_id": VENUE}))


def _fields(row):
    return {name: getattr(row, name) for name in row.__struct_fields__}


@pytest.mark.sqlite
@pytest.mark.parametrize("table", ["order_steps", "order_notices", "orders"])
def test_nothing_of_an_orders_history_is_lost(with_order, table):
    with with_order.store.writing() as tx:
        orders.add_step(tx, TENANT, ONE, StepRow(1, WALL_MS, OrderStep.SUBMIT, OrderState.PENDING, ""))
        orders.add_notice(tx, TENANT, channel="sandbox", notice_id="n", content=b"x", now_ms=1)
    changes = [f"DELETE FROM {table}"]  # noqa: S608 - a name of the list above
    if table != "orders":
        changes.append(f"UPDATE {table} SET tenant_id = tenant_id")  # noqa: S608 - as above
    with closing(sqlite3.connect(with_order.file)) as connection:
        for change in changes:
            with pytest.raises(sqlite3.IntegrityError, match=r"append-only|never forgotten"):
                connection.execute(change)


def test_the_migration_speaks_postgresql_too():
    said = []

    class Lines:
        write = staticmethod(said.append)

        def flush(self):
            """Nothing is kept back."""

    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": Lines()})
    with Operations.context(context):
        v0003_orders.upgrade()
    text = "\n".join(said)
    assert "CREATE TRIGGER orders_step BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD.state <> NEW.state" in text
    assert "order_id BYTEA NOT NULL" in text
    assert "STRICT" not in text
