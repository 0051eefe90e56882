"""The proof of the audit: its chain is followed line by line, and compared with what the operator keeps outside.

A chain alone finds a line that was changed, taken out or put in. Whoever writes it anew from that line on, or cuts its
end off, is found by an anchor: number and hash of the newest line of some day, kept where the office cannot write.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from back_office.ledger import own_journal
from back_office.ledger.own_journal import Stands
from back_office.store import acts
from back_office.store.engine import Transaction

_ANCHOR: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d{1,15}) ([0-9a-f]{64})(?: (\d{1,15}) ([0-9a-f]{64}))?")
_CLOSED: Final = "close_date"
"""As in closing.py, which writes it."""
_OWN: Final = "the office's own entry"
_LONGEST_FILE: Final = 100_000
"""Lines of an anchor file that are read: more than two hundred years of days."""


class AnchorFileError(Exception):
    """A line of an anchor file is no anchor."""


class Anchor(msgspec.Struct, frozen=True):
    """What is kept outside: on `day` the newest line had this number and this hash. own: where the office's own journal
    stood; one of a release before says nothing of it.
    """  # noqa: D205 - one sentence

    day: str
    number: int
    hash: bytes
    own: Stands = Stands()

    def text(self) -> str:
        """Return the anchor's line, as `read_anchors` takes it: `2026-11-22 57 9f… 812 4c…`."""
        return f"{self.day} {self.number} {self.hash.hex()} {self.own.seq} {self.own.hash.hex()}"


class AuditProof(msgspec.Struct, kw_only=True):
    """What was found. first_bad: the number of the first line that is wrong, `reason` says how; head: the newest."""

    ok: bool = True
    lines: int = 0
    head: int = 0
    hash: str = ""
    anchors: int = 0
    first_bad: int | None = None
    reason: str = ""


def read_anchors(lines: Iterable[str]) -> list[Anchor]:
    """Read an anchor file: one line a day, empty lines passed over; AnchorFileError names the first that is none."""
    anchors = []
    for at, line in enumerate(lines, 1):
        if at > _LONGEST_FILE:
            message = f"it has more than {_LONGEST_FILE} lines; name the file that `office audit anchor` wrote"
            raise AnchorFileError(message)
        if not line.strip():
            continue
        found = _ANCHOR.fullmatch(line.strip())
        if found is None:
            message = f"line {at} is no anchor; a line is a day, a number and 64 hex digits: 2026-11-22 57 9f…"
            raise AnchorFileError(message)
        own = Stands(int(found[4]), bytes.fromhex(found[5])) if found[4] else Stands()
        anchors.append(Anchor(found[1], int(found[2]), bytes.fromhex(found[3]), own))
    return anchors


def newest_anchor(tx: Transaction, tenant_id: bytes, *, day: str) -> Anchor:
    """Return what is to be kept outside of today's audit."""
    return Anchor(day, *acts.audit_end(tx, tenant_id), own_journal.stands(tx, tenant_id))


def prove_audit(tx: Transaction, tenant_id: bytes, anchors: Sequence[Anchor] = ()) -> AuditProof:
    """Follow the audit's chain and compare it with the anchors; the first line that is wrong is named."""
    proof = AuditProof(anchors=len(anchors))
    kept = {anchor.number: anchor for anchor in reversed(anchors)}  # of several, the oldest word counts
    number, tail = 0, acts.AUDIT_START
    _anchored(proof, kept, number, tail)
    for row in acts.audit_chain(tx, tenant_id):
        if row.number != number + 1:
            _bad(proof, number + 1, f"it is missing: line {number} is followed by line {row.number}")
        elif row.prev_hash != tail:
            _bad(proof, row.number, "it does not continue the line before it")
        elif row.hash != acts.audit_hash(tenant_id, row.number, row.prev_hash, row.line):
            _bad(proof, row.number, "it is not what its hash says")
        number, tail = row.number, row.hash
        proof.lines += 1
        told = own_journal.told_in(row.line, closed=_CLOSED)
        if told is not None and own_journal.has_changed(tx, tenant_id, told):
            _bad(proof, row.number, f"{_OWN} {told.seq} is another now, or gone: it, or one before it, was rewritten")
        _anchored(proof, kept, number, tail)
    proof.head, proof.hash = number, tail.hex()
    for anchor in sorted(anchors, key=lambda one: one.number):
        if anchor.number > number:
            _bad(proof, number + 1, f"it is missing: the audit ends at {number}, the anchor of {anchor.day} says more")
        if own_journal.has_changed(tx, tenant_id, anchor.own):
            _bad(proof, anchor.number, f"{_OWN} {anchor.own.seq} is not what the anchor of {anchor.day} says")
    _conflicting(proof, anchors)
    return proof


def _anchored(proof: AuditProof, kept: dict[int, Anchor], number: int, link: bytes) -> None:
    anchor = kept.get(number)
    if anchor is not None and anchor.hash != link:
        _bad(proof, number, f"the anchor of {anchor.day} has another hash: it, or a line before it, was rewritten")


def _conflicting(proof: AuditProof, anchors: Sequence[Anchor]) -> None:
    said: dict[int, Anchor] = {}
    for anchor in anchors:
        first = said.setdefault(anchor.number, anchor)
        if first.hash != anchor.hash:
            _bad(proof, anchor.number, f"the anchors of {first.day} and of {anchor.day} do not agree about it")


def _bad(proof: AuditProof, number: int, reason: str) -> None:
    proof.ok = False
    if proof.first_bad is None or number < proof.first_bad:
        proof.first_bad, proof.reason = number, reason
