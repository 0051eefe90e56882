"""A file that is not what was written to it is moved aside, whole and with everything beside it; never unlinked."""

import os
from pathlib import Path
from typing import Final

QUARANTINE: Final = "quarantine"
BALLAST_SUFFIX: Final = ".ballast"
"""Space put aside is no part of what is kept."""


def files_of(path: Path) -> list[Path]:
    """Return a database's file and all that lie beside it under its name, in a fixed order, itself last."""
    beside = [file for ending in (".*", "-*") for file in path.parent.glob(path.name + ending)]
    kept = sorted(file for file in beside if file.suffix != BALLAST_SUFFIX)
    return [*kept, *([path] if path.exists() else [])]


def move_aside(path: Path, into: Path) -> None:
    """Move a database with all its files into the folder `into`; cut off, the rest is moved by doing it again.

    Durable when it returns. FileExistsError where a file of that name is there already: nothing is written over.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in files_of(path):
        target = into.joinpath(file.name)
        if target.exists():
            message = f"{target}: is there already; nothing was moved over it"
            raise FileExistsError(message)
        file.rename(target)
    for folder in (into, into.parent, into.parent.parent, path.parent):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make durable what was renamed or made in a folder."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make durable what was written to a file."""
    _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
