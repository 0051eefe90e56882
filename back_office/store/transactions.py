"""A store's transactions: what runs beside what, what is tried again, and whose fault it is where it does not work.

SQLite lets one writer in at a time. PostgreSQL is serializable: of two transactions that get in each other's way one is
told so, and is run again alone. So a storm of conflicts ends with its first round, and what is refused even alone is
refused for good.
"""

import contextlib
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from back_office.store.faults import (
    RESTORE,
    StoreConflictError,
    StoreDamagedError,
    StoreError,
    StoreFencedError,
    StoreRefusedError,
    StoreUnavailableError,
    StoreUnknownError,
)
from back_office.store.tables import PARTITION_LEASES
from back_office.store.transaction import Transaction

T = TypeVar("T")

TRIES: Final = 6
"""How often a transaction is run that gets in another's way, or whose commit was never answered."""
PAUSE_S: Final = 0.05
"""The longest pause before the second run; it doubles, and how much of it is taken is rolled."""
_CONFLICTS: Final = frozenset({"40001", "40P01"})
"""PostgreSQL's: serialization failure, deadlock."""
_LIMITS: Final = "54"
"""PostgreSQL's: a text too long for an index, and such."""
_DUPLICATE: Final = "23505"
"""PostgreSQL's: a key is there already. Beside others that may be their number, taken meanwhile; alone it is ours."""
_RAISED: Final = "P0001"
"""PostgreSQL's: a trigger of ours refuses it."""
_GONE: Final = ("08", "25", "53", "55", "57", "58")
"""PostgreSQL's: no connection, not in this state, no room, locked, shut down by somebody, the system's fault."""
_TOO_MUCH: Final = (
    "too many SQL variables", "too many terms in", "Expression tree is too large", "string or blob too big",
    "number of parameters must be between",
)  # fmt: skip
"""How SQLite's, and last psycopg's, say that a statement is too large."""
_SQLITE_WRITES: Final = "BEGIN IMMEDIATE"
_SQLITE_READS: Final = "BEGIN"
# The lock comes before the snapshot is taken: who waited for it sees what the others did. Nobody ever changes tenants.
_SERVER_BESIDE: Final = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE tenants IN ROW EXCLUSIVE MODE"
_SERVER_ALONE: Final = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE tenants IN SHARE ROW EXCLUSIVE MODE"
_SERVER_READS: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


LOOK_S: Final = 5
"""So long a server may take to count its rows while batches wait."""
_LOOKED_AT: Final = (
    "chains", "batches", "entries", "accounts", "postings", "balances", "days", "takings", "leases", "card_uses"
)  # fmt: skip
_COUNTED: Final = (
    "SELECT n_mod_since_analyze <= n_live_tup / 2 AND coalesce(last_analyze, last_autoanalyze) IS NOT NULL "
    "FROM pg_stat_user_tables WHERE relname = 'postings' AND schemaname = current_schema()"
)


class Fence(msgspec.Struct, frozen=True, order=True):
    """A worker's right to a partition: it ends the moment the row has another epoch, whatever any clock says."""

    tenant_id: bytes
    partition: int
    epoch: int


_HELD = (
    sa.select(PARTITION_LEASES.c.epoch)
    .where(
        PARTITION_LEASES.c.tenant_id == sa.bindparam("tenant"), PARTITION_LEASES.c.partition == sa.bindparam("number")
    )
    .with_for_update(read=True)
)


