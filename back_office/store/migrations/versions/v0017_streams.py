"""What a second stream and carried batches need, and which receive keys hubs were told and have."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.undoing import refuse_where
from back_office.store.types import RAW, TEXT, WHOLE, key, value

revision: Final = "0017"
down_revision: Final = "0016"


def upgrade() -> None:
    """Create the tables."""
    _receive_keys()


def downgrade() -> None:
    """Drop them; not behind a rotation."""
    refuse_where("receive_keys", "receive keys were rotated: the release before reads no folder with more than one")
    op.drop_table("trust_heard")
    op.drop_table("receive_keys")


def _receive_keys() -> None:
    op.create_table(
        "receive_keys", key("tenant_id", RAW), key("number", WHOLE), value("public", RAW), value("since_ms", WHOLE),
        value("retired_ms", WHOLE, optional=True), value("retired_by", TEXT),
        sa.CheckConstraint("number > 0"),
        sa.UniqueConstraint("tenant_id", "public"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "trust_heard", key("tenant_id", RAW), key("hub_id", RAW), key("version", WHOLE), value("epoch", WHOLE),
        value("sealed_seq", WHOLE), value("heard_ms", WHOLE),
        sa.ForeignKeyConstraint(["tenant_id", "hub_id"], ["hubs.tenant_id", "hubs.hub_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
