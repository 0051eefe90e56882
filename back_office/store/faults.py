"""Faults of the store: each text names the database and what to do."""


class StoreError(Exception):
    """Base of this room's faults."""


class StoreNotThereError(StoreError):
    """There is no database where one was expected."""


class StoreVersionError(StoreError):
    """The database was written by another release of venuehub."""


class StoreUnfitError(StoreError):
    """The database does not keep what it is asked to keep: a setting did not take."""
