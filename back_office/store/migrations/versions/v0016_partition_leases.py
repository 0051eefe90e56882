"""Which worker takes which partition's messages, fenced by an epoch."""

from typing import Final

revision: Final = "0016"
down_revision: Final = "0015"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
