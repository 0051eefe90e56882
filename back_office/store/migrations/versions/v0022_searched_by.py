"""Indexes for what was searched for through all that a tenant, or a hub, has; and how far a hub told of its journal."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import WHOLE

revision: Final = "0022"
down_revision: Final = "0021"

_OPEN: Final = sa.text("given - taken - returned != 0")
"""As in store/lots.py: an index answers to its own words only."""


def upgrade() -> None:
    """Create them: a hub's entries of a date, a venue's hubs, and what is on its way to a hub; and the columns."""
    op.create_index("entries_of_a_date", "entries", ["tenant_id", "hub_id", "business_date"])
    op.create_index("hubs_of_a_venue", "hubs", ["tenant_id", "venue_id"])
    op.create_index(
        "passing_open_to_a_hub", "passing", ["tenant_id", "to_hub"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.add_column("hubs", sa.Column("told_epoch", WHOLE, nullable=False, server_default="0"))
    op.add_column("hubs", sa.Column("told_through", WHOLE, nullable=False, server_default="0"))
    op.add_column("hubs", sa.Column("told_ms", WHOLE, nullable=True))


def downgrade() -> None:
    """Drop them; no row knows of them, and the next hello tells anew what the columns held."""
    for name in ("told_ms", "told_through", "told_epoch"):
        op.drop_column("hubs", name)
    op.drop_index("passing_open_to_a_hub", "passing")
    op.drop_index("hubs_of_a_venue", "hubs")
    op.drop_index("entries_of_a_date", "entries")
