"""Opening the ledger at a start: it is in order, or short of space, or shut with a reason; else a person must help.

A ledger that has never been opened here is its installer's matter: LedgerError, and the program ends. One that was, and
now cannot be used, keeps the hub up behind a closed door: a disk that is full or read-only is tried again, a damaged
one never.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.ledger import marks
from edge_agent.ledger.ballast import Ballast
from edge_agent.ledger.disk_order import Given
from edge_agent.ledger.entries import verify_tail
from edge_agent.ledger.integrity import full_check
from edge_agent.ledger.migrations import adopt_epoch, migrate
from edge_agent.ledger.store import (
    UNREADABLE,
    WAY_ON,
    CommitUnknownError,
    Fault,
    LedgerDamagedError,
    LedgerError,
    NotOpenedError,
    SqliteStore,
)
from edge_agent.ledger.tail_mark import TailMark
from edge_agent.start.disk_order import hold_in_order

LEDGER_FILE: Final = "ledger.sqlite3"
LOCK_FILE: Final = "hub.lock"
SALVAGE_NOTE: Final = "salvage.json"
"""Lies beside a ledger while it is being salvaged: nothing opens it then."""
FAULTS: Final[dict[int, Fault]] = {errno.ENOSPC: "full", errno.EROFS: "read_only"}
CHECKED_AT_START: Final = 1_000
"""Entries whose chain is followed at every start."""


class Place:
    """The folder of a ledger, and the small files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / LEDGER_FILE
        self.mark = folder / f"{LEDGER_FILE}.mark"
        self.ballast = Ballast(folder / f"{LEDGER_FILE}.ballast")
        self._safe_mode = folder / f"{LEDGER_FILE}.safe-mode"
        self._suspect = folder / f"{LEDGER_FILE}.suspect"

    def make(self) -> None:
        """Make the folder; LedgerError where that cannot be."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"{self.folder}: cannot be made ({error.strerror}). Check `state`, its owner and its mode."
            raise LedgerError(message) from error

    @contextmanager
    def held_alone(self) -> Iterator[None]:
        """Be the only program at this ledger; LedgerError where another one is. A disk that takes no file is let be."""
        try:
            lock = os.open(self.folder / LOCK_FILE, os.O_RDONLY | os.O_CREAT, 0o600)
        except OSError:
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            message = f"{self.folder}: another program has this ledger open. Stop it first."
            raise LedgerError(message) from error
        try:
            yield
        finally:
            os.close(lock)

    def note_damage(self, why: str) -> None:
        """Remember for every later start that this ledger is damaged; a person takes the note away."""
        _leave(self._safe_mode, why)

    def note_suspicion(self, why: str) -> None:
        """Let the next start check everything before it sells: the till fell over what it read."""
        _leave(self._suspect, why)

    @property
    def damage(self) -> str:
        """Return what is noted, or empty."""
        try:
            return self._safe_mode.read_text("utf-8")
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"{self._safe_mode}: cannot be read ({error.strerror})"

    @property
    def is_being_salvaged(self) -> bool:
        """Say whether a person has begun to salvage this ledger and not finished."""
        return self.folder.joinpath(SALVAGE_NOTE).exists()

    @property
    def was_used(self) -> bool:
        """Say whether a hub has opened a ledger here before."""
        return self.mark.exists()

    def suspect(self) -> bool:
        """Say whether the last till fell over what it read."""
        return self._suspect.exists()

    def trust_again(self) -> None:
        """The whole check found nothing."""
        self._suspect.unlink(missing_ok=True)

    def is_writable(self) -> bool:
        """Try: a ledger is there, and a file beside it can be written and synced."""
        probe = self.folder / f"{LEDGER_FILE}.probe"
        if not self.ledger.exists():
            return False
        try:
            _write(probe, "x")
            probe.unlink()
        except OSError:
            return False
        return True


def _leave(path: Path, text: str) -> None:
    """Write a note where the disk still takes one; where not, the same fault is found again."""
    try:
        _write(path, text)
    except OSError:
        return


def _write(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)


class Opened(msgspec.Struct, frozen=True):
    """A ledger in order. `short`: the ballast is overboard, so results only and no new money."""

    store: SqliteStore
    mark: TailMark
    short: bool


class Shut(msgspec.Struct, frozen=True):
    """A ledger that cannot be used. `fault` "damaged": for good; else it may come back."""

    fault: Fault
    why: str


def open_ledger(place: Place, *, epoch: int, damage: str = "") -> Opened | Shut:
    """Open, check, and prove that it can be written. LedgerError: a person must help before anything starts.

    `damage`: what was found wrong with the ledger since; it is noted, and nothing is written to the file any more.
    """
    if place.is_being_salvaged:
        message = f"{place.ledger}: its salvage was begun and not finished. Run `venuehub agent salvage` again."
        raise LedgerError(message)
    if damage:
        place.note_damage(damage)
    if damage or place.damage:
        return Shut("damaged", damage or place.damage)
    used = place.was_used
    if used and not place.ledger.exists():
        why = f"{place.ledger}: the ledger that was here is gone. Bring it back, or: {WAY_ON}."
        return Shut("damaged", why)
    short = hold_in_order(place.ballast, place.folder) is Given.NEW_MONEY
    opened = _try(place, epoch=epoch, used=used, short=short)
    if isinstance(opened, Shut) and opened.fault == "full" and not short:
        place.ballast.release()
        opened = _try(place, epoch=epoch, used=used, short=True)
    if isinstance(opened, Shut) and opened.fault == "damaged":
        place.note_damage(opened.why)
    return opened


def _try(place: Place, *, epoch: int, used: bool, short: bool) -> Opened | Shut:
    try:
        return _open(place, epoch=epoch, short=short)
    except LedgerDamagedError as error:
        return Shut("damaged", str(error))
    except (CommitUnknownError, NotOpenedError) as error:
        if not used or error.fault is None:
            raise
        return Shut("damaged" if error.fault == "unclear" else error.fault, str(error))
    except UNREADABLE as error:
        if not used:
            raise
        return Shut("damaged", f"{place.ledger}: {type(error).__name__}: {error}")
    except OSError as error:
        why = f"{place.folder}: {error.strerror}. Check the folder's owner, its mode and free space."
        if not used:
            raise LedgerError(why) from error
        return Shut(FAULTS.get(error.errno or 0, "io"), why)


def _open(place: Place, *, epoch: int, short: bool) -> Opened:
    store = SqliteStore(place.ledger)
    try:
        return Opened(store, _checked(place, store, epoch=epoch), short)
    except:
        store.abandon()
        raise


def _checked(place: Place, store: SqliteStore, *, epoch: int) -> TailMark:
    where = str(place.ledger)
    migrate(store, where)
    adopt_epoch(store, epoch)
    _prove_writable(store)
    verify_tail(store, where, last=CHECKED_AT_START)
    mark = TailMark(place.mark)
    missing = mark.missing(store)
    if missing:
        message = f"{where}: {missing}. The hub will not spend. Keep the folder. Then {WAY_ON}."
        raise LedgerDamagedError(message)
    if place.suspect():
        for _ in full_check(store, store.sums, place.ledger):
            pass
        place.trust_again()
    mark.note(store)
    return mark


def _prove_writable(store: SqliteStore) -> None:
    """Commit something that changes nothing: a disk that takes no commit is found before a guest does."""
    store.execute("BEGIN IMMEDIATE")
    marks.touch(store)
    store.commit()


def after_fault(place: Place, error: Exception) -> None:
    """Leave for the next start what it needs, when a till has stopped at a fault."""
    match error:
        case CommitUnknownError(fault="full"):
            place.ballast.release()
        case CommitUnknownError(fault="damaged") | LedgerDamagedError():
            place.note_damage(str(error))
        case CommitUnknownError(fault="io" | "read_only"):
            return
        case _:
            place.note_suspicion(f"{type(error).__name__}: {error}")
