"""From which entry on a hub surely had a risk document: what it wrote before is judged by its own defaults too."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import WHOLE

revision: Final = "0013"
down_revision: Final = "0012"


def upgrade() -> None:
    """Add the column."""
    op.add_column("hubs", sa.Column("risk_from", WHOLE, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("hubs", "risk_from")
