"""Money between cells: which cells there are, what waits to be taken by another, and what was taken of others."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_functions, drop_tables, refuse_where

revision: Final = "0021"
down_revision: Final = "0020"


def upgrade() -> None:
    """Create the tables, and let nothing in them be forgotten."""
    op.create_table(
        "cells", key("tenant_id", RAW), key("name", TEXT), value("own", WHOLE),
        sa.CheckConstraint("name <> ''"), sa.CheckConstraint("own IN (0, 1)"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index(
        "cells_own", "cells", ["tenant_id"], unique=True,
        sqlite_where=sa.text("own = 1"), postgresql_where=sa.text("own = 1"),
    )  # fmt: skip
    op.create_table(
        "cell_outbox", key("tenant_id", RAW), key("to_cell", TEXT), key("office_seq", WHOLE), value("record", RAW),
        value("sent_ms", WHOLE), value("taken_ms", WHOLE, optional=True),
        sa.CheckConstraint("office_seq >= 1"), _of_cell("to_cell"), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index(
        "cell_outbox_waiting", "cell_outbox", ["tenant_id", "to_cell", "office_seq"],
        sqlite_where=sa.text("taken_ms IS NULL"), postgresql_where=sa.text("taken_ms IS NULL"),
    )  # fmt: skip
    op.create_table(
        "cell_inbox", key("tenant_id", RAW), key("from_cell", TEXT), key("from_seq", WHOLE), value("hash", RAW),
        value("office_seq", WHOLE), value("taken_ms", WHOLE),
        sa.CheckConstraint("from_seq >= 1"), sa.CheckConstraint("length(hash) = 32"),
        sa.UniqueConstraint("tenant_id", "office_seq"), _of_cell("from_cell"),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    _refuse("cell_inbox", "UPDATE OR DELETE")
    _refuse("cell_outbox", "DELETE")


def downgrade() -> None:
    """Drop them; not while money went between cells, for the release before knows neither of its entries."""
    refuse_where("cell_outbox", "sums of money were sent to other cells")
    refuse_where("cell_inbox", "sums of money were taken from other cells")
    drop_tables("cell_inbox", "cell_outbox", "cells")
    drop_functions("cell_inbox_stays", "cell_outbox_stays")


def _of_cell(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id", column], ["cells.tenant_id", "cells.name"])


def _refuse(table: str, actions: str) -> None:
    text = f"what went between cells is never forgotten ({table})"
    if op.get_bind().dialect.name == "sqlite":
        for action in actions.split(" OR "):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{text}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_stays BEFORE {actions} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_stays()"
    )
