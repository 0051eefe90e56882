"""Where and when cards were used in the last days, the rule over it, and what was alarmed already."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_tables

revision: Final = "0006"
down_revision: Final = "0005"


def upgrade() -> None:
    """Create the tables."""
    _table(
        "card_uses", key("tenant_id", RAW), key("hub_id", RAW), key("epoch", WHOLE), key("seq", WHOLE),
        value("credential_id", RAW), value("account_id", RAW), value("wall_ms", WHOLE), value("quality", WHOLE),
        value("reader", TEXT), value("approved", WHOLE), value("amount", WHOLE),
        sa.CheckConstraint("approved IN (0, 1)"), sa.CheckConstraint("amount >= 0"),
    )  # fmt: skip
    op.create_index("card_uses_of_a_card", "card_uses", ["tenant_id", "credential_id", "wall_ms"])
    op.create_index("card_uses_of_an_account", "card_uses", ["tenant_id", "account_id", "wall_ms"])
    _table(
        "risk_rules", key("tenant_id", RAW), key("version", WHOLE), value("body", RAW), value("created_ms", WHOLE),
        sa.CheckConstraint("version >= 1"),
    )  # fmt: skip
    _table(
        "risk_marks", key("tenant_id", RAW), key("kind", TEXT), key("subject_id", RAW), key("places", TEXT),
        value("at_ms", WHOLE),
    )  # fmt: skip


def downgrade() -> None:
    """Drop the tables: nothing that they alarm of stands in them only."""
    drop_tables("card_uses", "risk_rules", "risk_marks")


def _table(name: str, *parts: "sa.Column[object] | sa.Constraint") -> None:
    tenant = sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"])
    op.create_table(name, *parts, tenant, sqlite_strict=True, sqlite_with_rowid=False)
