"""Files that only their owner may read: written whole and durably, refused where others could read them."""

import os
from pathlib import Path
from typing import Final

_FILE_MODE: Final = 0o600
_KEY_BYTES: Final = 32


class IdentityError(Exception):
    """An identity folder is missing, incomplete or not what it should be; the text names the file and the remedy."""


def secret_path(folder: Path, name: str) -> Path:
    """Return where a secret of this name lies."""
    return folder / f"{name}.key"


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; IdentityError where it exists already."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror}); choose an empty folder, keys are never overwritten"
        raise IdentityError(message) from error
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_over(path: Path, content: bytes) -> None:
    """Replace a file that only its owner may read, durably, whole or not at all; IdentityError where that fails."""
    new = path.with_name(f"{path.name}.new")
    try:
        number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror}); free space on the disk and try again"
        raise IdentityError(message) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def read_secret(folder: Path, name: str) -> bytes:
    """Return a secret of 32 bytes; IdentityError where it is missing, of another length, or readable by others."""
    path = secret_path(folder, name)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); is this the identity folder, and are we its owner?"
        raise IdentityError(message) from error
    if mode & 0o077:
        message = f"{path}: others may read this key; chmod 600 it, and enroll anew if this machine has other users"
        raise IdentityError(message)
    if len(secret) != _KEY_BYTES:
        message = f"{path}: a key has {_KEY_BYTES} bytes, this file has {len(secret)}; enroll the hub anew"
        raise IdentityError(message)
    return secret
