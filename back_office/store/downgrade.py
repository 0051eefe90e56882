"""Bringing books back to the database version of the release before, so that it can run on them again."""

import sqlalchemy as sa
from alembic import command
from alembic.runtime.migration import MigrationContext

from back_office.store.engine import known_versions, make_engine, migrations_config
from back_office.store.faults import StoreDowngradeError, StoreUnavailableError


def go_down(url: str, to: str) -> str:
    """Bring the books down to an older version, in one transaction: all of the way or nothing of it.

    Return the version they were of. StoreDowngradeError: no such older version, or the books hold what it cannot.
    StoreUnavailableError: somebody else is writing. No office may be running on them.
    """
    engine, config = make_engine(sa.make_url(url)), migrations_config()
    try:
        with engine.begin() as tx:
            current = MigrationContext.configure(tx).get_current_revision() or ""
            _refuse_unless_older(to, current)
            config.attributes["connection"] = tx
            command.downgrade(config, to)
            return current
    except sa.exc.OperationalError as error:
        message = f"the database cannot be changed: {error.orig}; stop every office that runs on it"
        raise StoreUnavailableError(message) from error
    finally:
        engine.dispose()


def _refuse_unless_older(to: str, current: str) -> None:
    known = known_versions()
    older = known[known.index(current) + 1 :] if current in known else ()
    if to not in older:
        names = ", ".join(older) or "none"
        message = f"{to} is no older version of these books, which are of {current or 'no version'}; older: {names}"
        raise StoreDowngradeError(message)
