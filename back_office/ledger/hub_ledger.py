"""A hub's own ledger file beside the office's books, record by record, up to what the office has acknowledged."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from back_office.ledger.verify import Proof
from back_office.store import chains
from back_office.store.engine import Transaction

_WAY_ON: Final = (
    "keep the hub's whole folder; then `venuehub office hub replace`, and `venuehub agent salvage` at the hub go on"
)


class LedgerFileError(Exception):
    """The file is no hub's ledger; the text says why."""


def compare_ledger(tx: Transaction, tenant_id: bytes, file: Path, proof: Proof) -> None:
    """Compare a hub's journal with the office's and note in `proof` whether they are the same.

    Whose journal it is, is found by its first record: that one names the venue, the epoch and the moment it began.
    """
    chain, records = journal_of(tx, tenant_id, file)
    proof.office_equals_hubs = True
    for row in chains.entries_of(tx, tenant_id, chain):
        own = records.get(row.seq)
        if own != (row.record, row.hash) and row.seq >= min(records):
            proof.office_equals_hubs = False
            said = "is missing at the hub" if own is None else "is another one at the hub"
            proof.fault(f"{file}: entry {row.seq} {said}")


def journal_of(tx: Transaction, tenant_id: bytes, file: Path) -> tuple[chains.Chain, dict[int, tuple[bytes, bytes]]]:
    """Return whose journal a ledger file is, and its records and hashes by seq; LedgerFileError: nobody's here."""
    records = _read(file)
    return _chain_of(tx, tenant_id, records, file), records


def _read(file: Path) -> dict[int, tuple[bytes, bytes]]:
    if not file.is_file():
        message = f"{file}: there is no such ledger; name a hub's: --ledger /var/lib/venuehub/ledger.sqlite3"
        raise LedgerFileError(message)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT seq, record, hash FROM entries ORDER BY seq").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # of a damaged file SQLite's words may be no text
        message = f"{file}: cannot be read as a hub's ledger ({error}); {_WAY_ON}"
        raise LedgerFileError(message) from error
    if not rows:
        message = f"{file}: its journal is empty"
        raise LedgerFileError(message)
    return {seq: (record, head) for seq, record, head in rows}


def _chain_of(tx: Transaction, tenant_id: bytes, records: dict[int, tuple[bytes, bytes]], file: Path) -> chains.Chain:
    first = min(records)
    for chain in chains.chains(tx, tenant_id):
        row = chains.entry(tx, tenant_id, chain, first)
        if row is not None and row.record == records[first][0]:
            return chain
    message = f"{file}: no hub of this office has a journal that begins like this one"
    raise LedgerFileError(message)
