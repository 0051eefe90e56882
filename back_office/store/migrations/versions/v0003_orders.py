"""Payment orders, their steps, their refunds, the channels' notices; the paid slips, and how far hubs reported."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_functions, drop_tables, refuse_where

revision: Final = "0003"
down_revision: Final = "0002"

_ORDER: Final = ["tenant_id", "order_id"]
_STATES: Final = (
    "created", "pending", "paid", "failed", "closed", "reversing", "reversed", "refunding", "refunded",
)  # fmt: skip
_MOVES: Final = (
    "created>pending", "created>closed", "created>paid", "created>reversing", "pending>paid", "pending>reversing",
    "pending>failed", "pending>closed", "paid>reversing", "paid>refunding", "paid>reversed", "failed>reversing",
    "closed>reversing", "reversing>reversed", "refunding>refunded", "refunding>paid",
)  # fmt: skip
"""Every legal change of an order's state; a test compares it with payment_core.orders."""
_APPEND_ONLY: Final = ("order_steps", "order_notices", "slips")


def upgrade() -> None:
    """Create the tables and the rules they keep by themselves."""
    _orders()
    _slips()
    for table in _APPEND_ONLY:
        _refuse(f"{table}_is_append_only", table, "UPDATE OR DELETE", f"{table} is append-only")
    moves = ", ".join(repr(move) for move in _MOVES)
    illegal = f"OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({moves})"
    _refuse("orders_step", "orders", "UPDATE", "a payment order cannot take this step", when=illegal)
    fixed = " OR ".join(
        f"OLD.{name} <> NEW.{name}" for name in ("account_id", "unit", "amount", "channel", "purpose", "created_ms")
    )
    _refuse("orders_fixed", "orders", "UPDATE", "what was ordered does not change", when=fixed)
    _refuse("orders_stay", "orders", "DELETE", "a payment order is never forgotten")


def downgrade() -> None:
    """Drop the tables; not while they hold money of guests."""
    refuse_where("orders", "payment orders stand in these books, and the release before cannot follow them")
    refuse_where("slips", "paper slips are issued, and the release before would pay none of them")
    drop_tables("order_notices", "order_refunds", "order_steps", "orders", "slip_reports", "slips")
    drop_functions(*(f"{table}_is_append_only_refused" for table in _APPEND_ONLY))
    drop_functions("orders_step_refused", "orders_fixed_refused", "orders_stay_refused")


