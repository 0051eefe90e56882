"""What staff did at the office: acts that are done once, the audit's lines, and the versions of the terms.

The audit is a hash chain: whoever changes, takes out or puts in a line has to write every later one anew, and what an
operator keeps of it outside (`office audit anchor`) tells even that.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import ACTS, AUDIT, TERMS
from back_office.store.transaction import insert_into


class Act(msgspec.Struct, frozen=True):
    """One act of the desk, named by who asked for it; `content` is a digest of all it said."""

    kind: str
    act_id: bytes
    content: bytes
    office_seq: int
    at_ms: int


class AuditLine(msgspec.Struct, frozen=True):
    """Who did what about whom, and why."""

    at_ms: int
    who: str
    what: str
    subject_id: bytes
    note: str


class ChainedLine(msgspec.Struct, frozen=True):
    """A line of the audit with its place in the chain."""

    number: int
    line: AuditLine
    prev_hash: bytes
    hash: bytes


class Terms(msgspec.Struct, frozen=True):
    """One version of the terms of top-ups; `body` is their JSON."""

    version: int
    body: bytes
    created_ms: int


# Statements are built once: building one takes four times as long as running it.
_NEWEST_TERMS = (
    sa.select(*(TERMS.c[name] for name in Terms.__struct_fields__))
    .where(TERMS.c.tenant_id == sa.bindparam("tenant"))
    .order_by(TERMS.c.version.desc())
    .limit(1)
)
_ANY_ACT = (
    sa.select(ACTS.c.act_id)
    .where(ACTS.c.tenant_id == sa.bindparam("tenant"), ACTS.c.kind == sa.bindparam("kind"))
    .limit(1)
)
_TOP_AUDIT = sa.select(sa.func.max(AUDIT.c.audit_no)).where(AUDIT.c.tenant_id == sa.bindparam("tenant"))
_AUDIT_END = (
    sa.select(AUDIT.c.audit_no, AUDIT.c.hash)
    .where(AUDIT.c.tenant_id == sa.bindparam("tenant"))
    .order_by(AUDIT.c.audit_no.desc())
    .limit(1)
)
_AUDIT_CHAIN = (
    sa.select(
        AUDIT.c.audit_no, AUDIT.c.prev_hash, AUDIT.c.hash, *(AUDIT.c[name] for name in AuditLine.__struct_fields__)
    )
    .where(AUDIT.c.tenant_id == sa.bindparam("tenant"))
    .order_by(AUDIT.c.audit_no)
)
AUDIT_START: Final = bytes(32)
"""What the first line of the audit continues."""
_AUDIT_BEGINNING: Final = b"venuehub/audit/v1\0"


def audit_hash(tenant_id: bytes, number: int, prev_hash: bytes, line: AuditLine) -> bytes:
    """Return the hash of a line: SHA-256 over the beginning, the last line's hash, and MessagePack of the line.

    That is `[tenant_id, number, at_ms, who, what, subject_id, note]`: ids as bin, numbers as int, texts as str.
    """
    said = msgspec.msgpack.encode([tenant_id, number, *msgspec.structs.astuple(line)])
    return sha256(_AUDIT_BEGINNING + prev_hash + said).digest()


def act(tx: Transaction, tenant_id: bytes, kind: str, act_id: bytes) -> Act | None:
    """Return an act that was done under this id."""
    query = sa.select(ACTS).where(ACTS.c.tenant_id == tenant_id, ACTS.c.kind == kind, ACTS.c.act_id == act_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else Act(**{name: row[name] for name in Act.__struct_fields__})


def any_act(tx: Transaction, tenant_id: bytes, kind: str) -> bool:
    """Say whether there is any act of a kind."""
    return tx.execute(_ANY_ACT, {"tenant": tenant_id, "kind": kind}).first() is not None


def acts(tx: Transaction, tenant_id: bytes, kind: str) -> list[Act]:
    """Return every act of a kind."""
    query = sa.select(ACTS).where(ACTS.c.tenant_id == tenant_id, ACTS.c.kind == kind).order_by(ACTS.c.office_seq)
    return [Act(**{name: row[name] for name in Act.__struct_fields__}) for row in tx.execute(query).mappings()]


def acts_beginning(tx: Transaction, tenant_id: bytes, kind: str, name: bytes) -> list[Act]:
    """Return every act of a kind whose id begins with `name`."""
    query = sa.select(ACTS).where(
        ACTS.c.tenant_id == tenant_id, ACTS.c.kind == kind, ACTS.c.act_id >= name,
        ACTS.c.act_id < name + b"\xff" * 9,
    )  # fmt: skip
    return [Act(**{field: row[field] for field in Act.__struct_fields__}) for row in tx.execute(query).mappings()]


def add_act(tx: Transaction, tenant_id: bytes, done: Act) -> None:
    """Write an act down; the primary key refuses the same id twice."""
    tx.execute(insert_into(ACTS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(done)}])


def audit(tx: Transaction, tenant_id: bytes, line: AuditLine) -> None:
    """Write a line of the audit, in the transaction of what it tells of, at the end of the chain."""
    number, prev_hash = audit_end(tx, tenant_id)
    row = ChainedLine(number + 1, line, prev_hash, audit_hash(tenant_id, number + 1, prev_hash, line))
    place = {"tenant_id": tenant_id, "audit_no": row.number, "prev_hash": row.prev_hash, "hash": row.hash}
    tx.execute(insert_into(AUDIT), [{**place, **msgspec.structs.asdict(line)}])


def audit_end(tx: Transaction, tenant_id: bytes) -> tuple[int, bytes]:
    """Return number and hash of the audit's newest line; 0 and 32 zero bytes before the first."""
    row = tx.execute(_AUDIT_END, {"tenant": tenant_id}).first()
    return (0, AUDIT_START) if row is None else (row[0], row[1])


