"""Guests' money in one posting transaction: every entry in its turn, written together, and proven before the commit."""

from collections.abc import Iterable
from typing import Final

from back_office.ledger.findings import Line, full_name
from back_office.ledger.guest_sheet import Sheet
from back_office.ledger.hub_steps import HUB_STEPS
from back_office.ledger.office_steps import OFFICE_STEPS
from payment_core.accounts import Posting
from payment_core.journal import Entry

_STEPS: Final = {**HUB_STEPS, **OFFICE_STEPS}


class GuestBook(Sheet):
    """The guests of one writer's entries. `take` them in order; then `write`, then `prove`."""

    def take(self, entry: Entry, rows: Iterable[Posting]) -> list[Line]:
        """Return what is posted for an entry: `rows`, as the vault says them, but for what a hub had no right to."""
        self.lines.clear()
        for row in rows:
            self.lines[full_name(row.account, self.writer, entry), row.unit] += row.amount
        step = _STEPS.get(type(entry))
        if step is not None:
            step(self, entry)
        lines = [(name, unit, amount) for (name, unit), amount in self.lines.items() if amount]
        self.note_balances(lines)
        return lines