def _table(name: str, *parts: "sa.Column[object] | sa.Constraint") -> None:
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _at_least(floor: int, *names: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{name} >= {floor}") for name in names]


def _one_of(name: str, *words: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} IN ({', '.join(repr(word) for word in words)})")


def _points_to(columns: list[str], table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{table}.{column}" for column in columns])


def _orders() -> None:
    _table(
        "orders", key("tenant_id", RAW), key("order_id", RAW), value("venue_id", RAW), value("purpose", TEXT),
        value("channel", TEXT), value("account_id", RAW), value("unit", TEXT), value("amount", WHOLE),
        value("lane", TEXT), value("state", TEXT), value("created_ms", WHOLE), value("expires_ms", WHOLE),
        value("code", TEXT), value("payment_id", TEXT), value("paid_unit", TEXT), value("paid", WHOLE),
        value("refunded", WHOLE), value("closing", WHOLE), value("tries", WHOLE), value("due_ms", WHOLE, optional=True),
        value("steps", WHOLE), value("changed_ms", WHOLE),
        sa.CheckConstraint("length(order_id) = 16"), *_at_least(1, "amount"),
        *_at_least(0, "paid", "refunded", "tries", "steps"), sa.CheckConstraint("refunded <= paid"),
        _one_of("purpose", "top_up", "play"), _one_of("state", *_STATES), sa.CheckConstraint("closing IN (0, 1)"),
        # What is credited is what was asked for, and nothing is credited without the channel's own id of the payment.
        sa.CheckConstraint(
            "state NOT IN ('paid', 'refunding', 'refunded') "
            "OR (paid = amount AND paid_unit = unit AND payment_id <> '')"
        ),
        _points_to(["tenant_id", "venue_id"], "venues"), _points_to(["tenant_id", "account_id"], "guest_accounts"),
    )  # fmt: skip
    op.create_index("orders_due", "orders", ["tenant_id", "due_ms"])
    op.create_index("orders_of_an_account", "orders", ["tenant_id", "account_id"])
    # One payment of a channel pays one order, whatever the channel says.
    op.create_index(
        "orders_by_payment", "orders", ["tenant_id", "channel", "payment_id"], unique=True,
        sqlite_where=sa.text("payment_id <> ''"), postgresql_where=sa.text("payment_id <> ''"),
    )  # fmt: skip
    _table(
        "order_steps", key("tenant_id", RAW), key("order_id", RAW), key("step_no", WHOLE), value("at_ms", WHOLE),
        value("step", TEXT), value("state", TEXT), value("why", TEXT), *_at_least(1, "step_no"),
        _points_to(_ORDER, "orders"),
    )  # fmt: skip
    _table(
        "order_refunds", key("tenant_id", RAW), key("order_id", RAW), key("refund_id", RAW), value("amount", WHOLE),
        value("automatic", WHOLE), value("booked", WHOLE), value("state", TEXT), value("asked_ms", WHOLE),
        *_at_least(1, "amount"), _one_of("state", "asked", "returned", "refused"),
        sa.CheckConstraint("length(refund_id) = 16"), sa.CheckConstraint("automatic IN (0, 1)"),
        sa.CheckConstraint("booked IN (0, 1)"), _points_to(_ORDER, "orders"),
    )  # fmt: skip
    op.create_index(
        "one_refund_at_a_time", "order_refunds", _ORDER, unique=True,
        sqlite_where=sa.text("state = 'asked'"), postgresql_where=sa.text("state = 'asked'"),
    )  # fmt: skip
    _table(
        "order_notices", key("tenant_id", RAW), key("channel", TEXT), key("notice_id", TEXT), value("content", RAW),
        value("at_ms", WHOLE),
    )  # fmt: skip


def _slips() -> None:
    """The slips that were issued, and how far hubs have reported; what became of a slip's money stands in the books."""
    _table(
        "slips", key("tenant_id", RAW), key("slip_id", RAW), value("venue_id", RAW), value("account_id", RAW),
        value("hub_id", RAW, optional=True),
        value("unit", TEXT), value("amount", WHOLE), value("lot", RAW), value("lane", TEXT), value("issued_ms", WHOLE),
        value("valid_until_ms", WHOLE), value("text", TEXT),
        sa.CheckConstraint("length(slip_id) = 16"), *_at_least(1, "amount"),
        _points_to(["tenant_id", "venue_id"], "venues"), _points_to(["tenant_id", "account_id"], "guest_accounts"),
    )  # fmt: skip
    op.create_index("slips_by_time", "slips", ["tenant_id", "issued_ms"])
    _table(
        "slip_reports", key("tenant_id", RAW), key("hub_id", RAW), value("clear_ms", WHOLE),
        _points_to(["tenant_id", "hub_id"], "hubs"),
    )  # fmt: skip


def _refuse(name: str, table: str, actions: str, text: str, *, when: str = "") -> None:
    """Let the database refuse a change of a row: always, or where `when` holds of OLD and NEW."""
    if op.get_bind().dialect.name == "sqlite":
        condition = f"WHEN {when} " if when else ""
        for action in actions.split(" OR "):
            op.execute(
                f"CREATE TRIGGER {name}_{action.lower()} BEFORE {action} ON {table} {condition}"
                f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
            )
        return
    condition = f"WHEN ({when}) " if when else ""
    op.execute(
        f"CREATE FUNCTION {name}_refused() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{text}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {actions} ON {table} FOR EACH ROW {condition}EXECUTE FUNCTION {name}_refused()"
    )
