"""What `venuehub office` does beside its rooms: faults in words, a folder opened or taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from back_office.console.demo_control import DemoControlError
from back_office.fleet.documents import DocumentError
from back_office.fleet.founding import FoundingError, VenueUnknownError, refuse_unfounded
from back_office.ledger.faults import UnbookableError
from back_office.members.cards import CardKnownError, CardTextError, CardUnknownError
from back_office.settings import SettingsError, database_file, database_url
from back_office.store.engine import Store, is_whole, open_store
from back_office.store.faults import RESTORE, StoreDamagedError, StoreDowngradeError, StoreError, StoreUnreachableError
from cloud_sync.identity import IdentityError, OfficeKeys, load_office
from cloud_sync.mqtt_link import MqttLinkError
from payment_core.errors import MalformedRecordError, UnknownEntryError
from venuehub.errors import CliError, ExitCode, told_as, writing_to

_WAY_BACK: Final = (
    "keep this release, or put the copy of the whole folder from before the upgrade back and run `venuehub office "
    "restored` with the release before: hubs tell again what came since"
)


@contextmanager
def office_faults(folder: Path) -> Iterator[None]:
    """Tell the office's own faults as what they are; the place is the office's folder where they name no other."""
    try:
        with _told():
            yield
    except CliError as error:
        error.where = error.where or str(folder)
        error.hint = error.hint or "venuehub office --help lists what can be asked of an office"
        raise


@contextmanager
def _told() -> Iterator[None]:
    compare = "compare the file with those of the same name in examples/"
    with (
        told_as("settings", SettingsError, DemoControlError, exit_code=ExitCode.USAGE),
        told_as("settings", CardTextError, where="--card", exit_code=ExitCode.USAGE),
        told_as("settings", DocumentError, otherwise=compare, exit_code=ExitCode.USAGE),
        told_as("office", FoundingError, otherwise="write one of the names that are listed here"),
        told_as(
            "office",
            VenueUnknownError,
            where="--venue",
            otherwise="write one of these names",
            exit_code=ExitCode.USAGE,
        ),
        told_as("office", CardKnownError, where="--card", otherwise="venuehub office card show tells whose it is"),
        told_as("office", CardUnknownError, where="--card", otherwise="add it first: venuehub office card add"),
        told_as("refused", UnbookableError, where="--amount", otherwise="choose a smaller one"),
        told_as("store", StoreError),
        told_as("store", StoreDowngradeError, otherwise=_WAY_BACK),
        told_as("damaged", StoreDamagedError),
        told_as("database_unreachable", StoreUnreachableError, exit_code=ExitCode.UNAVAILABLE),
        told_as("identity", IdentityError, exit_code=ExitCode.NOT_PROVISIONED),
        told_as("broker_unreachable", MqttLinkError, exit_code=ExitCode.UNAVAILABLE),
    ):
        yield


@contextmanager
def open_office(folder: Path) -> Iterator[tuple[Store, OfficeKeys]]:
    """Open an office's folder: its keys and its books."""
    with office_faults(folder):
        keys = load_office(folder)
        store = open_store(database_url(folder))
        try:
            with _damage_told(database_file(folder)):
                refuse_unfounded(store, keys.tenant_id)
                yield store, keys
        finally:
            store.close()


_UNREADABLE: Final = (MalformedRecordError, UnknownEntryError, msgspec.MsgspecError, UnicodeDecodeError)
_NONSENSE: Final = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)
"""What code meets where rows are not as they were written."""


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    """Tell of rows that nobody wrote so: a record or a document that cannot be read, a word that is none of ours.

    Any other fault in a file that SQLite itself finds broken is of that, too; else it is a bug and stays one.
    """
    try:
        yield
    except (*_UNREADABLE, *_NONSENSE) as error:
        if not isinstance(error, _UNREADABLE) and is_whole(file):
            raise
        message = f"the books are damaged: {error}"
        hint = f"stop the office, keep the file, {RESTORE}"
        raise CliError("damaged", message, where=str(file), hint=hint) from error


@contextmanager
def undone_on_fault(folder: Path, *, option: str) -> Iterator[None]:
    """Write into a folder; where that fails, what was made in it is removed, so that it can be tried again."""
    before = set(folder.iterdir()) if folder.is_dir() else None
    try:
        with writing_to(folder, option=option):
            yield
    except BaseException:
        if folder.is_dir():
            for path in set(folder.iterdir()) - (before or set()):
                path.unlink()
            if before is None:
                folder.rmdir()
        raise
