"""What a card of the list may do beside paying: passes, where it counts, a second factor, the guest's group."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import TEXT, WHOLE

revision: Final = "0007"
down_revision: Final = "0006"


def upgrade() -> None:
    """Add the columns; rights, zones and venues are JSON lists, as a row of the list is read whole or not at all."""
    for name, kind, none in (
        ("rights", TEXT, "[]"), ("zones", TEXT, "[]"), ("venues", TEXT, "[]"), ("step_up", WHOLE, "0"),
        ("group", TEXT, ""),
    ):  # fmt: skip
        op.add_column("credentials", sa.Column(name, kind, nullable=False, server_default=none))
