"""No text of a CSV file is run as a formula by the spreadsheet that opens it."""

from typing import Final, TypeVar

Cell = TypeVar("Cell")
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is a formula to a spreadsheet: a machine that somebody has named so could read files there."""


def disarmed(cell: Cell) -> Cell | str:
    """Return a cell as it may stand in a CSV file: a text that begins as a formula has a `'` before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
