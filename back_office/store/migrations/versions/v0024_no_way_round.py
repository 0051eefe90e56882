"""No way round what is append-only: SQLite's OR REPLACE takes a row away past its triggers, a server's TRUNCATE all."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.undoing import drop_functions

revision: Final = "0024"
down_revision: Final = "0023"

_JOURNAL: Final = ("tenant_id", "hub_id", "stream", "epoch")
_KEYS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "entries": ((*_JOURNAL, "seq"),),
    "postings": ((*_JOURNAL, "seq", "line"),),
    "batches": ((*_JOURNAL, "batch_seq"), ("rowid",)),
    "payments": (("tenant_id", "channel", "payment_id"),),
    "evidence": (("tenant_id", "hub_id", "hash"), ("rowid",)),
    "acts": (("tenant_id", "kind", "act_id"),),
    "audit": (("tenant_id", "audit_no"),),
    "terms": (("tenant_id", "version"),),
    "orders": (("tenant_id", "order_id"),),
    "order_steps": (("tenant_id", "order_id", "step_no"),),
    "order_notices": (("tenant_id", "channel", "notice_id"),),
    "slips": (("tenant_id", "slip_id"),),
    "card_steps": (("tenant_id", "credential_id", "step_no"),),
    "closings": (("tenant_id", "venue_id", "z_no"), ("tenant_id", "venue_id", "business_date"), ("rowid",)),
    "late_entries": ((*_JOURNAL, "seq"),),
    "meter_readings": (("tenant_id", "venue_id", "machine", "meter", "reading_no"),),
    "cell_inbox": (("tenant_id", "from_cell", "from_seq"), ("tenant_id", "office_seq")),
    "cell_outbox": (("tenant_id", "to_cell", "office_seq"),),
}
"""What no row may be taken out of, and all that is said of one row alone."""


def upgrade() -> None:
    """Let a row in only where none has its place; let no table be emptied. Index deliveries by their end."""
    for table, keys in _KEYS.items():
        if op.get_context().dialect.name == "sqlite":
            _no_replacing(table, keys)
    if op.get_context().dialect.name != "sqlite":
        op.execute(
            "CREATE FUNCTION is_never_emptied() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        for table in _KEYS:
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION is_never_emptied()"
            )
    ended = sa.text("done_ms IS NOT NULL")
    op.create_index(
        "deliveries_by_age", "deliveries", ["tenant_id", "done_ms"], sqlite_where=ended, postgresql_where=ended
    )


def downgrade() -> None:
    """Take it away; no row knows of it."""
    op.drop_index("deliveries_by_age", "deliveries")
    for table in _KEYS:
        if op.get_context().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {table}_no_replace")
        else:
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    drop_functions("is_never_emptied")


def _no_replacing(table: str, keys: tuple[tuple[str, ...], ...]) -> None:
    """Whatever a program has set `recursive_triggers` to: without it REPLACE deletes and no trigger is asked."""
    taken = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{name} = NEW.{name}' for name in key)})"  # noqa: S608 - ours
        for key in keys
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {taken} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: this key is there'); END"
    )
