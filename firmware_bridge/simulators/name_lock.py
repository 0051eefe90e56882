"""A path that one running simulator has for itself: a lock file beside it, held for the life of the process."""

import fcntl
import os
from pathlib import Path
from typing import Final


class NameLock:
    """Holds `.NAME.lock` beside a path. Whoever is killed lets go of it: the file that is left behind is free."""

    def __init__(self, path: Path) -> None:
        """Take the name; OSError says who has it, or why it cannot be had."""
        self._path: Final = path
        self._lock: Final = path.with_name(f".{path.name}.lock")
        self._fd = self._taken()

    def release(self) -> None:
        """Let go of the name."""
        self._lock.unlink(missing_ok=True)  # before it is let go of: nobody may hold a file without a name
        os.close(self._fd)

    def _taken(self) -> int:
        while True:
            number = self._opened()
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(number)
                message = f"{self._path}: a running simulator has this path: choose another, or end that one first"
                raise BlockingIOError(message) from error
            if self._is_there(number):
                return number
            os.close(number)  # its owner removed it between our open and our lock

    def _opened(self) -> int:
        try:
            return os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            why = error.strerror
            message = f"{self._path}: cannot be made ({why}): choose a path in a folder that is there and writable"
            raise OSError(message) from error

    def _is_there(self, number: int) -> bool:
        try:
            return os.path.samestat(os.fstat(number), self._lock.stat())
        except FileNotFoundError:
            return False
