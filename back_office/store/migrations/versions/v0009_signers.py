"""Whose keys sign opening balances: who pinned each, from when on, and until when it counted."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import refuse_where

revision: Final = "0009"
down_revision: Final = "0008"


def upgrade() -> None:
    """Create the table. A key stands in it once for ever: who signed years ago is known by name."""
    op.create_table(
        "signers", key("tenant_id", RAW), key("public", RAW), value("name", TEXT),
        value("venue_id", RAW, optional=True), value("since_ms", WHOLE), value("until_ms", WHOLE, optional=True),
        value("added_by", TEXT), value("removed_by", TEXT),
        sa.CheckConstraint("length(public) = 32"), sa.CheckConstraint("name <> ''"),
        sa.CheckConstraint("added_by <> ''"), sa.CheckConstraint("until_ms >= since_ms"),
        sa.CheckConstraint("(until_ms IS NULL) = (removed_by = '')"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sa.ForeignKeyConstraint(["tenant_id", "venue_id"], ["venues.tenant_id", "venues.venue_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip


def downgrade() -> None:
    """Drop the table; not while a key is pinned in it."""
    refuse_where("signers", "keys of signers are pinned: the release before would know of none of them")
    op.drop_table("signers")
