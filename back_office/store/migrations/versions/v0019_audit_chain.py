"""The audit log is a hash chain."""

from typing import Final

revision: Final = "0019"
down_revision: Final = "0018"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
