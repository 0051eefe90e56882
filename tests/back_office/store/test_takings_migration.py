"""Books of the release before takings: the migration counts them from the entries, as booking would have."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from back_office.ledger.verify import prove_books
from back_office.store import takings
from back_office.store.engine import _MIGRATIONS, open_store, sqlite_url
from payment_core.journal import CoinBooked
from tests.back_office.world import TENANT

pytestmark = [pytest.mark.long, pytest.mark.sqlite]


def back_to(file, version):
    """Take a database back to an older release's tables."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(sqlite_url(file))
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, version)
    engine.dispose()


def test_takings_are_counted_from_the_entries_that_are_there(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    office.hub.held(300)
    office.hub.captured(300)
    office.hub.write(lambda header: CoinBooked(1, header, "coins", 1, 1, 1, 1, "CNY", 100))
    office.take(office.hub.batch())
    with office.store.reading() as tx:
        before = takings.takings(tx, TENANT)
    assert {(place.machine, place.kind) for place in before} >= {("racer-2", "revenue"), ("", "purse")}
    office.store.close()
    back_to(office.file, "0017")
    again = open_store(sqlite_url(office.file))
    with closing(again), again.reading() as tx:
        assert takings.takings(tx, TENANT) == before
        assert prove_books(tx, TENANT).ok