def audit_chain(tx: Transaction, tenant_id: bytes) -> Iterator[ChainedLine]:
    """Yield every line of the audit in its order, with its place in the chain."""
    for number, prev_hash, link, *line in tx.stream(_AUDIT_CHAIN, {"tenant": tenant_id}):
        yield ChainedLine(number, AuditLine(*line), prev_hash, link)


def newest_note(tx: Transaction, tenant_id: bytes, what: str) -> str | None:
    """Return the note of the newest line that says `what`; None: there is none."""
    query = sa.select(AUDIT.c.note).where(AUDIT.c.tenant_id == tenant_id, AUDIT.c.what == what)
    found: str | None = tx.execute(query.order_by(AUDIT.c.audit_no.desc()).limit(1)).scalar()
    return found


def audit_number(tx: Transaction, tenant_id: bytes) -> int:
    """Return the number of the audit's newest line, 0 before the first."""
    return tx.execute(_TOP_AUDIT, {"tenant": tenant_id}).scalar() or 0


def audit_lines(tx: Transaction, tenant_id: bytes, *, limit: int = 100) -> list[AuditLine]:
    """Return the newest lines of the audit, newest first."""
    columns = [AUDIT.c[name] for name in AuditLine.__struct_fields__]
    query = sa.select(*columns).where(AUDIT.c.tenant_id == tenant_id).order_by(AUDIT.c.audit_no.desc()).limit(limit)
    return [AuditLine(*row) for row in tx.execute(query)]


def newest_terms(tx: Transaction, tenant_id: bytes) -> Terms | None:
    """Return the newest version of the terms."""
    row = tx.execute(_NEWEST_TERMS, {"tenant": tenant_id}).first()
    return None if row is None else Terms(*row)


def add_terms(tx: Transaction, tenant_id: bytes, terms: Terms) -> None:
    """Write a version of the terms down."""
    tx.execute(insert_into(TERMS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(terms)}])
