"""Which risk document a hub has by its newest hello: the bound counts its own defaults until it has one."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import WHOLE

revision: Final = "0012"
down_revision: Final = "0011"


def upgrade() -> None:
    """Add the column."""
    op.add_column("hubs", sa.Column("risk_version", WHOLE, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the column: the next hello fills it again."""
    op.drop_column("hubs", "risk_version")
