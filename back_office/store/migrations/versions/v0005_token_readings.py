"""What tokens of class A counted at each tap, over all hubs."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, WHOLE, key, value

revision: Final = "0005"
down_revision: Final = "0004"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "token_readings", key("tenant_id", RAW), key("credential_id", RAW), key("counter", WHOLE),
        value("hub_id", RAW), value("epoch", WHOLE), value("seq", WHOLE), value("wall_ms", WHOLE),
        value("known", WHOLE),
        sa.CheckConstraint("counter >= 0"), sa.CheckConstraint("known IN (0, 1)"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip


def downgrade() -> None:
    """Drop the table: the office learns counters anew, and finds no copy that was used before."""
    op.drop_table("token_readings")
