"""Indexes for what was gone through whole: a hub's own days, and how new the newest document is."""

from typing import Final

from alembic import op

revision: Final = "0023"
down_revision: Final = "0022"


def upgrade() -> None:
    """Create them."""
    op.create_index("documents_by_age", "documents", ["tenant_id", "created_ms"])
    op.create_index("hub_days_of_a_hub", "hub_days", ["tenant_id", "hub_id"])


def downgrade() -> None:
    """Drop them; no row knows of them."""
    op.drop_index("hub_days_of_a_hub", "hub_days")
    op.drop_index("documents_by_age", "documents")
