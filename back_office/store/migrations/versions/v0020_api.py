"""Keys of the API, answers kept for their idempotency keys, webhooks and their deliveries."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_tables, refuse_where

revision: Final = "0020"
down_revision: Final = "0019"

_WAITING: Final = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "api_keys", key("tenant_id", RAW), key("key_id", TEXT), value("name", TEXT), value("role", TEXT),
        value("venue_id", RAW, optional=True), value("secret_hash", RAW), value("created_ms", WHOLE),
        value("created_by", TEXT), value("revoked_ms", WHOLE, optional=True), value("revoked_by", TEXT),
        sa.CheckConstraint("role IN ('reader', 'operator', 'auditor')"), sa.CheckConstraint("length(secret_hash) = 32"),
        sa.CheckConstraint("name <> ''"), _points_to(["tenant_id", "venue_id"], "venues"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "api_answers", key("tenant_id", RAW), key("key_id", TEXT), key("once", TEXT), value("request_hash", RAW),
        value("status", WHOLE), value("body", RAW), value("at_ms", WHOLE),
        sa.CheckConstraint("length(request_hash) = 32"), sa.CheckConstraint("status BETWEEN 200 AND 499"),
        _points_to(["tenant_id", "key_id"], "api_keys"), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("api_answers_by_age", "api_answers", ["tenant_id", "at_ms"])
    op.create_table(
        "webhooks", key("tenant_id", RAW), key("hook_id", RAW), value("url", TEXT), value("events", TEXT),
        value("venue_id", RAW, optional=True), value("secret", RAW), value("state", TEXT), value("last_no", WHOLE),
        value("created_ms", WHOLE), value("created_by", TEXT),
        sa.CheckConstraint("state IN ('active', 'disabled', 'ended')"), sa.CheckConstraint("length(secret) = 32"),
        sa.CheckConstraint("last_no >= 0"), _points_to(["tenant_id", "venue_id"], "venues"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "deliveries", key("tenant_id", RAW), key("hook_id", RAW), key("number", WHOLE), value("event", TEXT),
        value("body", RAW), value("made_ms", WHOLE), value("attempts", WHOLE), value("due_ms", WHOLE),
        value("state", TEXT), value("done_ms", WHOLE, optional=True), value("answer", TEXT),
        sa.CheckConstraint("number >= 1"), sa.CheckConstraint("attempts >= 0"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dropped')"),
        _points_to(["tenant_id", "hook_id"], "webhooks"), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index(
        "deliveries_waiting", "deliveries", ["tenant_id", "hook_id", "number"],
        sqlite_where=_WAITING, postgresql_where=_WAITING,
    )  # fmt: skip


def downgrade() -> None:
    """Drop them; not while somebody waits for an event that the release before would never send."""
    refuse_where("deliveries WHERE state = 'waiting'", "events wait for webhooks: let them go out, or end the webhooks")
    drop_tables("deliveries", "webhooks", "api_answers", "api_keys")


def _points_to(columns: list[str], table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{table}.{column}" for column in columns])
