"""A checksum for every page of the database file, kept beside it: what a disk changes by itself is found.

SQLite checks its WAL but not the database file. Pages reach that file in a checkpoint only, so the checksums of what a
checkpoint will copy are on the disk before it begins. A page that differs from its checksum is then either in the WAL
still, which is newer, or damaged. Nobody but the hub may write the file: a foreign checkpoint looks like damage.

`<ledger>.sums`: slot n, four bytes, is page n's; 0 where it is not known yet. Slot 0 is the file's mark.
"""

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SLOT_BYTES: Final = 4
MARK: Final = b"VHS1"
WAL_HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
_INDEX: Final = struct.Struct("=I12xI76xI")
"""The head of SQLite's wal-index: its version, how many frames of the WAL are valid, and how many of them the database
file has already (sqlite.org/walformat.html)."""
_INDEX_VERSION: Final = 3_007_000


class PageSums:
    """The checksums of one database file with pages of `page_bytes`. Methods may be called from any thread."""

    def __init__(self, database: Path, *, page_bytes: int) -> None:
        self._database = database
        self._page_bytes = page_bytes
        self._path = database.with_name(database.name + ".sums")
        self._lock = threading.Lock()
        self._held = _Held()

    def close(self) -> None:
        """Let go of the files; only once SQLite has closed them."""
        with self._lock:
            self._held.close()

    @contextmanager
    def checkpoint(self) -> Iterator[None]:
        """Surround a checkpoint: what it will copy is summed, and that is durable, before it begins."""
        with self._lock:
            newest = self._pages_in_wal()
            if newest:
                self._write({page: _sum(page, content) for page, content in newest.items()}, durable=True)
            yield

    @property
    def pages(self) -> int:
        """How many pages the file has, or should have."""
        slots = self._path.stat().st_size // SLOT_BYTES - 1 if self._path.exists() else 0
        return max(slots, -(-self._database.stat().st_size // self._page_bytes))

    def damaged(self, first: int, count: int) -> list[int]:
        """Return which of `count` pages from `first` (1 is the first) are not what was written; learn unknown ones."""
        with self._lock:
            sums = self._read(first, count)
            found = self._read_pages(first, count)
            suspects = {page for page, known in sums.items() if known and known != found.get(page)}
            unknown = {page: found[page] for page, known in sums.items() if not known and page in found}
            if not suspects and not unknown:
                return []
            waiting = self._pages_in_wal()
            learned = {page: value for page, value in unknown.items() if page not in waiting}
            if learned:
                self._write(learned, durable=False)
            return sorted(suspects - set(waiting))

    def _read(self, first: int, count: int) -> dict[int, int]:
        raw = self._held.read_at(self._path, first * SLOT_BYTES, count * SLOT_BYTES)
        raw += bytes(count * SLOT_BYTES - len(raw))
        return {first + place: value for place, value in enumerate(struct.unpack(f">{count}I", raw))}

    def _read_pages(self, first: int, count: int) -> dict[int, int]:
        size = self._page_bytes
        raw = self._held.read_at(self._database, (first - 1) * size, count * size)
        whole = range(len(raw) // size)
        return {first + place: _sum(first + place, raw[place * size : (place + 1) * size]) for place in whole}

    def _write(self, sums: dict[int, int], *, durable: bool) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, MARK, 0)
            for page, value in sums.items():
                os.pwrite(file, value.to_bytes(SLOT_BYTES, "big"), page * SLOT_BYTES)
            if durable:
                os.fsync(file)
        finally:
            os.close(file)

    def _pages_in_wal(self) -> dict[int, bytes]:
        """Return the newest content of every page that has a committed frame which no checkpoint has copied yet."""
        index = self._held.read_at(self._database.with_name(self._database.name + "-shm"), 0, _INDEX.size)
        version, frames, copied = _INDEX.unpack(index) if len(index) == _INDEX.size else (0, 0, 0)
        if version != _INDEX_VERSION or frames <= copied:
            return {}
        frame_bytes = FRAME_HEADER_BYTES + self._page_bytes
        start, count = WAL_HEADER_BYTES + copied * frame_bytes, (frames - copied) * frame_bytes
        wal = self._held.read_at(self._database.with_name(self._database.name + "-wal"), start, count)
        pages = {}
        for start in range(0, len(wal) - frame_bytes + 1, frame_bytes):
            content = start + FRAME_HEADER_BYTES
            pages[int.from_bytes(wal[start : start + 4], "big")] = wal[content : content + self._page_bytes]
        return pages


def _sum(page: int, content: bytes) -> int:
    """Return a page's checksum, never 0; its number is in it, so that two swapped pages are found."""
    return zlib.crc32(content, page) or 1


class _Held:
    """Files that SQLite has open too, open from the first look until the ledger is closed.

    Closing any descriptor of such a file drops all locks this process has on it, SQLite's too (section 2.2 of
    sqlite.org/howtocorrupt.html): another process would then take itself for the only one, and truncate the wal-index
    or delete the WAL under us.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[Path, int], int] = {}

    def read_at(self, path: Path, offset: int, count: int) -> bytes:
        """Return up to `count` bytes; none where there is no such file."""
        try:
            key = path, path.stat().st_ino
            if key not in self._files:
                self._files[key] = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        return os.pread(self._files[key], count, offset)

    def close(self) -> None:
        """Close them all."""
        while self._files:
            os.close(self._files.popitem()[1])
