"""Which worker takes which partition's messages, fenced by an epoch."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value

revision: Final = "0016"
down_revision: Final = "0015"


def upgrade() -> None:
    """Create the leases: `epoch` rises with each that is given, and whoever writes under another is out."""
    op.create_table(
        "partition_leases", key("tenant_id", RAW), key("partition", WHOLE), value("worker", TEXT),
        value("epoch", WHOLE), value("until_ms", WHOLE), value("asked_by", TEXT), value("asked_until_ms", WHOLE),
        sa.CheckConstraint("partition >= 0"), sa.CheckConstraint("epoch > 0"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip


def downgrade() -> None:
    """Drop them: the release before has one worker only."""
    op.drop_table("partition_leases")
