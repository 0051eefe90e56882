"""Books from before there were lots: their money stands on the lot without a name, and the proof holds at once."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from back_office.store import grants, lots
from back_office.store.engine import _MIGRATIONS, open_store, sqlite_url
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, TENANT, VENUE

pytestmark = pytest.mark.long
ROWS = (
    ("tenants", (TENANT, "Star Arcade", 1)),
    ("venues", (TENANT, VENUE, "Hall", "Asia/Shanghai", 360, 2_000_000)),
    ("hubs", (TENANT, HUB, VENUE, "hall", bytes(32), bytes(32), 1, 1, 1, "", 0, b"", None, 0, 0, 0)),
    ("guest_accounts", (TENANT, GUEST, "", "", "", "unknown", 1)),
    ("guest_accounts", (TENANT, OTHER_GUEST, "", "", "", "unknown", 1)),
    ("payments", (TENANT, "counter", "p1", GUEST, "CNY", 600, 2)),
    ("payments", (TENANT, "counter", "p2", GUEST, "CNY", 400, 3)),
    ("payments", (TENANT, "counter", "p3", OTHER_GUEST, "bonus", 50, 4)),
    ("leases", (TENANT, GUEST, "CNY", HUB, 1, 700, 300, 20, 5)),
)


def before_lots(file):
    """Make a database of the release before."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(sqlite_url(file))
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0003")
    engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        for table, row in ROWS:
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 - the tables above
        connection.commit()


def test_money_from_before_stands_on_the_lot_without_a_name(tmp_path):
    before_lots(tmp_path / "office.sqlite")
    store = open_store(sqlite_url(tmp_path / "office.sqlite"))
    with closing(store), store.reading() as tx:
        kept = lots.lots(tx, TENANT)
        assert {(key.account_id, key.unit, key.lot): (row.deposited, row.available) for key, row in kept.items()} == {
            (GUEST, "CNY", b""): (1_000, 300),
            (OTHER_GUEST, "bonus", b""): (50, 50),
        }
        ((place, row),) = grants.leases(tx, TENANT).items()
        assert (place.lot, row) == (b"", grants.LeaseRow(granted=700, settled=300, overclaimed=20, granted_seq=5))
        assert row.left == 400


def test_it_speaks_postgresql_too():
    from back_office.store.migrations.versions import v0004_lots  # noqa: PLC0415 - as alembic loads it

    said = []
    lines = type("Lines", (), {"write": lambda _, text: said.append(text), "flush": lambda _: None})()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": lines})
    with Operations.context(context):
        v0004_lots.upgrade()
    text = "\n".join(said)
    assert "CREATE TABLE passing" in text
    assert "CREATE TRIGGER acts_append_only BEFORE UPDATE OR DELETE ON acts" in text
    assert "WHERE type = 7" in text
    assert "STRICT" not in text
