"""Money between cells."""

from typing import Final

revision: Final = "0021"
down_revision: Final = "0020"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
