"""Lots say how much of what the venue stands for is for grants that a backup did not know of."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import WHOLE
from back_office.store.undoing import refuse_where

revision: Final = "0011"
down_revision: Final = "0010"


def upgrade() -> None:
    """Add the column."""
    check = sa.CheckConstraint("forgotten >= 0 AND forgotten <= covered")
    op.add_column("lots", sa.Column("forgotten", WHOLE, check, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the column; not while it bounds what a lot is good for."""
    refuse_where("lots WHERE forgotten > 0", "lots stand for grants that a backup forgot")
    op.drop_column("lots", "forgotten")
