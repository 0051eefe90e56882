"""An office's receive keys in its folder: the next one is made, and one that is not needed any more goes.

The order is what makes it safe to be killed anywhere: a key is durable before the file names it, and named no more
before it is removed. What the file does not name was never told to anybody and is written over.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cloud_sync.identity import (
    IdentityError,
    OfficeKeys,
    load_office,
    read_office_file,
    receive_name,
    write_office_file,
)
from cloud_sync.sealing import new_receive_key, receive_public
from cloud_sync.secret_files import secret_path, sync_folder, write_over


@contextmanager
def changing_keys(folder: Path) -> Iterator[OfficeKeys]:
    """Have the folder's keys for oneself; IdentityError where another process is changing them."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield load_office(folder)
    except BlockingIOError as error:
        message = f"{folder}: another command is changing the keys; try again when it has ended"
        raise IdentityError(message) from error
    finally:
        os.close(number)


def add_receive_key(keys: OfficeKeys) -> OfficeKeys:
    """Make the key that is used from now on; the others still open. IdentityError where it cannot be written."""
    assert keys.folder is not None, "keys of a folder"
    public = read_office_file(keys.folder)
    number = max(public.numbers) + 1
    write_over(secret_path(keys.folder, receive_name(number)), new_receive_key())
    numbers = (number, *public.numbers)
    write_office_file(msgspec.structs.replace(public, receive_keys=len(numbers), receive=numbers), keys.folder)
    return load_office(keys.folder)


def drop_receive_key(keys: OfficeKeys, public_key: bytes) -> OfficeKeys:
    """Forget a key: what was sealed to it opens no more. The one in use stays (ValueError)."""
    assert keys.folder is not None, "keys of a folder"
    if public_key == keys.receive_public:
        message = "the receive key in use cannot be dropped"
        raise ValueError(message)
    public = read_office_file(keys.folder)
    of_number = zip(public.numbers, keys.receive_privates, strict=True)
    going = [number for number, private in of_number if receive_public(private) == public_key]
    numbers = tuple(number for number in public.numbers if number not in going)
    write_office_file(msgspec.structs.replace(public, receive_keys=len(numbers), receive=numbers), keys.folder)
    for number in going:
        secret_path(keys.folder, receive_name(number)).unlink(missing_ok=True)
    sync_folder(keys.folder)
    return load_office(keys.folder)
