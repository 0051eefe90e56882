"""The freeze of a hub that an operator lifted last: receipts say it until the hub is frozen again."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import TEXT

revision: Final = "0008"
down_revision: Final = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column("hubs", sa.Column("reopened", TEXT, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the column: a hub that has not heard yet that it is free is freed once more."""
    op.drop_column("hubs", "reopened")
