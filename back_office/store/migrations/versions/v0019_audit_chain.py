"""The audit is a hash chain: every line carries its own hash and that of the line before it."""

from hashlib import sha256
from typing import Final

import msgspec
import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW

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
    """Add the two hashes, chain the lines that are there in their order, then let nobody but the next line in."""
    if op.get_bind().dialect.name == "sqlite":
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
    if op.get_bind().dialect.name == "sqlite":
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
    """Take the chain away; the lines stay as they are."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_continues")
    else:
        op.execute("DROP TRIGGER audit_continues ON audit")
        op.execute("DROP FUNCTION audit_continues()")
    op.drop_column("audit", "hash")
    op.drop_column("audit", "prev_hash")


def _chain(connection: sa.Connection) -> None:
    of, tail = None, _START
    for tenant_id, number, *line in connection.execute(sa.text(_LINES)).all():
        tail, of = (tail if tenant_id == of else _START), tenant_id
        said = msgspec.msgpack.encode([bytes(tenant_id), number, *line])
        after = sha256(_BEGINNING + tail + said).digest()
        connection.execute(_KEPT, {"prev": tail, "hash": after, "tenant": tenant_id, "number": number})
        tail = after
