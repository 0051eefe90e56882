"""What connections lend: rows that stay where they are until they are asked for, and themselves, one by one."""

import contextlib

import pytest
import sqlalchemy as sa

from back_office.store.engine import open_store
from back_office.store.faults import StoreUnavailableError

ROWS = 50_000
MANY = sa.text("SELECT g, repeat('x', 200) FROM generate_series(1, :rows) g").bindparams(rows=ROWS)
HELD = sa.text("SELECT name FROM pg_cursors")


@pytest.mark.slow
def test_a_servers_rows_stay_there_until_they_are_asked_for(postgres_founded):
    store = open_store(postgres_founded)
    with contextlib.closing(store):
        with store.reading() as tx:
            rows, others = tx.stream(MANY), tx.stream(MANY)
            assert (next(rows)[0], next(others)[0]) == (1, 1)
            assert len(tx.execute(HELD)) == 2
            assert sum(1 for _ in rows) == ROWS - 1
            assert len(tx.execute(HELD)) == 1
        with store.reading() as tx:
            assert tx.execute(HELD) == []
            del others  # of the transaction before, on the same connection: it is nobody's any more
            assert tx.execute(sa.text("SELECT 1")).scalar() == 1


def test_who_finds_no_connection_free_may_find_one_later(office):
    pool = office.store._engine.pool
    pool._timeout = 0.01
    with contextlib.ExitStack() as held:
        for _ in range(pool.size() + pool._max_overflow):
            held.enter_context(office.store.reading())
        with pytest.raises(StoreUnavailableError, match=r"every connection .* is at work"), office.store.reading():
            pass
    with office.store.reading() as tx:
        assert tx.execute(sa.text("SELECT 1")).scalar() == 1
