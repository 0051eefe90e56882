"""A file that is not what was written to it is moved aside, whole and with everything beside it; never unlinked."""

import os
from pathlib import Path
from typing import Final

QUARANTINE: Final = "quarantine"


def files_of(path: Path) -> list[Path]:
    """Return a database's file and all that lie beside it under its name, in a fixed order, itself last.

    Itself last: while it is still in its place, a move that was cut off is seen to be unfinished.
    """
    beside = sorted(path.parent.glob(f"{path.name}[.-]*"))
    return [*beside, *([path] if path.exists() else [])]


def move_aside(path: Path, into: Path) -> list[Path]:
    """Move a database with all its files into the folder `into`, made anew; return where they lie now.

    Durable when it returns. FileExistsError where a file of that name is there already: nothing is written over.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    moved = []
    for file in files_of(path):
        target = into / file.name
        if target.exists():
            message = f"{target}: is there already; nothing was moved over it"
            raise FileExistsError(message)
        file.rename(target)
        moved.append(target)
    for folder in (into, into.parent, path.parent):
        sync_folder(folder)
    return moved


def sync_folder(folder: Path) -> None:
    """Make durable what was renamed or made in a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
