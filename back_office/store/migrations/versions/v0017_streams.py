"""What a second stream and carried batches need."""

from typing import Final

revision: Final = "0017"
down_revision: Final = "0016"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
