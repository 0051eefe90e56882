"""The first books: tenants, venues, hubs, chains, entries, postings, balances, leases, members, documents, alarms."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from back_office.store.types import RAW, TEXT, WHOLE, key, value
from back_office.store.undoing import drop_functions, drop_tables, refuse_where

revision: Final = "0001"
down_revision: Final = None

_CHAIN: Final = ["tenant_id", "hub_id", "stream", "epoch"]
_ENTRY: Final = [*_CHAIN, "seq"]
_APPEND_ONLY: Final = ("entries", "postings", "batches", "payments", "evidence")


def upgrade() -> None:
    """Create every table, then the triggers that keep the journal append-only."""
    _places()
    _members()
    _journal()
    _books()
    _papers()
    for table in _APPEND_ONLY:
        _append_only(table)


def downgrade() -> None:
    """Go back to nothing; only books that nobody founded yet."""
    refuse_where("tenants", "offices are founded in these books: there is no release before them")
    drop_tables(
        "alarms", "documents", "payments", "leases", "days", "balances", "postings", "accounts", "entries", "evidence",
        "batches", "chains", "credentials", "guest_accounts", "hubs", "venues", "tenants",
    )  # fmt: skip
    drop_functions(*(f"{table}_is_append_only" for table in _APPEND_ONLY))


def _table(name: str, *parts: Any, rowid: bool = False) -> None:  # noqa: ANN401 - columns and constraints
    """Create a strict table, clustered by its primary key; `rowid` where rows are too large for that."""
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=rowid)


def _uuid(*names: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"length({name}) = 16") for name in names]


def _at_least(floor: int, *names: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{name} >= {floor}") for name in names]


def _one_of(name: str, *words: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} IN ({', '.join(repr(word) for word in words)})")


def _points_to(columns: list[str], table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{table}.{column}" for column in columns])


def _places() -> None:
    _table("tenants", key("tenant_id", RAW), value("name", TEXT), value("created_ms", WHOLE), *_uuid("tenant_id"))
    _table(
        "venues", key("tenant_id", RAW), key("venue_id", RAW), value("name", TEXT), value("timezone", TEXT),
        value("day_begins_minute", WHOLE), value("hub_lease_cap", WHOLE), *_uuid("venue_id"),
        sa.CheckConstraint("day_begins_minute BETWEEN 0 AND 1439"), *_at_least(0, "hub_lease_cap"),
        _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    _table(
        "hubs", key("tenant_id", RAW), key("hub_id", RAW), value("venue_id", RAW), value("name", TEXT),
        value("sign_key", RAW), value("seal_key", RAW), value("enrolled_ms", WHOLE), value("epoch", WHOLE),
        value("allowed_epoch", WHOLE), value("frozen", TEXT), value("hello_number", WHOLE), value("nonce", RAW),
        value("last_seen_ms", WHOLE, optional=True), value("sealed_seq", WHOLE),
        value("outbox_entries", WHOLE), value("outbox_age_ms", WHOLE), *_at_least(0, "outbox_entries", "outbox_age_ms"),
        *_uuid("hub_id"), *_at_least(0, "epoch", "hello_number", "sealed_seq"), *_at_least(1, "allowed_epoch"),
        sa.CheckConstraint("length(sign_key) = 32"), sa.CheckConstraint("length(seal_key) >= 32"),
        sa.UniqueConstraint("tenant_id", "name"), _points_to(["tenant_id", "venue_id"], "venues"),
    )  # fmt: skip
    _table(
        "chains", key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
        value("rec_seq", WHOLE), value("tail_hash", RAW), value("batch_seq", WHOLE), value("batch_hash", RAW),
        *_at_least(0, "rec_seq", "batch_seq"), *_at_least(1, "epoch"), sa.CheckConstraint("length(tail_hash) = 32"),
        sa.CheckConstraint("length(batch_hash) = 32"), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip


def _journal() -> None:
    _table(
        "batches", key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
        key("batch_seq", WHOLE), value("hash", RAW), value("first_rec", WHOLE), value("rec_count", WHOLE),
        value("received_ms", WHOLE), value("sealed", RAW),
        *_at_least(1, "batch_seq", "first_rec", "rec_count"), _points_to(_CHAIN, "chains"), rowid=True,
    )  # fmt: skip
    _table(
        "evidence", key("tenant_id", RAW), key("hub_id", RAW), key("hash", RAW), value("kind", TEXT),
        value("why", TEXT), value("epoch", WHOLE), value("batch_seq", WHOLE), value("received_ms", WHOLE),
        value("sealed", RAW), _one_of("kind", "fork", "parked"), _points_to(["tenant_id", "hub_id"], "hubs"),
        rowid=True,
    )  # fmt: skip
    _table(
        "entries", key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
        key("seq", WHOLE), value("type", WHOLE), value("version", WHOLE), value("record", RAW), value("hash", RAW),
        value("business_date", WHOLE), value("wall_ms", WHOLE), value("authorization_id", RAW, optional=True),
        value("machine", TEXT, optional=True), value("received_ms", WHOLE),
        *_at_least(1, "seq"), sa.CheckConstraint("length(hash) = 32"), _points_to(_CHAIN, "chains"),
    )  # fmt: skip
    op.create_index("entries_as_they_came", "entries", ["tenant_id", "received_ms"])


def _books() -> None:
    _table(
        "accounts", key("tenant_id", RAW), key("account_no", WHOLE), value("kind", TEXT), value("key", TEXT),
        value("scope_id", RAW), *_at_least(1, "account_no"),
        sa.UniqueConstraint("tenant_id", "kind", "key", "scope_id"),
        sa.UniqueConstraint("tenant_id", "account_no", "kind"),
        _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    _table(
        "postings", key("tenant_id", RAW), key("hub_id", RAW), key("stream", WHOLE), key("epoch", WHOLE),
        key("seq", WHOLE), key("line", WHOLE), value("account_no", WHOLE), value("unit", TEXT), value("amount", WHOLE),
        sa.CheckConstraint("amount <> 0"), _points_to(_ENTRY, "entries"),
        _points_to(["tenant_id", "account_no"], "accounts"),
    )  # fmt: skip
    # What is owed to guests may fall to nothing and never below: an over-claim stands on an account of its own.
    _table(
        "balances", key("tenant_id", RAW), key("account_no", WHOLE), key("unit", TEXT), value("kind", TEXT),
        value("amount", WHOLE), sa.CheckConstraint("kind NOT IN ('purse', 'lease') OR amount <= 0"),
        _points_to(["tenant_id", "account_no", "kind"], "accounts"),
    )  # fmt: skip
    _table(
        "days", key("tenant_id", RAW), key("business_date", WHOLE), key("type", WHOLE), key("tender", WHOLE),
        key("account_no", WHOLE), key("unit", TEXT), value("amount", WHOLE), value("postings", WHOLE),
        *_at_least(0, "tender"), *_at_least(1, "postings"),
        _points_to(["tenant_id", "account_no"], "accounts"),
    )  # fmt: skip
    _table(
        "leases", key("tenant_id", RAW), key("account_id", RAW), key("unit", TEXT), key("hub_id", RAW),
        key("epoch", WHOLE), value("granted", WHOLE), value("settled", WHOLE), value("overclaimed", WHOLE),
        value("granted_seq", WHOLE), *_at_least(0, "granted", "settled", "granted_seq"),
        sa.CheckConstraint("settled <= granted"), _points_to(["tenant_id", "hub_id"], "hubs"),
    )  # fmt: skip
    op.create_index("leases_of_a_hub", "leases", ["tenant_id", "hub_id", "granted_seq"])
    _table(
        "payments", key("tenant_id", RAW), key("channel", TEXT), key("payment_id", TEXT), value("account_id", RAW),
        value("unit", TEXT), value("amount", WHOLE), value("office_seq", WHOLE), *_at_least(1, "amount"),
        _points_to(["tenant_id", "account_id"], "guest_accounts"),
    )  # fmt: skip
    op.create_index("payments_of_an_account", "payments", ["tenant_id", "account_id"])


def _members() -> None:
    _table(
        "guest_accounts", key("tenant_id", RAW), key("account_id", RAW), value("masked_name", TEXT),
        value("language", TEXT), value("tier", TEXT), value("age_band", TEXT), value("created_ms", WHOLE),
        *_uuid("account_id"), _one_of("age_band", "adult", "minor", "unknown"), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip
    _table(
        "credentials", key("tenant_id", RAW), key("credential_id", RAW), value("account_id", RAW),
        value("media", TEXT), value("class", TEXT), value("status", TEXT), value("version", WHOLE),
        value("tap_limit", WHOLE, optional=True), value("day_limit", WHOLE, optional=True),
        value("valid_until_ms", WHOLE, optional=True), value("token_key", RAW), value("life", WHOLE),
        *_uuid("credential_id"), *_at_least(1, "version", "life"), _one_of("class", "A", "B", "C"),
        _one_of("status", "active", "blocked", "lost"), sa.CheckConstraint("length(token_key) IN (0, 16)"),
        _points_to(["tenant_id", "account_id"], "guest_accounts"),
    )  # fmt: skip
    op.create_index("credentials_by_version", "credentials", ["tenant_id", "version"])


def _papers() -> None:
    _table(
        "documents", key("tenant_id", RAW), key("hub_id", RAW), key("name", TEXT), key("version", WHOLE),
        value("body", RAW), value("created_ms", WHOLE), *_at_least(1, "version"),
        _points_to(["tenant_id", "hub_id"], "hubs"),
    )  # fmt: skip
    _table(
        "alarms", key("tenant_id", RAW), key("alarm_no", WHOLE), value("kind", TEXT), value("subject_id", RAW),
        value("text", TEXT), value("raised_ms", WHOLE), *_at_least(1, "alarm_no"), _points_to(["tenant_id"], "tenants"),
    )  # fmt: skip


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
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
