"""Totals by machine, lane, hub, shift and date; closings; meters; what came late."""

from typing import Final

revision: Final = "0018"
down_revision: Final = "0017"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
