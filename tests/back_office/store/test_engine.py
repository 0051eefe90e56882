"""The database: made by migrations, strict, append-only, and never one of another version."""

import sqlite3
from contextlib import closing

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from back_office.store import books, engine, order_tables, papers, places
from back_office.store.engine import open_store, sqlite_url
from back_office.store.faults import (
    StoreDamagedError,
    StoreNotThereError,
    StoreRefusedError,
    StoreUnavailableError,
    StoreUnreachableError,
    StoreVersionError,
)
from back_office.store.tables import METADATA
from tests.back_office.world import GUEST, HUB, TENANT

pytestmark = pytest.mark.sqlite


def raw(office):
    return closing(sqlite3.connect(office.file))


def test_the_migrations_make_the_tables_that_the_queries_know(office):
    assert order_tables.METADATA is METADATA
    look = sa.inspect(sa.create_engine(sqlite_url(office.file)))
    assert set(look.get_table_names()) == {*METADATA.tables, "alembic_version"}
    for name, table in METADATA.tables.items():
        found = {column["name"]: column["nullable"] for column in look.get_columns(name)}
        assert found == {column.name: column.nullable for column in table.columns}, name
        keys = look.get_pk_constraint(name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key.columns], name


def test_every_primary_key_begins_with_the_tenant():
    for table in METADATA.tables.values():
        assert next(iter(table.primary_key.columns)).name == "tenant_id", table.name


def test_every_table_is_strict(office):
    with raw(office) as connection:
        tables = connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
    loose = {name for name, strict in tables if not strict and not name.startswith("sqlite_")}
    assert loose == {"alembic_version"}


@pytest.mark.parametrize("table", ["entries", "postings", "batches", "payments"])
@pytest.mark.parametrize("change", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}"])
def test_what_is_written_once_stays(office, table, change):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.take(office.hub.batch())
    with raw(office) as connection, pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        connection.execute(change.format(table))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE balances SET amount = 1 WHERE kind = 'purse'",
        "UPDATE leases SET settled = granted + 1",
        "UPDATE leases SET settled = -1",
        "UPDATE credentials SET status = 'stolen'",
        "UPDATE hubs SET sign_key = x'00'",
        "UPDATE venues SET day_begins_minute = 1440",
    ],
)
def test_the_database_refuses_what_may_never_be(office, change):
    office.top_up(1_000)
    office.lease()
    with raw(office) as connection:
        connection.execute(
            "INSERT INTO credentials(tenant_id, credential_id, account_id, media, class, status, version, token_key, "
            "life) VALUES (?, ?, ?, 'ntag21x', 'C', 'active', 1, x'', 1)",
            (TENANT, bytes(16), GUEST),
        )
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            connection.execute(change)


def add_hub(office, **changes):
    with office.store.writing() as tx:
        places.add_hub(tx, msgspec.structs.replace(places.hub(tx, TENANT, HUB), hub_id=bytes(16), name="x", **changes))


@pytest.mark.parametrize(
    ("changes", "why"), [({"venue_id": bytes(16)}, "FOREIGN KEY"), ({"enrolled_ms": 2**63}, "too big")]
)
def test_rows_that_can_never_be_are_refused(office, changes, why):
    with pytest.raises(StoreRefusedError, match=why):
        add_hub(office, **changes)


def test_a_database_that_somebody_else_has_locked_is_unavailable_and_then_there_again(office, monkeypatch):
    monkeypatch.setitem(engine._PRAGMAS, "busy_timeout", ("20", 20))
    impatient = open_store(sqlite_url(office.file))
    with closing(impatient):
        with raw(office) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="database is locked"), impatient.writing():
                pass
        with impatient.writing() as tx:
            assert places.hub(tx, TENANT, HUB) is not None


