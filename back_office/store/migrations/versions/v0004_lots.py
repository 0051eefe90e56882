"""Lots, what is on its way between hubs, leases by lot, closed hubs, the desk's acts, audit, the terms of top-ups."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_columns, drop_functions, drop_tables, refuse_where

revision: Final = "0004"
down_revision: Final = "0003"

_APPEND_ONLY: Final = ("acts", "audit", "terms")
_LEASE: Final = "tenant_id, account_id, unit, hub_id, epoch"
_COUNTERS: Final = "granted, settled, overclaimed, granted_seq"


def upgrade() -> None:
    """Create the tables, and carry what stood without lots over to the lot without a name."""
    _lots()
    _leases()
    _acts()
    # Doubts are looked for on every look at the page: 7 is InDoubt.
    op.create_index(
        "entries_in_doubt", "entries", ["tenant_id", "hub_id"],
        sqlite_where=sa.text("type = 7"), postgresql_where=sa.text("type = 7"),
    )  # fmt: skip
    op.add_column("hubs", value("closed_ms", WHOLE, optional=True))
    op.add_column("hubs", sa.Column("closed_epoch", WHOLE, nullable=False, server_default="0"))
    for table in _APPEND_ONLY:
        _append_only(table)


def downgrade() -> None:
    """Bring leases back to one for each account, and drop the rest; not while money stands by lots."""
    told_by_lot = f"(SELECT {_LOT} FROM lots EXCEPT {_without_a_name()}) told_by_lot"  # noqa: S608 - no input
    refuse_where(told_by_lot, "lots have a name or a history of their own")
    refuse_where(f"leases WHERE lot <> {_empty()} OR taken + moved + beyond > 0", "leases are by lot or passed on")
    refuse_where("passing", "vouchers were passed between hubs")
    refuse_where("hubs WHERE closed_ms IS NOT NULL", "hubs are closed, which the release before would take for open")
    for table, index in (("leases", "leases_of_a_hub"), ("entries", "entries_in_doubt")):
        op.drop_index(index, table)
    op.rename_table("leases", "leases_by_lot")
    _table(
        "leases", key("tenant_id", RAW), key("account_id", RAW), key("unit", TEXT), key("hub_id", RAW),
        key("epoch", WHOLE), value("granted", WHOLE), value("settled", WHOLE), value("overclaimed", WHOLE),
        value("granted_seq", WHOLE), *_at_least(0, "granted", "settled", "granted_seq"),
        sa.CheckConstraint("settled <= granted"), _points_to(["tenant_id", "hub_id"], "hubs"),
    )  # fmt: skip
    op.execute(f"INSERT INTO leases ({_LEASE}, {_COUNTERS}) SELECT {_LEASE}, {_COUNTERS} FROM leases_by_lot")  # noqa: S608 - no input
    op.create_index("leases_of_a_hub", "leases", ["tenant_id", "hub_id", "granted_seq"])
    drop_columns("hubs", "closed_ms", "closed_epoch")
    drop_tables("leases_by_lot", "lots", "passing", *_APPEND_ONLY)
    drop_functions(*(f"{table}_is_append_only" for table in _APPEND_ONLY))


def _table(name: str, *parts: "sa.Column[object] | sa.Constraint") -> None:
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _at_least(floor: int, *names: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{name} >= {floor}") for name in names]


def _points_to(columns: list[str], table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{table}.{column}" for column in columns])


def _lots() -> None:
    _table(
        "lots", key("tenant_id", RAW), key("account_id", RAW), key("unit", TEXT), key("lot", RAW),
        value("kind", WHOLE), value("opened_ms", WHOLE), value("expires_ms", WHOLE, optional=True),
        value("channel", TEXT), value("payment_id", TEXT), value("terms", WHOLE), value("deposited", WHOLE),
        value("covered", WHOLE), value("paid_out", WHOLE), value("available", WHOLE),
        *_at_least(0, "deposited", "covered", "paid_out", "available"), sa.CheckConstraint("kind IN (0, 1, 2)"),
        _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    op.create_index("lots_of_a_payment", "lots", ["tenant_id", "channel", "payment_id"])
    op.create_index("lots_by_end", "lots", ["tenant_id", "expires_ms"])
    # A voucher may be heard of from its taker before its giver: `taken` may then be more than `given`.
    _table(
        "passing", key("tenant_id", RAW), key("pass_id", RAW), key("to_hub", RAW), key("unit", TEXT), key("lot", RAW),
        value("account_id", RAW), value("from_hub", RAW), value("given", WHOLE), value("taken", WHOLE),
        value("returned", WHOLE), value("risked", WHOLE), value("given_ms", WHOLE, optional=True),
        value("taken_ms", WHOLE, optional=True), value("taker", RAW),
        *_at_least(0, "given", "taken", "returned", "risked"), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    op.create_index("passing_of_an_account", "passing", ["tenant_id", "account_id"])
    op.create_index(
        "passing_open", "passing", ["tenant_id"],
        sqlite_where=sa.text("given - taken - returned != 0"),
        postgresql_where=sa.text("given - taken - returned != 0"),
    )  # fmt: skip
    if op.get_context().as_sql:
        return
    op.execute(f"INSERT INTO lots ({_LOT}) {_without_a_name()}")


_LOT: Final = (
    "tenant_id, account_id, unit, lot, kind, opened_ms, channel, payment_id, terms, deposited, covered, paid_out, "
    "available"
)


def _without_a_name() -> str:
    """Return the query of what came in without lots, less what is leased: one lot for each account and unit."""
    came_in = (
        "SELECT tenant_id, account_id, unit, sum(amount) AS amount FROM payments GROUP BY tenant_id, account_id, unit"
    )
    leased = (
        "SELECT sum(l.granted) FROM leases l WHERE l.tenant_id = p.tenant_id AND l.account_id = p.account_id "
        "AND l.unit = p.unit"
    )
    came = f"SELECT p.tenant_id, p.account_id, p.unit, {_empty()}, 0, 0, '', '', 0, p.amount, 0"
    return f"{came}, 0, p.amount - coalesce(({leased}), 0) FROM ({came_in}) p"


def _empty() -> str:
    return "x''" if op.get_bind().dialect.name == "sqlite" else "''::bytea"


def _leases() -> None:
    """Leases by lot. What a hub may still spend: granted + taken - settled - moved, and never less than nothing."""
    _table(
        "leases_by_lot", key("tenant_id", RAW), key("account_id", RAW), key("unit", TEXT), key("hub_id", RAW),
        key("epoch", WHOLE), key("lot", RAW), value("granted", WHOLE), value("settled", WHOLE),
        value("overclaimed", WHOLE), value("granted_seq", WHOLE), value("taken", WHOLE), value("moved", WHOLE),
        value("beyond", WHOLE), *_at_least(0, "granted", "settled", "granted_seq", "taken", "moved", "beyond"),
        sa.CheckConstraint("settled + moved <= granted + taken"), _points_to(["tenant_id", "hub_id"], "hubs"),
    )  # fmt: skip
    if not op.get_context().as_sql:
        into = f"INSERT INTO leases_by_lot ({_LEASE}, lot, {_COUNTERS}, taken, moved, beyond)"
        op.execute(f"{into} SELECT {_LEASE}, {_empty()}, {_COUNTERS}, 0, 0, 0 FROM leases")  # noqa: S608 - no input
    op.drop_index("leases_of_a_hub", "leases")
    op.drop_table("leases")
    op.rename_table("leases_by_lot", "leases")
    op.create_index("leases_of_a_hub", "leases", ["tenant_id", "hub_id", "granted_seq"])


def _acts() -> None:
    _table(
        "acts", key("tenant_id", RAW), key("kind", TEXT), key("act_id", RAW), value("content", RAW),
        value("office_seq", WHOLE), value("at_ms", WHOLE), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    _table(
        "audit", key("tenant_id", RAW), key("audit_no", WHOLE), value("at_ms", WHOLE), value("who", TEXT),
        value("what", TEXT), value("subject_id", RAW), value("note", TEXT), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    _table(
        "terms", key("tenant_id", RAW), key("version", WHOLE), value("body", RAW), value("created_ms", WHOLE),
        *_at_least(1, "version"), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()"
    )
