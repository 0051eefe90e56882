"""Which cards the office has encoded, where each of them is, and how it came there."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_functions, drop_tables, refuse_where

revision: Final = "0014"
down_revision: Final = "0013"

_STATES: Final = ("begun", "in_stock", "sold", "live", "lost", "returned", "scrapped")


def upgrade() -> None:
    """Create both tables. A card is named as in the list, by its peppered id: no UID is kept."""
    states = ", ".join(f"'{state}'" for state in _STATES)
    op.create_table(
        "card_stock", key("tenant_id", RAW), key("credential_id", RAW), value("media", TEXT), value("state", TEXT),
        value("token_key", RAW),
        sa.CheckConstraint(f"state IN ({states})"), sa.CheckConstraint("length(token_key) IN (0, 16)"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "card_steps", key("tenant_id", RAW), key("credential_id", RAW), key("step_no", WHOLE), value("state", TEXT),
        value("at_ms", WHOLE), value("who", TEXT), value("note", TEXT),
        sa.CheckConstraint(f"state IN ({states})"), sa.CheckConstraint("step_no > 0"), sa.CheckConstraint("who <> ''"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "credential_id"], ["card_stock.tenant_id", "card_stock.credential_id"]
        ),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER card_steps_no_{action.lower()} BEFORE {action} ON card_steps "
                "BEGIN SELECT RAISE(ABORT, 'card_steps is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION card_steps_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'card_steps is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER card_steps_append_only BEFORE UPDATE OR DELETE ON card_steps "
        "FOR EACH ROW EXECUTE FUNCTION card_steps_is_append_only()"
    )


def downgrade() -> None:
    """Drop both tables; not while they hold the only copy of a card's key."""
    refuse_where("card_stock", "cards of the stock are known by their keys here only")
    drop_tables("card_steps", "card_stock")
    drop_functions("card_steps_is_append_only")