class Store:
    """One database: `writing()` and `write()` are transactions that commit at their end, `reading()` sees one moment.

    All raise StoreUnavailableError where the same may work later, StoreRefusedError where it never will, and
    StoreDamagedError where what is in it cannot be read. A transaction that names a fence which another worker has
    taken raises StoreFencedError, and nothing of it is kept.
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Take an engine that `open_store` made."""
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._faults: Any = engine.dialect.loaded_dbapi

    @contextlib.contextmanager
    def writing(self, *fences: Fence) -> Iterator[Transaction]:
        """Open a transaction that may write; no other writes meanwhile, so nothing read in it grows old."""
        with self._open(_SQLITE_WRITES if self._is_sqlite else _SERVER_ALONE) as tx:
            _check(tx, fences)
            yield tx

    @contextlib.contextmanager
    def beside(self, *fences: Fence) -> Iterator[Transaction]:
        """Open a transaction that may write while others do; StoreConflictError: they were in each other's way."""
        with self._open(_SQLITE_WRITES if self._is_sqlite else _SERVER_BESIDE, beside=True) as tx:
            _check(tx, fences)
            yield tx

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open a transaction that only reads."""
        with self._open(_SQLITE_READS if self._is_sqlite else _SERVER_READS, keeps=False) as tx:
            yield tx

    def write(self, work: Callable[[Transaction], T], *fences: Fence) -> T:
        """Run `work` in a transaction beside others, and again alone after a conflict or an unanswered commit.

        Whatever `work` does outside the transaction it may do several times; what an unanswered commit has kept it
        finds there.
        """
        for run in range(TRIES):
            try:
                with self.writing(*fences) if run else self.beside(*fences) as tx:
                    return work(tx)
            except (StoreConflictError, StoreUnknownError):
                if run == TRIES - 1:
                    raise
            time.sleep(random.random() * PAUSE_S * 2**run)  # noqa: S311 - jitter
        raise AssertionError  # the last run returns or raises

    def look_at_tables(self) -> bool:
        """Let a server count the rows that entries go with, on which its plans rest; say whether it did.

        It does so by itself, a minute behind: until then it looks for each posting's account through all there are.
        Nothing is done where it has counted most of them, or in a file; after LOOK_S it is let be.
        """
        if self._is_sqlite:
            return False
        with self._told_as_ours(beside=False), contextlib.closing(self._engine.raw_connection()) as connection:
            driver: Any = connection.driver_connection
            if not driver.autocommit:
                driver.autocommit = True
            driver.execute("SELECT pg_stat_force_next_flush()")
            if driver.execute(_COUNTED).fetchone()[0]:
                return False
            try:
                with driver.transaction():
                    driver.execute(f"SET LOCAL statement_timeout = '{LOOK_S}s'")
                    driver.execute(f"ANALYZE {', '.join(_LOOKED_AT)}")
            except self._faults.errors.QueryCanceled:
                return False
            return True

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    # ---- inside ----

    @contextlib.contextmanager
    def _open(self, begin: str, *, beside: bool = False, keeps: bool = True) -> Iterator[Transaction]:
        with self._told_as_ours(beside=beside), contextlib.closing(self._engine.raw_connection()) as connection:
            driver: Any = connection.driver_connection
            try:
                if not (self._is_sqlite or driver.autocommit):
                    driver.autocommit = True  # transactions begin with our own words
                driver.execute(begin)
                with contextlib.closing(Transaction(driver, self._engine.dialect)) as tx:
                    yield tx
                if keeps:
                    self._commit(driver)
                else:
                    driver.rollback()
            except (self._faults.OperationalError, self._faults.InterfaceError, StoreUnknownError) as error:
                if self._is_sqlite or isinstance(error, StoreUnknownError) or not self._is_alive(driver):
                    connection.invalidate(error)  # the next transaction gets another: this one may be gone
                raise
            except BaseException:
                with contextlib.suppress(self._faults.OperationalError, self._faults.InterfaceError):
                    driver.rollback()
                raise

    def _is_alive(self, driver: Any) -> bool:  # noqa: ANN401 - a driver's connection
        """Roll back; say whether the server answers. A new connection would cost three times what a batch does."""
        try:
            driver.rollback()
        except (self._faults.OperationalError, self._faults.InterfaceError):
            return False
        return not driver.closed

    def _commit(self, driver: Any) -> None:  # noqa: ANN401 - a driver's connection
        """Commit; a server that goes away now may have done it."""
        try:
            driver.commit()
        except (self._faults.OperationalError, self._faults.InterfaceError) as error:
            if self._is_sqlite or _state(error) in _CONFLICTS:
                raise
            message = f"whether the database has kept it is unknown: {error}; it is asked again"
            raise StoreUnknownError(message) from error

    @contextlib.contextmanager
    def _told_as_ours(self, *, beside: bool) -> Iterator[None]:
        driver = self._faults
        try:
            yield
        except (driver.Error, sa.exc.OperationalError, sa.exc.TimeoutError, OverflowError, UnicodeDecodeError) as error:
            fault = _by_state(error, beside=beside) or self._by_class(error)
            if fault is None:
                raise  # a bug of ours
            raise fault from error

    def _by_class(self, error: Exception) -> StoreError | None:
        driver = self._faults
        if isinstance(error, OverflowError):
            return StoreRefusedError(f"a number is too big for the database: {error}")
        if isinstance(error, driver.IntegrityError | driver.DataError) or _is_too_much(error):
            return _refused(error)
        if isinstance(error, sa.exc.TimeoutError):
            return StoreUnavailableError(f"every connection to the database is at work: {error}; it may work later")
        if isinstance(error, driver.OperationalError | driver.InterfaceError | sa.exc.OperationalError):
            return _unavailable(error)
        if isinstance(error, driver.ProgrammingError):
            return None
        return damaged(error)  # SQLite's own words may be no text either


def damaged(error: object, where: str = "the database") -> StoreDamagedError:
    """Return the fault of a database that cannot be read any more."""
    return StoreDamagedError(f"{where} is damaged: {error}; stop the office, keep the file, {RESTORE}")


def _refused(error: object) -> StoreRefusedError:
    return StoreRefusedError(f"the database refuses it: {error}")


def _unavailable(error: object) -> StoreUnavailableError:
    message = f"the database cannot be used: {error}; look at its disk and at who else has it open"
    return StoreUnavailableError(message)


def _is_too_much(error: BaseException) -> bool:
    """Say whether a statement is too large for any database, whatever disk it has and whoever else writes.

    By its text, for the code says nothing: SQLite has the same one for a table that is missing and a transaction that
    was lost, and psycopg none for what it could not send. Those are ours to mend, and what waits for it is honest.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code == sqlite3.SQLITE_ERROR and not _state(error) and any(text in str(error) for text in _TOO_MUCH)


def _by_state(error: BaseException, *, beside: bool) -> StoreError | None:
    """Return the fault that PostgreSQL's code names; None: the error's class says more."""
    state = _state(error)
    if state in _CONFLICTS or (beside and state == _DUPLICATE):
        return StoreConflictError(f"two transactions were in each other's way: {error}")
    if state == _RAISED or state.startswith(_LIMITS):
        return _refused(error)
    return _unavailable(error) if state.startswith(_GONE) else None


def _state(error: BaseException) -> str:
    """Return PostgreSQL's code of an error; empty where the connection was lost, and for SQLite's."""
    return getattr(error, "sqlstate", None) or ""


def _check(tx: Transaction, fences: tuple[Fence, ...]) -> None:
    for fence in fences:
        epoch = tx.execute(_HELD, {"tenant": fence.tenant_id, "number": fence.partition}).scalar()
        if epoch != fence.epoch:
            message = f"partition {fence.partition} is another worker's: epoch {epoch}, ours was {fence.epoch}"
            raise StoreFencedError(message)
