"""Bringing books back to the database version of the release before, so that it can run on them again."""

import sqlalchemy as sa
from alembic import command
from alembic.runtime.migration import MigrationContext

from back_office.store.engine import known_versions, make_engine, migrations_config
from back_office.store.faults import StoreDowngradeError, StoreUnavailableError

__all__ = ["go_down", "version_of"]


def version_of(url: str) -> str:
    """Return the version that a database is of; empty where nothing of ours is in it."""
    engine = make_engine(sa.make_url(url))
    try:
        with engine.connect() as looking:
            return MigrationContext.configure(looking).get_current_revision() or ""
    finally:
        engine.dispose()


def go_down(url: str, to: str) -> None:
    """Bring the books down to an older version, in one transaction: all of the way or nothing of it.

    StoreDowngradeError: no such older version, or the books hold what it cannot. StoreUnavailableError: somebody else
    has the books open for writing. No office may be running on them.
    """
    current, known = version_of(url), known_versions()
    if current not in known or to not in known or known.index(to) <= known.index(current):
        older = ", ".join(known[known.index(current) + 1 :]) if current in known else "none"
        message = f"{to} is no older version of these books, which are of {current or 'no version'}; older: {older}"
        raise StoreDowngradeError(message)
    engine, config = make_engine(sa.make_url(url)), migrations_config()
    try:
        with engine.begin() as tx:
            config.attributes["connection"] = tx
            command.downgrade(config, to)
    except sa.exc.OperationalError as error:
        message = f"the database cannot be changed: {error.orig}; stop every office that runs on it"
        raise StoreUnavailableError(message) from error
    finally:
        engine.dispose()
