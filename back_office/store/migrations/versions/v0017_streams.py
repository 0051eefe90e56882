"""What a second stream and carried batches need, and which receive keys hubs were told and have."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import refuse_where

revision: Final = "0017"
down_revision: Final = "0016"


_TELEMETRY: Final = ("hub_days", "device_states", "hub_health", "telemetry_chains")


def upgrade() -> None:
    """Create the tables."""
    _receive_keys()
    _telemetry()


def downgrade() -> None:
    """Drop them; not behind a rotation, nor an EpochOpened that says what is `missing` (nine fields)."""
    only_here = "keep this release, which alone opens what hubs seal to the new key"
    text = f"receive keys were rotated: the release before reads no folder with more than one; {only_here}"
    refuse_where("receive_keys", text)
    nine = "x'99'" if op.get_context().dialect.name == "sqlite" else r"'\x99'"
    text = "epochs began after a salvage and say what is missing, which the release before cannot read"
    refuse_where(f"entries WHERE type = 1 AND substr(record, 1, 1) = {nine}", text)
    for name in _TELEMETRY:
        op.drop_table(name)
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


def _telemetry() -> None:
    """What hubs tell of themselves; the release before forgets it, and they tell it again."""
    columns = {
        "telemetry_chains": (
            key("hub_id", RAW), value("epoch", WHOLE), value("rec_seq", WHOLE), value("tail_hash", RAW),
            value("batch_seq", WHOLE), value("batch_hash", RAW), value("received_ms", WHOLE),
            value("forked_epoch", WHOLE),
        ),
        "hub_health": (
            key("hub_id", RAW), value("at_ms", WHOLE), value("received_ms", WHOLE), value("record", RAW),
            value("dropped", WHOLE), value("passed", WHOLE),
        ),
        "device_states": (
            key("hub_id", RAW), key("device", TEXT), value("state", TEXT), value("since_ms", WHOLE),
            value("at_ms", WHOLE),
        ),
        "hub_days": (
            key("business_date", WHOLE), key("hub_id", RAW), key("epoch", WHOLE), value("after_seq", WHOLE),
            value("through_seq", WHOLE), value("at_ms", WHOLE), value("record", RAW),
        ),
    }  # fmt: skip
    for name in reversed(_TELEMETRY):
        hub = sa.ForeignKeyConstraint(["tenant_id", "hub_id"], ["hubs.tenant_id", "hubs.hub_id"])
        op.create_table(name, key("tenant_id", RAW), *columns[name], hub, sqlite_strict=True, sqlite_with_rowid=False)
