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

from back_office.store.faults import (
    RESTORE,
    StoreDamagedError,
    StoreNotThereError,
    StoreRefusedError,
    StoreUnavailableError,
    StoreUnfitError,
    StoreVersionError,
)
from back_office.store.transaction import Transaction

__all__ = ["Store", "Transaction", "is_whole", "open_store", "sqlite_url"]

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MS: Final = 10_000
_PRAGMAS: Final[dict[str, tuple[str, object]]] = {
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "foreign_keys": ("ON", 1),
    "busy_timeout": (str(_BUSY_MS), _BUSY_MS),
}
"""Each is set and read back: an EIO during `journal_mode` raises nothing, the call just returns another mode."""
_STATEMENTS_KEPT: Final = 512
"""What SQLite's driver keeps prepared: more than there are statements."""


class Store:
    """One database. `writing()` is one transaction that commits at its end; `reading()` sees one moment.

    Both raise StoreUnavailableError where the same may work later, StoreRefusedError where it never will, and
    StoreDamagedError where what is in it cannot be read.
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Take an engine that `open_store` made."""
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._faults = engine.dialect.loaded_dbapi

    @contextlib.contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Open a transaction that may write; SQLite takes the write lock at once, so nothing read in it grows old."""
        with self._open("BEGIN IMMEDIATE") as tx:
            yield tx

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open a transaction that only reads."""
        with self._open("BEGIN") as tx:
            yield tx

    @contextlib.contextmanager
    def _open(self, begin: str) -> Iterator[Transaction]:
        with self._told_as_ours(), contextlib.closing(self._engine.raw_connection()) as connection:
            driver: Any = connection.driver_connection
            try:
                if self._is_sqlite:  # other drivers begin by themselves
                    driver.execute(begin)
                with contextlib.closing(Transaction(driver, self._engine.dialect)) as tx:
                    yield tx
                driver.commit()
            except (self._faults.OperationalError, self._faults.InterfaceError) as error:
                connection.invalidate(error)  # the next transaction gets another: this one may be gone
                raise
            except BaseException:
                driver.rollback()
                raise

    @contextlib.contextmanager
    def _told_as_ours(self) -> Iterator[None]:
        driver = self._faults
        try:
            yield
        except (driver.IntegrityError, driver.DataError) as error:
            message = f"the database refuses it: {error}"
            raise StoreRefusedError(message) from error
        except OverflowError as error:
            message = f"a number is too big for the database: {error}"
            raise StoreRefusedError(message) from error
        except (driver.OperationalError, driver.InterfaceError, sa.exc.OperationalError) as error:
            message = f"the database cannot be used: {error}; look at its disk and at who else has it open"
            raise StoreUnavailableError(message) from error
        except driver.ProgrammingError:
            raise  # a bug of ours
        except (driver.DatabaseError, UnicodeDecodeError) as error:  # the latter: SQLite's words are no text either
            raise _damaged(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


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
    foreign one. StoreDamagedError: not a database any more. StoreUnfitError: a setting that keeps money safe did not
    take, or the place cannot be used.
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
            raise _damaged(getattr(error, "orig", error), place) from error
        message = f"{place} cannot be used as the office's database: {error.orig}; check the address and the free space"
        raise StoreUnfitError(message) from error
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


def _no_books(where: str) -> StoreNotThereError:
    message = f"{where} has no office's books; {RESTORE} (a new office: `venuehub office init`)"
    return StoreNotThereError(message)


def _damaged(error: object, where: str = "the database") -> StoreDamagedError:
    return StoreDamagedError(f"{where} is damaged: {error}; stop the office, keep the file, {RESTORE}")


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
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "head")


def make_engine(url: sa.URL) -> sa.Engine:
    """Return an engine whose transactions are serializable: SQLite by itself, a server where one is to try again."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, isolation_level="SERIALIZABLE")
    engine = sa.create_engine(url, paramstyle="named", connect_args={"cached_statements": _STATEMENTS_KEPT})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)  # of the migrations
    return engine


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
