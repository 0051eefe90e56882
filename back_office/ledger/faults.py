"""Faults of the ledger: each text names the account or entry."""


class LedgerError(Exception):
    """Base of this room's faults."""


class BooksBrokenError(LedgerError):
    """The books would not balance: a bug or a changed database. Nothing of the transaction may be kept.

    table, key: the record that does not fit the others, where it is known.
    """

    def __init__(self, message: str, *, table: str = "lots", key: str = "") -> None:
        super().__init__(message)
        self.table = table
        self.key = key


class UnbookableError(LedgerError):
    """An entry is well-formed and yet holds what no book can: its batch is parked."""
