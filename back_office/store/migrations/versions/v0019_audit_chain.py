"""The audit is a hash chain: every line carries its own hash and that of the line before it. Machines' meters."""

from hashlib import sha256
from typing import Final

import msgspec
import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import refuse_where

revision: Final = "0019"
down_revision: Final = "0018"

_BEGINNING: Final = b"venuehub/audit/v1\0"
"""As in store/acts.py; a migration keeps its own copy, for what is released never changes."""
_START: Final = bytes(32)
_LINES: Final = (
    "SELECT tenant_id, audit_no, at_ms, who, what, subject_id, note FROM audit ORDER BY tenant_id, audit_no"
)
_KEPT: Final = sa.text(
    "UPDATE audit SET prev_hash = :prev, hash = :hash WHERE tenant_id = :tenant AND audit_no = :number"
)
_NEXT: Final = "(SELECT coalesce(max(audit_no), 0) + 1 FROM audit WHERE tenant_id = NEW.tenant_id)"
_LAST: Final = "(SELECT hash FROM audit WHERE tenant_id = NEW.tenant_id ORDER BY audit_no DESC LIMIT 1)"
_WRONG: Final = "a line of the audit continues the last one"


def upgrade() -> None:
    """Chain the audit's lines that are there in their order, let nobody but the next one in; make room for meters."""
    _meters()
    _chain_audit()


def _chain_audit() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_no_update")
        empty = sa.text("x''")
    else:
        op.execute("DROP TRIGGER audit_append_only ON audit")
        empty = sa.text("''::bytea")
    for name in ("prev_hash", "hash"):
        check = sa.CheckConstraint(f"length({name}) IN (0, 32)")
        op.add_column("audit", sa.Column(name, RAW, check, nullable=False, server_default=empty))
    if not op.get_context().as_sql:
        _chain(op.get_bind())
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit "
            "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
        )
        op.execute(
            f"CREATE TRIGGER audit_continues BEFORE INSERT ON audit WHEN NEW.audit_no <> {_NEXT} "
            f"OR NEW.prev_hash <> coalesce({_LAST}, zeroblob(32)) OR length(NEW.hash) <> 32 "
            f"BEGIN SELECT RAISE(ABORT, '{_WRONG}'); END"
        )
        return
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
    )
    op.execute(
        "CREATE FUNCTION audit_continues() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF NEW.audit_no <> {_NEXT} OR NEW.prev_hash <> coalesce({_LAST}, decode(repeat('00', 32), 'hex')) "
        f"OR length(NEW.hash) <> 32 THEN RAISE EXCEPTION '{_WRONG}' USING ERRCODE = 'check_violation'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_continues BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_continues()"
    )


def downgrade() -> None:
    """Take the chain and the meters away; the audit's lines stay as they are. Not behind a reading (37) at a hub."""
    refuse_where("entries WHERE type = 37", "entries tell of meters, and the release before cannot read them")
    op.drop_index("entries_counted", "entries")
    for table in ("meter_readings", "meters"):
        op.drop_table(table)
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION meter_readings_is_append_only()")
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_continues")
    else:
        op.execute("DROP TRIGGER audit_continues ON audit")
        op.execute("DROP FUNCTION audit_continues()")
    op.drop_column("audit", "hash")
    op.drop_column("audit", "prev_hash")


def _meters() -> None:
    """What counters of machines count and how far they go, and what the office was told that they show."""
    venue = ["tenant_id", "venue_id"]
    of_venue = [f"venues.{name}" for name in venue]
    op.create_table(
        "meters", key("tenant_id", RAW), key("venue_id", RAW), key("machine", TEXT), key("meter", TEXT),
        value("worth", WHOLE), value("unit", TEXT), value("digits", WHOLE), value("since_ms", WHOLE), value("by", TEXT),
        sa.CheckConstraint("worth >= 1"), sa.CheckConstraint("digits BETWEEN 0 AND 9"),
        sa.ForeignKeyConstraint(venue, of_venue), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "meter_readings", key("tenant_id", RAW), key("venue_id", RAW), key("machine", TEXT), key("meter", TEXT),
        key("reading_no", WHOLE), value("value", WHOLE), value("reset", WHOLE), value("business_date", WHOLE),
        value("at_ms", WHOLE), value("by", TEXT), value("note", TEXT),
        sa.CheckConstraint("value >= 0"), sa.CheckConstraint("reset IN (0, 1)"), sa.CheckConstraint("reading_no >= 1"),
        sa.ForeignKeyConstraint(venue, of_venue), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    counted = sa.text("type IN (25, 37)")  # BoxCounted, MeterRead: few among many
    op.create_index(
        "entries_counted", "entries", ["tenant_id", "hub_id", "business_date"], sqlite_where=counted,
        postgresql_where=counted,
    )  # fmt: skip
    if op.get_context().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER meter_readings_no_{action.lower()} BEFORE {action} ON meter_readings "
                "BEGIN SELECT RAISE(ABORT, 'meter_readings is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION meter_readings_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'meter_readings is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER meter_readings_append_only BEFORE UPDATE OR DELETE ON meter_readings "
        "FOR EACH ROW EXECUTE FUNCTION meter_readings_is_append_only()"
    )


def _chain(connection: sa.Connection) -> None:
    of, tail = None, _START
    for tenant_id, number, *line in connection.execute(sa.text(_LINES)).all():
        tail, of = (tail if tenant_id == of else _START), tenant_id
        said = msgspec.msgpack.encode([bytes(tenant_id), number, *line])
        after = sha256(_BEGINNING + tail + said).digest()
        connection.execute(_KEPT, {"prev": tail, "hash": after, "tenant": tenant_id, "number": number})
        tail = after
