"""Totals by machine, lane, hub and shift; the closings of business dates; what came late; the seal of postings."""

from collections import defaultdict
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_columns, drop_functions, drop_tables, refuse_where

revision: Final = "0018"
down_revision: Final = "0017"

_APPEND_ONLY: Final = ("closings", "late_entries")
_PAGE: Final = 1_000
_HEADER: Final = 2
"""Where a record `[type, version, header, …]` has its header; below: places in the header."""
_TENDER, _VENUE, _MACHINE, _LANE, _SHIFT = 7, 8, 10, 11, 18


def upgrade() -> None:
    """Create the tables, and count takings anew from the entries that are there."""
    op.create_table(
        "takings", key("tenant_id", RAW), key("venue_id", RAW), key("business_date", WHOLE), key("hub_id", RAW),
        key("machine", TEXT), key("lane", TEXT), key("shift", TEXT), key("type", WHOLE), key("tender", WHOLE),
        key("kind", TEXT), key("unit", TEXT), key("told_in", WHOLE), value("amount", WHOLE), value("entries", WHOLE),
        sa.CheckConstraint("tender >= 0"), sa.CheckConstraint("entries >= 1"), sa.CheckConstraint("told_in >= 0"),
        _points_to(["tenant_id", "venue_id"], "venues"),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table(
        "closings", key("tenant_id", RAW), key("venue_id", RAW), key("z_no", WHOLE), value("business_date", WHOLE),
        value("body", RAW), value("hash", RAW), value("prev_hash", RAW), value("made_ms", WHOLE), value("by", TEXT),
        sa.CheckConstraint("z_no >= 1"), sa.CheckConstraint("length(hash) = 32"),
        sa.CheckConstraint("length(prev_hash) = 32"), sa.UniqueConstraint("tenant_id", "venue_id", "business_date"),
        _points_to(["tenant_id", "venue_id"], "venues"), sqlite_strict=True,
    )  # fmt: skip
    op.create_table(
        "late_entries", key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
        key("seq", WHOLE), value("venue_id", RAW), value("business_date", WHOLE), value("told_in", WHOLE),
        sa.CheckConstraint("told_in >= 2"),
        _points_to(["tenant_id", "hub_id", "stream", "epoch", "seq"], "entries"),
        _points_to(["tenant_id", "venue_id"], "venues"), sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("takings_told_late", "takings", ["tenant_id", "venue_id", "told_in"])
    op.create_index("late_entries_by_closing", "late_entries", ["tenant_id", "venue_id", "told_in"])
    op.create_index("late_entries_of_a_date", "late_entries", ["tenant_id", "venue_id", "business_date"])
    op.create_index("postings_of_an_account", "postings", ["tenant_id", "account_no"])
    check = sa.CheckConstraint("length(posted) IN (0, 8)")
    nothing = sa.text("x''" if op.get_context().dialect.name == "sqlite" else "''")
    op.add_column("entries", sa.Column("posted", RAW, check, nullable=False, server_default=nothing))
    for table in _APPEND_ONLY:
        _append_only(table)
    _only_the_next()
    _count_takings()


def downgrade() -> None:
    """Take it all away; not while dates are closed: what a Z said is nowhere else."""
    refuse_where("closings", "closings are numbered and kept: the release before would not continue them")
    drop_columns("entries", "posted")
    op.drop_index("postings_of_an_account", "postings")
    drop_tables("late_entries", "closings", "takings")
    drop_functions(*(f"{table}_is_append_only" for table in _APPEND_ONLY), "closings_continue")


def _points_to(columns: list[str], table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{table}.{column}" for column in columns])


def _append_only(table: str) -> None:
    if op.get_context().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()"
    )


_OF_VENUE: Final = "FROM closings WHERE tenant_id = NEW.tenant_id AND venue_id = NEW.venue_id"
_NEXT: Final = f"(SELECT coalesce(max(z_no), 0) + 1 {_OF_VENUE})"
_LAST: Final = f"(SELECT hash {_OF_VENUE} ORDER BY z_no DESC LIMIT 1)"
_WRONG: Final = "a closing continues the last one of its venue"


def _only_the_next() -> None:
    """Let nothing in but the venue's next Z, which names the hash of the last."""
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER closings_continue BEFORE INSERT ON closings WHEN NEW.z_no <> {_NEXT} "
            f"OR NEW.prev_hash <> coalesce({_LAST}, zeroblob(32)) BEGIN SELECT RAISE(ABORT, '{_WRONG}'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION closings_continue() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF NEW.z_no <> {_NEXT} OR NEW.prev_hash <> coalesce({_LAST}, decode(repeat('00', 32), 'hex')) "
        f"THEN RAISE EXCEPTION '{_WRONG}' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER closings_continue BEFORE INSERT ON closings FOR EACH ROW EXECUTE FUNCTION closings_continue()"
    )


_POSTED: Final = """
SELECT e.tenant_id, e.hub_id, e.stream, e.epoch, e.seq, h.venue_id, e.business_date, e.type, e.record, a.kind, p.unit,
    p.amount
FROM entries e
JOIN postings p ON p.tenant_id = e.tenant_id AND p.hub_id = e.hub_id AND p.stream = e.stream AND p.epoch = e.epoch
    AND p.seq = e.seq
JOIN accounts a ON a.tenant_id = p.tenant_id AND a.account_no = p.account_no
LEFT JOIN hubs h ON h.tenant_id = e.tenant_id AND h.hub_id = e.hub_id
ORDER BY e.tenant_id, e.hub_id, e.stream, e.epoch, e.seq
"""
_COLUMNS: Final = (
    "tenant_id", "venue_id", "business_date", "hub_id", "machine", "lane", "shift", "type", "tender", "kind", "unit",
    "told_in", "amount", "entries",
)  # fmt: skip


def _shift_of(header: list[Any]) -> str:
    return (header[_SHIFT] or "") if len(header) > _SHIFT else ""


def _count_takings() -> None:
    """Fill `takings` from entries and postings; the office's own entries name their venue themselves."""
    if op.get_context().as_sql:
        return
    connection = op.get_bind()
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    last: tuple[Any, ...] = ()
    header: list[Any] = []
    counted: set[tuple[Any, ...]] = set()
    rows = connection.execute(sa.text(_POSTED), execution_options={"stream_results": True, "yield_per": _PAGE})
    for *at, venue_id, date, number, record, kind, unit, amount in rows:
        if last != tuple(at):
            last, counted = tuple(at), set()
            header = msgspec.msgpack.decode(record)[_HEADER]
        place = (
            bytes(at[0]), bytes(venue_id or header[_VENUE]), date, bytes(at[1]), header[_MACHINE] or "",
            header[_LANE] or "", _shift_of(header), number, header[_TENDER], kind, unit, 0,
        )  # fmt: skip
        sums[place][0] += amount
        sums[place][1] += place not in counted
        counted.add(place)
    if sums:
        names, places = ", ".join(_COLUMNS), ", ".join(f":{name}" for name in _COLUMNS)
        values = [dict(zip(_COLUMNS, (*place, *sum_), strict=True)) for place, sum_ in sums.items()]
        connection.execute(sa.text(f"INSERT INTO takings ({names}) VALUES ({places})"), values)  # noqa: S608 - constants
