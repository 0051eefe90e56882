"""The ballast: disk space put aside beside the ledger, thrown overboard when the disk is full.

What it leaves is for the results of commands under way; while it is gone the hub takes no new money.
"""

import os
from pathlib import Path
from typing import Final

from edge_agent.ledger.health import free_bytes

BALLAST_BYTES: Final = 1024 * 1024
"""Room for the results of two hundred lanes: a step of one result writes at most six kilobytes."""
MARGIN_BYTES: Final = 512 * 1024
"""What must be free beside a ballast that is made again, or the next sale would throw it overboard at once."""


class Ballast:
    """One preallocated file of `size` bytes."""

    def __init__(self, path: Path, *, size: int = BALLAST_BYTES) -> None:
        self._path = path
        self._size = size

    @property
    def held(self) -> bool:
        """Say whether the space is there, on the disk and not only in the file's name."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return found.st_size == self._size and found.st_blocks * 512 >= self._size

    def hold(self, *, margin: int = MARGIN_BYTES) -> bool:
        """Put the space aside where there is enough of it, and `margin` besides; say whether it is there now."""
        if self.held:
            return True
        try:
            if free_bytes(self._path) < self._size + margin:
                return False
            self._allocate()
        except OSError:
            self.release()
        return self.held

    @property
    def is_clear(self) -> bool:
        """Say whether it is held, and what a ledger needs beside it is free."""
        try:
            return self.held and free_bytes(self._path) >= MARGIN_BYTES
        except OSError:
            return False

    def _allocate(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size)
            os.fsync(file)
        finally:
            os.close(file)

    def release(self) -> None:
        """Give the space to the ledger; a disk that does not even let go of a file changes nothing."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return
