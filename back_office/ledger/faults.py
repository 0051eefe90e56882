"""Faults of the ledger: each text names the account or entry."""


class LedgerError(Exception):
    """Base of this room's faults."""


class BooksBrokenError(LedgerError):
    """The books would not balance: a bug or a changed database. Nothing of the transaction may be kept."""


class UnbookableError(LedgerError):
    """An entry is well-formed and yet holds what no book can: its batch is parked."""
