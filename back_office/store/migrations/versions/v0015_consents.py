"""Who agreed that a finger or a face of his is learned, and which module holds it or has proven that it does not."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_tables, refuse_where

revision: Final = "0015"
down_revision: Final = "0014"


def upgrade() -> None:
    """Create the tables. A withdrawal is kept by account: hubs may tell later of a consent from before it."""
    op.create_table(
        "consents", key("tenant_id", RAW), key("consent_id", RAW), value("account_id", RAW), value("hub_id", RAW),
        value("of", TEXT), value("text_version", TEXT), value("given_ms", WHOLE), value("staff", TEXT),
        value("guardian", TEXT), value("relation", TEXT), value("withdrawn_ms", WHOLE, optional=True),
        value("withdrawn_by", TEXT),
        sa.CheckConstraint("of IN ('finger', 'face')"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("consents_of", "consents", ["tenant_id", "account_id"])
    op.create_table(
        "templates", key("tenant_id", RAW), key("credential_id", RAW), key("life", WHOLE), value("consent_id", RAW),
        value("account_id", RAW), value("hub_id", RAW), value("media", TEXT), value("device", TEXT),
        value("page", WHOLE), value("enrolled_ms", WHOLE), value("deleted_ms", WHOLE, optional=True),
        sa.CheckConstraint("life > 0"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "consents_ended", key("tenant_id", RAW), key("account_id", RAW), value("at_ms", WHOLE), value("by", TEXT),
        value("hub_id", RAW),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("templates_of", "templates", ["tenant_id", "account_id"])


def downgrade() -> None:
    """Drop the tables; not while they say who agreed to a finger or a face, or who took it back."""
    refuse_where("consents", "consents stand in these books, and nowhere else")
    refuse_where("consents_ended", "withdrawals of consents stand in these books, and nowhere else")
    drop_tables("templates", "consents", "consents_ended")
