"""An authorization's entries are found by index: each batch is judged against what its authorizations did before."""

from typing import Final

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    """Add the index."""
    op.create_index("entries_of_an_authorization", "entries", ["tenant_id", "authorization_id"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("entries_of_an_authorization", "entries")
