"""Files of a fixed size, made whole or not at all: a log that has its place cannot meet a full disk in mid-coin."""

import fcntl
import os
from pathlib import Path


class LogFileError(Exception):
    """A log file cannot be used; the text names it and the remedy."""


def open_preallocated(path: Path, *, size_bytes: int) -> int:
    """Return a locked descriptor of a file with at least `size_bytes`; a new or shortened one is filled with zeros."""
    try:
        if not path.exists():
            _create(path, size_bytes)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        message = (
            f"{path}: cannot be made or opened ({error.strerror}). Check the disk, the folder's owner and its mode."
        )
        raise LogFileError(message) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        os.close(descriptor)
        message = f"{path}: there is no room for {size_bytes} bytes ({error.strerror}). Free some of the disk."
        if isinstance(error, BlockingIOError):
            message = f"{path}: is used by another bridge. Stop that one, or give this one its own state_dir."
        raise LogFileError(message) from error
    return descriptor


def read_at(descriptor: int, *, offset: int, length: int) -> bytes:
    """Return `length` bytes from `offset`, fewer only at the file's end."""
    parts = bytearray()
    while len(parts) < length and (part := os.pread(descriptor, length - len(parts), offset + len(parts))):
        parts += part
    return bytes(parts)


def write_at(descriptor: int, data: bytes, *, offset: int) -> None:
    """Write all of `data` at `offset`; OSError where the disk does not take it."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)


def _create(path: Path, size_bytes: int) -> None:
    """Write zeros beside the path and move them there, so that no half file is ever seen under its name."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_at(descriptor, bytes(size_bytes), offset=0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
