"""What a hub's health says of its ledger: read beside the till, never written."""

import os
from pathlib import Path

import msgspec

from edge_agent.ledger.outbox import read_cursor
from edge_agent.ledger.store import Reads


class LedgerHealth(msgspec.Struct, frozen=True):
    """`outbox_entries`: entries without a receipt; bytes of the file, of its WAL, and free on their disk."""

    outbox_entries: int
    ledger_bytes: int
    wal_bytes: int
    disk_free: int


def ledger_health(reader: Reads, path: Path) -> LedgerHealth:
    """Look at a ledger and its disk."""
    newest = reader.rows("SELECT max(seq) FROM entries")[0][0] or 0
    acked = read_cursor(reader).seq
    wal = path.with_name(path.name + "-wal")
    return LedgerHealth(max(newest - acked, 0), file_bytes(path), file_bytes(wal), free_bytes(path))


def free_bytes(path: Path) -> int:
    """Return what the disk of a file has left for this program."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


def pruned_through(reader: Reads) -> int:
    """Return the seq up to which entries are pruned."""
    return int(reader.rows("SELECT value FROM meta WHERE key = 'prune_through'")[0][0])


def file_bytes(path: Path) -> int:
    """Return the size of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
