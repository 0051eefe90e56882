"""Faults of the store: each text names the database and what to do."""

from typing import Final

RESTORE: Final = "restore the backup of the folder, then run `venuehub office restored`"
"""The remedy where books are gone or damaged; the hubs send again what the backup does not know."""


class StoreError(Exception):
    """Base of this room's faults."""


class StoreNotThereError(StoreError):
    """There is no database where one was expected."""


class StoreVersionError(StoreError):
    """The database was written by another release of venuehub."""


class StoreDowngradeError(StoreError):
    """The release before cannot hold what stands in the books: nothing was changed."""


class StoreUnfitError(StoreError):
    """The database does not keep what it is asked to keep: a setting did not take, or it is damaged."""


class StoreUnreachableError(StoreUnfitError):
    """The database's server is not there, or does not let us in."""


class StoreDamagedError(StoreUnfitError):
    """What the database holds cannot be read any more."""


class StoreUnavailableError(StoreError):
    """The database is locked, full, read-only or gone for now: nothing of this transaction is kept; try again."""


class StoreRefusedError(StoreError):
    """The database takes these very rows never (a CHECK, a key, a number too big): nothing of them is kept."""


class StoreConflictError(StoreUnavailableError):
    """Another transaction got in the way of this one, several times over: nothing of it is kept; try again."""


class StoreUnknownError(StoreUnavailableError):
    """The database went away while it was to commit: whether it has kept all or nothing must be asked."""


class StoreFencedError(StoreError):
    """Another worker has taken over the partition: nothing of this transaction is kept, and it is not ours to do."""
