"""The proof of what went between cells: outbox and inbox are exactly what the journal says was sent and taken."""

from collections import Counter
from collections.abc import Iterator

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.ledger.proof_report import Wrong
from back_office.store import cells
from back_office.store.engine import Transaction
from payment_core.errors import MalformedRecordError, UnknownEntryError
from payment_core.journal import CellSent, CellTaken, Entry, decode_entry


def cell_faults(tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    """Yield what does not fit, by the office's own entry."""
    sent = {row.office_seq: (row.to_cell, row.record) for row in cells.sent(tx, tenant_id)}
    booked = {}
    for seq, record in cells.records(tx, tenant_id, TYPE_NUMBERS[CellSent]):
        entry = _entry(record)
        booked[seq] = (entry.to_cell if isinstance(entry, CellSent) else "", record)
    for seq in sorted(sent.keys() | booked.keys()):
        if sent.get(seq) != booked.get(seq):
            yield Wrong("cell_outbox", str(seq), "what was sent to another cell does not stand there as it was booked")
    taken = {row.office_seq: (row.from_cell, row.from_seq) for row in cells.taken(tx, tenant_id)}
    told = {}
    for seq, record in cells.records(tx, tenant_id, TYPE_NUMBERS[CellTaken]):
        entry = _entry(record)
        told[seq] = (entry.from_cell, entry.from_seq) if isinstance(entry, CellTaken) else ("", 0)
    for seq in sorted(taken.keys() | told.keys()):
        if taken.get(seq) != told.get(seq):
            yield Wrong("cell_inbox", str(seq), "what was taken of another cell does not stand there as it was booked")
    for (cell, seq), times in sorted(Counter(told.values()).items()):
        if times > 1:
            yield Wrong("cell_inbox", f"{cell} {seq}", f"it was taken {times} times")


def _entry(record: bytes) -> Entry | None:
    """Return what a record says; None where it says nothing, which the proof of the journal tells."""
    try:
        return decode_entry(record)
    except (MalformedRecordError, UnknownEntryError):
        return None
