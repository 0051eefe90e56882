"""Hubs that know more than these books do: after a restore from a backup, until each was heard whole."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, WHOLE, key, value
from back_office.store.undoing import refuse_where

revision: Final = "0010"
down_revision: Final = "0009"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "set_back", key("tenant_id", RAW), key("hub_id", RAW), value("declared", WHOLE), value("since_ms", WHOLE),
        sa.CheckConstraint("declared IN (0, 1)"),
        sa.ForeignKeyConstraint(["tenant_id", "hub_id"], ["hubs.tenant_id", "hubs.hub_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip


def downgrade() -> None:
    """Drop the table; not while a hub knows more than the books, for then nothing may be granted on them."""
    refuse_where("set_back", "hubs know more than these restored books: wait until each was heard whole")
    op.drop_table("set_back")
