"""Gifts that were sent to other cells, or came back from there: neither makes them more, or less, than was given."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.ledger.desk import Desk
from back_office.store import cells
from back_office.store.engine import Transaction
from back_office.store.lots import LotKey, LotRow
from payment_core.journal import CellSent, CellTaken, decode_entry


class Gifts(msgspec.Struct, frozen=True):
    """A payment's gifts. rows: as if nothing of them had ever gone between cells, but for what is in the purse.

    in_cells: what of them lies in other cells by their names, or on the way; minor units, never nothing.
    """

    rows: dict[LotKey, LotRow]
    in_cells: dict[tuple[str, LotKey], int]


def as_given(desk: Desk, found: Mapping[LotKey, LotRow]) -> Gifts:
    """Return gifts of one account as they were given. Reads the account's lines, only where other cells are named."""
    rows = dict(found)
    if not rows or not cells.cells(desk.tx, desk.tenant_id):
        return Gifts(rows, {})
    (account_id,) = {key.account_id for key in rows}
    there: defaultdict[tuple[str, LotKey], int] = defaultdict(int)
    for entry in _crossings(desk.tx, desk.tenant_id, account_id):
        for one in entry.lots:
            key = LotKey(account_id, one.unit, one.lot.lot)
            if key not in rows:
                continue
            row = rows[key]
            if isinstance(entry, CellSent):
                there[entry.to_cell, key] += one.amount
                rows[key] = msgspec.structs.replace(row, paid_out=row.paid_out - one.amount)
            else:
                there[entry.from_cell, key] -= one.amount
                rows[key] = msgspec.structs.replace(row, deposited=row.deposited - one.amount)
    return Gifts(rows, _net(there))


def in_cells(tx: Transaction, tenant_id: bytes, account_id: bytes) -> dict[tuple[str, str], int]:
    """Return what an account's purse sent to other cells and did not get back from them, by (cell, unit)."""
    there: defaultdict[tuple[str, str], int] = defaultdict(int)
    for entry in _crossings(tx, tenant_id, account_id):
        cell, sign = (entry.to_cell, 1) if isinstance(entry, CellSent) else (entry.from_cell, -1)
        for one in entry.lots:
            there[cell, one.unit] += sign * one.amount
    return {place: amount for place, amount in sorted(there.items()) if amount > 0}


# ---- inside ----


def _crossings(tx: Transaction, tenant_id: bytes, account_id: bytes) -> Iterator[CellSent | CellTaken]:
    types = (TYPE_NUMBERS[CellSent], TYPE_NUMBERS[CellTaken])
    for record in cells.records_of_account(tx, tenant_id, account_id, types):
        entry = decode_entry(record)
        assert isinstance(entry, CellSent | CellTaken), "the query asks for no other type"
        yield entry


def _net(there: Mapping[tuple[str, LotKey], int]) -> dict[tuple[str, LotKey], int]:
    """Return what was sent and did not come back; what came home from a third cell is there no more."""
    home: defaultdict[LotKey, int] = defaultdict(int)
    for (_, key), amount in there.items():
        home[key] += max(-amount, 0)
    left = {}
    for (cell, key), amount in sorted(there.items()):
        came = min(home[key], max(amount, 0))
        home[key] -= came
        if amount > came:
            left[cell, key] = amount - came
    return left
