"""What is append-only stays, also for a program that is not ours: no OR REPLACE in a file, no TRUNCATE on a server."""

import re
import sqlite3
from contextlib import closing

import pytest

from back_office.store import meters
from back_office.store.meters import OfficeReading
from tests.back_office.world import DAY, TENANT, VENUE, WALL_MS, Office

KEPT = ("audit", "batches", "entries", "evidence", "meter_readings", "payments", "postings")


def fill(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.take(office.hub.batch())
    office.take(office.hub.seal(raw=[b"\x93\xcd\xff\xff\x01\x01"]))
    with office.store.writing() as tx:
        reading = OfficeReading(VENUE, "racer-2", "coins", 0, 1_234, 0, DAY, WALL_MS, "ann", "")
        meters.add_reading(tx, TENANT, reading, now_ms=WALL_MS)


@pytest.mark.sqlite
def test_a_row_is_not_replaced(office):
    fill(office)
    with closing(sqlite3.connect(office.file)) as connection:
        for table in KEPT:
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only|continues the last one"):
                connection.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")  # noqa: S608 - ours
        columns = "rowid, tenant_id, hub_id, hash, kind, why, epoch, batch_seq, received_ms, sealed"
        another = columns.replace(" hash", " zeroblob(32)")
        with pytest.raises(sqlite3.IntegrityError, match="evidence is append-only"):
            connection.execute(f"INSERT OR REPLACE INTO evidence ({columns}) SELECT {another} FROM evidence")  # noqa: S608 - ours
        connection.execute("DROP TRIGGER meter_readings_no_replace")
        connection.execute("INSERT OR REPLACE INTO meter_readings SELECT * FROM meter_readings")


@pytest.mark.sqlite
def test_every_key_of_what_is_never_deleted_is_guarded(office):
    """Also keys and tables that a later migration adds."""
    with closing(sqlite3.connect(office.file)) as connection:
        stay = connection.execute(
            "SELECT tbl_name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '% BEFORE DELETE ON %'"
        ).fetchall()
        assert len(stay) > len(KEPT)
        for (table,) in stay:
            ((words,),) = connection.execute(
                "SELECT sql FROM sqlite_schema WHERE name = ? || '_no_replace'", (table,)
            ).fetchall()
            guarded = [set(re.findall(r"(\w+) = NEW\.", one)) for one in words.split("EXISTS")[1:]]
            for _, name, unique, _, partial in connection.execute(f"PRAGMA index_list({table})").fetchall():
                key = {row[2] for row in connection.execute(f"PRAGMA index_info({name})")}
                assert not unique or partial or key in guarded, (table, name)
            ((without,),) = connection.execute("SELECT wr FROM pragma_table_list WHERE name = ?", (table,)).fetchall()
            assert without or {"rowid"} in guarded, table


@pytest.mark.slow
def test_no_table_of_a_server_is_emptied(tmp_path, postgres_founded):
    office = Office(tmp_path, postgres_founded)
    fill(office)
    with closing(office.store._engine.raw_connection()) as connection:
        for table in KEPT:
            with pytest.raises(office.store._faults.Error, match="append-only"):
                connection.execute(f"TRUNCATE {table} CASCADE")
            connection.rollback()
        with pytest.raises(office.store._faults.Error, match="append-only"):
            connection.execute("TRUNCATE tenants CASCADE")
        connection.rollback()
        connection.execute("DROP TRIGGER meter_readings_no_truncate ON meter_readings")
        connection.execute("TRUNCATE meter_readings")
        connection.rollback()
    office.store.close()