def test_the_pragmas_that_keep_money_safe_are_on(office):
    with office.store.reading() as tx:
        read = {name: tx.execute(sa.text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")}
    assert read == {"journal_mode": "wal", "synchronous": 2}


def write_and_fail(office):
    with office.store.writing() as tx:
        papers.raise_alarm(tx, TENANT, papers.Alarm("fork", HUB, "text", 1))
        raise ZeroDivisionError


def test_a_transaction_that_fails_leaves_nothing(office):
    with pytest.raises(ZeroDivisionError):
        write_and_fail(office)
    with office.store.reading() as tx:
        assert papers.alarms(tx, TENANT) == []


def test_opening_again_changes_nothing(office):
    office.store.close()
    again = open_store(sqlite_url(office.file))
    with again.reading() as tx:
        assert [tenant.name for tenant in places.tenants(tx)] == ["Star Arcade"]
    again.close()


def test_no_database_is_told_with_the_remedy(tmp_path):
    with pytest.raises(StoreNotThereError, match="office init"):
        open_store(sqlite_url(tmp_path / "office.sqlite"))
    assert list(tmp_path.iterdir()) == []


def test_books_that_were_emptied_are_no_new_office_and_stay_as_they_are(office):
    office.store.close()
    office.file.write_bytes(b"")
    with pytest.raises(StoreNotThereError, match="office restored"):
        open_store(sqlite_url(office.file))
    assert office.file.read_bytes() == b""


def test_a_database_of_another_version_is_left_alone(office):
    with raw(office) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreVersionError, match=r"version 9999, this release knows up to \d{4}"):
        open_store(sqlite_url(office.file))


def test_another_programs_database_is_left_alone(tmp_path):
    file = tmp_path / "theirs.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs(title TEXT)")
        connection.commit()
    with pytest.raises(StoreVersionError, match=r"another program's tables \(songs\)"):
        open_store(sqlite_url(file))


def test_a_file_that_is_no_database_is_told(tmp_path):
    file = tmp_path / "office.sqlite"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreDamagedError, match=r"office\.sqlite .*not a database; .*restore the backup"):
        open_store(sqlite_url(file))


def test_a_damaged_database_is_told_and_is_no_bug(tmp_path):
    file = tmp_path / "office.sqlite"
    open_store(sqlite_url(file), create=True).close()
    whole = file.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    store = open_store(sqlite_url(file))
    file.write_bytes(whole[:page] + b"\xff" * (len(whole) - page))
    with pytest.raises(StoreDamagedError, match=r"malformed; .*restore the backup"), store.writing() as tx:
        books.balances(tx, bytes(16))
    store.close()


def test_the_migrations_speak_postgresql_too():
    from back_office.store.migrations.versions import v0001_books  # noqa: PLC0415 - as alembic loads it

    said = []
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": _Lines(said)}
    )
    with Operations.context(context):
        v0001_books.upgrade()
    text = "\n".join(said)
    assert "tenant_id BYTEA NOT NULL" in text
    assert "amount BIGINT NOT NULL" in text
    assert "CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries" in text
    assert "STRICT" not in text


@pytest.mark.slow
def test_a_server_that_does_not_let_us_in_is_told_as_such(empty_postgres_url):
    stranger = empty_postgres_url.replace("postgres@", "nobody-here@", 1)
    with pytest.raises(StoreUnreachableError, match=r'role "nobody-here" does not exist; look at db\.url'):
        open_store(stranger)


@pytest.mark.slow
def test_a_server_counts_its_rows_behind_an_upgrade(postgres_url):
    counted = sa.text("SELECT count(*) FROM pg_class WHERE relname = 'entries' AND reltuples >= 0")
    config, looking = engine.migrations_config(), sa.create_engine(postgres_url)
    with closing(looking.connect()) as connection:
        assert connection.execute(counted).scalar() == 0
    with looking.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, engine.known_versions()[1])
    open_store(postgres_url).close()
    with closing(looking.connect()) as connection:
        assert connection.execute(counted).scalar() == 1
    looking.dispose()


class _Lines:
    """Collects what alembic would send."""

    def __init__(self, lines):
        self.write = lines.append

    def flush(self):
        """Nothing is kept back."""
