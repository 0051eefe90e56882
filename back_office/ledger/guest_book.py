"""Guests' money in one posting transaction: every entry in its turn, written together, and proven before the commit."""

from collections.abc import Iterable, Sequence
from typing import Final

from back_office.ledger.faults import UnbookableError
from back_office.ledger.findings import Line, Writer, full_name
from back_office.ledger.guest_sheet import Sheet
from back_office.ledger.hub_steps import HUB_STEPS
from back_office.ledger.lot_bounds import beyond_bounds
from back_office.ledger.office_steps import OFFICE_STEPS
from back_office.ledger.passing import VoucherReader
from back_office.store import loose_ends
from back_office.store.books import AccountName
from back_office.store.engine import Transaction
from payment_core.accounts import Kind, Posting
from payment_core.journal import Entry

_STEPS: Final = {**HUB_STEPS, **OFFICE_STEPS}


class GuestBook(Sheet):
    """The guests of one writer's entries. `take` them in order; then `write`, then `prove`."""

    def __init__(
        self, tx: Transaction, tenant_id: bytes, writer: Writer, entries: Sequence[Entry], *, now_ms: int,
        read_voucher: VoucherReader | None,
    ) -> None:  # fmt: skip
        """Read what these entries can touch; UnbookableError where that is more than any hub has."""
        for entry in entries if writer.hub_id != tenant_id else ():
            beyond = beyond_bounds(entry)
            if beyond:
                message = f"record {entry.header.seq}: {type(entry).__name__}: {beyond}"
                raise UnbookableError(message)
        super().__init__(tx, tenant_id, writer, entries, now_ms=now_ms, read_voucher=read_voucher)
        named = {entry.header.authorization_id for entry in entries} if writer.closed else set()
        self._settled: set[bytes | None] = set()
        if named:
            self._settled |= loose_ends.settled_here(tx, tenant_id, filter(None, named))

    def take(self, entry: Entry, rows: Iterable[Posting]) -> list[Line]:
        """Return what is posted for an entry: `rows`, as the vault says them, but for what a hub had no right to."""
        self.lines.clear()
        for row in rows:
            self.lines[full_name(row.account, self.writer, entry), row.unit] += row.amount
        step = _STEPS.get(type(entry))
        if step is not None:
            step(self, entry)
        if self.writer.closed and entry.header.authorization_id in self._settled:
            self._late(entry)
        lines = [(name, unit, amount) for (name, unit), amount in self.lines.items() if amount]
        self.note_balances(lines)
        return lines

    def _late(self, entry: Entry) -> None:
        """Book beside the guests what a closed hub says of an authorization that staff have settled meanwhile."""
        account_id = getattr(entry, "account_id", None) or b""
        beside = AccountName(Kind.OVERCLAIM, account_id.hex(), self.writer.hub_id)
        for (name, unit), amount in list(self.lines.items()):
            if name.kind is Kind.HELD or name.kind is Kind.SUSPENSE:
                self.lines[name, unit] -= amount
                self.lines[beside, unit] += amount
