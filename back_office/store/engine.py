"""Opening the office's database: SQLite that syncs every commit, or PostgreSQL; the migrations; the transactions."""

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from back_office.store.by_index import SQLiteWords
from back_office.store.faults import (
    RESTORE,
    StoreNotThereError,
    StoreUnfitError,
    StoreUnreachableError,
    StoreVersionError,
)
from back_office.store.transaction import Transaction
from back_office.store.transactions import Fence, Store, damaged

__all__ = ["Fence", "Store", "Transaction", "is_whole", "open_store", "sqlite_url"]

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MS: Final = 10_000
_PRAGMAS: Final[dict[str, tuple[str, object]]] = {
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "foreign_keys": ("ON", 1),
    "busy_timeout": (str(_BUSY_MS), _BUSY_MS),
}
"""Each is set and read back: an EIO during `journal_mode` raises nothing, the call just returns another mode."""
_SERVER_SETTINGS: Final[dict[str, str]] = {
    "lock_timeout": str(_BUSY_MS),
    "idle_in_transaction_session_timeout": "30000",
    "enable_seqscan": "off",
    "client_encoding": "'UTF8'",
    "standard_conforming_strings": "on",
}
"""A worker that was stopped in the middle of a transaction does not stop the others for longer. Small tables are read
by their indexes: who has read a whole table is in the way of everybody who writes any row of it.
"""
_MIGRATING: Final = 0x76656E7565687562
"""The lock that migrations take: "venuehub"."""
_STATEMENTS_KEPT: Final = 512
"""What SQLite's driver keeps prepared: more than there are statements."""


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite:///{file.absolute()}"


def is_whole(file: Path) -> bool:
    """Say whether SQLite finds nothing wrong in a file of books; it looks at every page."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def open_store(url: str, *, create: bool = False) -> Store:
    """Open the database at `url`, bring it to this release's version, and read its settings back.

    StoreNotThereError: no books there and `create` is not asked; nothing is written. StoreVersionError: a newer or
    foreign one. StoreDamagedError: not a database any more. StoreUnreachableError: no server there, or it does not let
    us in. StoreUnfitError: a setting that keeps money safe did not take, or the place cannot be used.
    """
    parsed = sa.make_url(url)
    file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
    if file is not None and not create and not (file.exists() and file.stat().st_size):
        raise _no_books(str(file))
    engine = make_engine(parsed)
    try:
        _migrate(engine, parsed.render_as_string(hide_password=True), create=create)
    except (sa.exc.DBAPIError, UnicodeDecodeError) as error:
        engine.dispose()
        place = parsed.render_as_string(hide_password=True)
        if not isinstance(error, sa.exc.OperationalError):
            raise damaged(getattr(error, "orig", error), place) from error
        if file is None and not getattr(error.orig, "sqlstate", None):  # it has taken no statement of ours
            why = str(error.orig).partition("\n")[0]
            message = f"{place}: {why}; look at db.url or --db, and whether the server is there"
            raise StoreUnreachableError(message) from error
        message = f"{place} cannot be used as the office's database: {error.orig}; check the address and the free space"
        raise StoreUnfitError(message) from error
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


def _no_books(where: str) -> StoreNotThereError:
    message = f"{where} has no office's books; {RESTORE} (a new office: `venuehub office init`)"
    return StoreNotThereError(message)


def migrations_config() -> Config:
    """Return what alembic is told; the connection is added by whoever opened it."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def known_versions() -> tuple[str, ...]:
    """Return the versions of the database that this release knows, the newest first; reading them takes its time."""
    return tuple(script.revision for script in ScriptDirectory.from_config(migrations_config()).walk_revisions())


def _migrate(engine: sa.Engine, where: str, *, create: bool) -> None:
    with engine.connect() as looking:
        current = MigrationContext.configure(looking).get_current_revision()
        tables = sa.inspect(looking).get_table_names() if current is None else []
    if tables:
        message = f"{where} holds another program's tables ({', '.join(tables[:3])}): name an empty database"
        raise StoreVersionError(message)
    if current is None and not create:
        raise _no_books(where)
    if current is not None and current not in known_versions():
        message = (
            f"{where} is of database version {current}, this release knows up to {known_versions()[0]}: "
            "install the release that wrote it, or restore the copy made before the upgrade"
        )
        raise StoreVersionError(message)
    if current == known_versions()[0]:
        return
    config = migrations_config()
    with writing_alone(engine) as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
        if current is not None and engine.dialect.name != "sqlite":  # a file's plans rest on its keys alone
            tx.execute(sa.text("ANALYZE"))


@contextlib.contextmanager
def writing_alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction for migrations: one program at a time has it, and sees what the one before it did."""
    if engine.dialect.name == "sqlite":
        with engine.begin() as tx:
            yield tx
        return
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
        yield connection


def make_engine(url: sa.URL) -> sa.Engine:
    """Return an engine whose transactions are serializable: SQLite by itself, a server where one is to try again."""
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(url, isolation_level="SERIALIZABLE")
        event.listen(engine, "connect", _prepare_server)
        return engine
    engine = sa.create_engine(url, paramstyle="named", connect_args={"cached_statements": _STATEMENTS_KEPT})
    engine.dialect.statement_compiler = SQLiteWords
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)  # of the migrations
    return engine


def _prepare_server(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
    for name, worth in _SERVER_SETTINGS.items():
        connection.execute(f"SET {name} = {worth}")
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` below opens transactions; the driver must not
    for name, (wanted, expected) in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {wanted}")
        (got,) = connection.execute(f"PRAGMA {name}").fetchone()
        if got != expected:
            message = f"PRAGMA {name} is {got!r} and not {expected!r}: look at the disk and its file system"
            raise StoreUnfitError(message)


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
