"""Keys of the API, answers kept for their idempotency keys, webhooks and their deliveries."""

from typing import Final

revision: Final = "0020"
down_revision: Final = "0019"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
