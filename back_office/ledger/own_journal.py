"""The office's own journal is signed by nobody: the audit's lines, and what is kept outside, say where it stood.

Whoever writes the database can add a top-up or change one, and every hash and sum behind it. The audit's next line says
another hash of the same entry then; and of the audit itself an anchor is kept where the office cannot write.
"""

import re
from typing import Final

import msgspec

from back_office.store import acts, chains
from back_office.store.acts import AuditLine
from back_office.store.chains import Chain
from back_office.store.engine import Transaction

OWN_JOURNAL: Final = "own_journal"
"""What the audit says once a day where the office's own journal has grown."""
_OFFICE_STREAM, _OFFICE_EPOCH = 0, 1
_SAID: Final = re.compile(r"(?:.*; )?own journal at (\d{1,15}) ([0-9a-f]{64})")


class Stands(msgspec.Struct, frozen=True):
    """Where the office's own journal stood: the newest entry's number and hash."""

    seq: int = 0
    hash: bytes = chains.NOTHING

    def text(self) -> str:
        """Return what a line of the audit says of it."""
        return f"own journal at {self.seq} {self.hash.hex()}"


def stands(tx: Transaction, tenant_id: bytes) -> Stands:
    """Return where it stands now."""
    own = chains.chain(tx, tenant_id, tenant_id, stream=_OFFICE_STREAM, epoch=_OFFICE_EPOCH)
    return Stands() if own is None else Stands(own.rec_seq, own.tail_hash)


def told_in(line: AuditLine, *, closed: str) -> Stands | None:
    """Return what a line of the audit says of it; `closed`: what the audit calls a Z. None: nothing."""
    found = _SAID.fullmatch(line.note) if line.what in {OWN_JOURNAL, closed} else None
    return None if found is None else Stands(int(found[1]), bytes.fromhex(found[2]))


def has_changed(tx: Transaction, tenant_id: bytes, told: Stands) -> bool:
    """Say whether the entry with that number is another now, or is gone."""
    if not told.seq:
        return False
    of = Chain(hub_id=tenant_id, stream=_OFFICE_STREAM, epoch=_OFFICE_EPOCH)
    entry = chains.entry(tx, tenant_id, of, told.seq)
    return entry is None or entry.hash != told.hash


def tell(tx: Transaction, tenant_id: bytes, *, now_ms: int) -> None:
    """Write into the audit where it stands, unless the newest such line says so already."""
    text = stands(tx, tenant_id).text()
    if acts.newest_note(tx, tenant_id, OWN_JOURNAL) != text:
        acts.audit(tx, tenant_id, AuditLine(now_ms, "office", OWN_JOURNAL, tenant_id, text))
