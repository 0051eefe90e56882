"""The mark beside the ledger: how far it has come. A ledger that ends before its mark was set back, or lost its tail.

SQLite takes a damaged WAL for a shorter one and says nothing. The mark is written after each commit and never synced:
it can only say less than the ledger holds, so what it says must be there.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.ledger.entries import Tail, read_tail
from edge_agent.ledger.outbox import read_cursor
from edge_agent.ledger.store import Reads

_BODY: Final = struct.Struct(">4sQQ32s")
_SUM: Final = struct.Struct(">I")
_MAGIC: Final = b"VHM1"


class Mark(msgspec.Struct, frozen=True):
    """The journal's tail, and the newest sealed batch."""

    tail: Tail
    batch_seq: int


class TailMark:
    """One small file, written in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._batch_seq: int | None = None

    def read(self) -> Mark | None:
        """Return what was marked, or None before the first time, and where the mark itself is damaged."""
        return _parsed(os.pread(self._file, _BODY.size + _SUM.size, 0))

    def note(self, store: Reads, *, sealed: bool = True) -> None:
        """Write down how far a ledger has come, all of it committed. `sealed`: there may be a new batch."""
        if sealed or self._batch_seq is None:
            self._batch_seq = newest_batch(store)
        tail = read_tail(store)
        body = _BODY.pack(_MAGIC, tail.seq, self._batch_seq, tail.hash)
        os.pwrite(self._file, body + _SUM.pack(zlib.crc32(body)), 0)

    def missing(self, store: Reads) -> str:
        """Return what the ledger once had and no longer has, in words; empty where nothing is missing."""
        mark = self.read()
        if mark is None:
            return ""
        tail = read_tail(store)
        if tail.seq < mark.tail.seq:
            return f"the journal ends at entry {tail.seq}, and had {mark.tail.seq} once"
        at = store.rows("SELECT hash FROM entries WHERE seq = ?", (mark.tail.seq,))
        if mark.tail.seq and at != [(mark.tail.hash,)]:
            return f"journal entry {mark.tail.seq} is another one than was written"
        if newest_batch(store) < mark.batch_seq:
            return f"the sealed batch {mark.batch_seq} is gone"
        return ""

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_mark(ledger: Path) -> Mark | None:
    """Return what is marked beside a ledger file, which is only read; None where no mark is, or a damaged one."""
    try:
        return _parsed(ledger.with_name(f"{ledger.name}.mark").read_bytes())
    except OSError:
        return None


def _parsed(raw: bytes) -> Mark | None:
    body, check = raw[: _BODY.size], raw[_BODY.size :]
    if len(check) != _SUM.size or _SUM.unpack(check)[0] != zlib.crc32(body):
        return None
    magic, seq, batch_seq, link = _BODY.unpack(body)
    return Mark(Tail(seq, link), batch_seq) if magic == _MAGIC else None


def newest_batch(store: Reads) -> int:
    """Return the number of the newest batch ever sealed; 0 before the first."""
    waiting = store.rows("SELECT max(batch_seq) FROM batches")[0][0]
    return int(waiting or read_cursor(store).batch_seq)
