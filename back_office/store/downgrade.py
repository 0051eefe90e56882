"""Bringing books back to the database version of the release before, so that it can run on them again."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.runtime.migration import MigrationContext

from back_office.store.engine import known_versions, make_engine, migrations_config
from back_office.store.faults import StoreDowngradeError, StoreUnavailableError
from back_office.store.transaction import Transaction


def copy_books(file: Path, copy: Path) -> None:
    """Write a copy of a file of books as it is at this moment, for nobody else's eyes; it is on the disk on return.

    OSError: the place cannot be written, or something is there already. A copy that is not whole is removed.
    """
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(file)) as books:
            books.execute("PRAGMA synchronous = EXTRA")
            books.execute("VACUUM INTO ?", (str(copy),))
        with copy.open("rb") as written:
            os.fsync(written.fileno())
    except sqlite3.Error as error:
        copy.unlink()
        raise OSError(None, str(error), str(copy)) from error


def go_down(url: str, to: str, *, first: Callable[[Transaction], None] = lambda _tx: None) -> str:
    """Bring the books down to an older version, in one transaction: all of the way or nothing of it.

    `first` is called in it before anything changes. Return the version they were of. StoreDowngradeError: no such
    older version, or the books hold what it cannot. StoreUnavailableError: somebody else is writing. No office may be
    running on them.
    """
    engine, config = make_engine(sa.make_url(url)), migrations_config()
    try:
        with engine.begin() as tx:
            current = MigrationContext.configure(tx).get_current_revision() or ""
            _refuse_unless_older(to, current)
            with contextlib.closing(Transaction(tx.connection.driver_connection, engine.dialect)) as before:
                first(before)
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
