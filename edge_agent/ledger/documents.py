"""Documents in force, every version that entries refer to, and versions that wait for their moment.

The archive holds all of them; one with a higher version than the one in force waits until `effective_ms`.
"""

from typing import Final

import msgspec

from edge_agent.ledger import office_facts
from edge_agent.ledger.store import Reads, Store

ARCHIVE_KEPT: Final = 256
"""Versions of one document; entries stay 30 days after their receipt, and nobody changes prices eight times a day."""
_WAITING: Final = (
    "SELECT a.name, a.version, a.effective_ms, a.content FROM document_archive a LEFT JOIN documents d "
    "ON d.name = a.name WHERE a.version > coalesce(d.version, -1) ORDER BY a.name, a.version"
)


class Waiting(msgspec.Struct, frozen=True):
    """A version that is not in force yet. effective_ms: from when on it counts (UTC ms)."""

    name: str
    version: int
    effective_ms: int
    content: bytes


def waiting(store: Store) -> list[Waiting]:
    """Return the versions that wait for their moment, by name and version."""
    return [Waiting(*row) for row in store.rows(_WAITING)]


def newest_version(store: Store, name: str) -> int | None:
    """Return the newest version had, in force or waiting, or None before the first."""
    sql = "SELECT max(version) FROM (SELECT version FROM documents WHERE name = ? UNION ALL {})"
    rows = store.rows(sql.format("SELECT version FROM document_archive WHERE name = ?"), (name, name))
    return rows[0][0] if rows else None


def archived(store: Reads, name: str, version: int) -> bytes | None:
    """Return the content of one version, or None where it is not kept."""
    rows = store.rows("SELECT content FROM document_archive WHERE name = ? AND version = ?", (name, version))
    return bytes(rows[0][0]) if rows else None


def keep_waiting(store: Store, document: Waiting) -> None:
    """Keep a version until its moment. Those before it that would come later than it never come."""
    store.execute(
        "DELETE FROM document_archive WHERE name = ? AND version < ? AND effective_ms >= ? "
        "AND version > coalesce((SELECT version FROM documents WHERE name = ?), -1)",
        (document.name, document.version, document.effective_ms, document.name),
    )
    _archive(store, document)


def put_in_force(store: Store, document: Waiting) -> None:
    """Make a version the one in force; older ones that still waited for their moment never come."""
    store.execute(
        "DELETE FROM document_archive WHERE name = ? AND version < ? "
        "AND version > coalesce((SELECT version FROM documents WHERE name = ?), -1)",
        (document.name, document.version, document.name),
    )
    office_facts.take_document(store, document.name, document.version, document.content)
    _archive(store, document)
    store.execute(
        "DELETE FROM document_archive WHERE name = ? AND version <= (SELECT version FROM document_archive "
        "WHERE name = ? AND version <= ? ORDER BY version DESC LIMIT 1 OFFSET ?)",
        (document.name, document.name, document.version, ARCHIVE_KEPT),
    )


def drop(store: Store, document: Waiting) -> None:
    """Forget a version that waited and cannot be read any more."""
    store.execute("DELETE FROM document_archive WHERE name = ? AND version = ?", (document.name, document.version))


def _archive(store: Store, document: Waiting) -> None:
    store.execute(
        "INSERT INTO document_archive(name, version, effective_ms, content) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (document.name, document.version, document.effective_ms, document.content),
    )
