"""What a card of the list may do beside paying: passes, where it counts, a second factor, the guest's group."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import TEXT, WHOLE
from back_office.store.undoing import drop_columns, refuse_where

revision: Final = "0007"
down_revision: Final = "0006"

_COLUMNS: Final = (
    ("rights", TEXT, "[]"), ("zones", TEXT, "[]"), ("venues", TEXT, "[]"), ("step_up", WHOLE, "0"), ("group", TEXT, ""),
)  # fmt: skip


def upgrade() -> None:
    """Add the columns; rights, zones and venues are JSON lists, as a row of the list is read whole or not at all."""
    for name, kind, none in _COLUMNS:
        op.add_column("credentials", sa.Column(name, kind, nullable=False, server_default=none))


def downgrade() -> None:
    """Drop the columns; not while a card would then be good for more than it is."""
    narrowed = "credentials WHERE step_up <> 0 OR zones <> '[]' OR venues <> '[]'"
    refuse_where(narrowed, "cards are limited to zones, venues or a second factor: the release before would not ask")
    drop_columns("credentials", *(name for name, _, _ in _COLUMNS))
