"""A USB device that types, as a pipe of the kernel's input events: the one door to evdev.

The library finds, opens and grabs the device; what it says is read as bytes and understood by wire/hid_keys.py, so that
a simulator on a pseudo-terminal is the same to us as a device. evdev is an extra of its own (`pip install
venuehub[hid]`): it is built where it is installed and needs a C compiler and the kernel's headers.
"""

import asyncio
import contextlib
import errno
import os
import stat
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware_bridge.transports.interface import TransportClosedError, TransportError

READ_LIMIT_BYTES: Final = 4_096
_PTY_MAJORS: Final = range(136, 144)
"""What the kernel numbers pseudo-terminals by: there is a simulator behind one, and nothing to grab."""
_REMEDIES: Final = {
    errno.ENOENT: "no such device: is it plugged in, and is the path right?",
    errno.ENODEV: "no such device: is it plugged in?",
    errno.EACCES: "no permission: put this user in the group input (usermod -aG input USER), then log in again",
    errno.EBUSY: "busy: another program has grabbed it",
    errno.ENOTTY: "not an input device: name one below /dev/input/by-id/",
    errno.EISDIR: "not an input device: name one below /dev/input/by-id/",
}


class InputEvents:
    """Reads an open descriptor of input events. Made inside a running event loop; it closes with `on_close`."""

    def __init__(self, fd: int, path: str, on_close: Callable[[], None]) -> None:
        self._fd: Final = fd
        self._path: Final = path
        self._on_close: Final = on_close
        self._loop: Final = asyncio.get_running_loop()
        self._closed = False
        os.set_blocking(fd, False)

    async def read(self) -> bytes:
        """Return at least one byte; TransportClosedError where the device is gone."""
        if self._closed:
            raise self._gone("closed here")
        await self._until_readable()
        try:
            data = os.read(self._fd, READ_LIMIT_BYTES)
        except OSError as error:
            raise self._gone(str(error)) from error
        if not data:
            raise self._gone("unplugged")
        return data

    async def write(self, _data: bytes) -> None:
        """Refuse: nothing is said to such a device. TransportError."""
        message = f"{self._path}: takes no bytes"
        raise TransportError(message)

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            self._on_close()

    async def _until_readable(self) -> None:
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._fd, _wake, readable)
        try:
            await readable
        finally:
            if not self._closed:
                self._loop.remove_reader(self._fd)

    def _gone(self, detail: str) -> TransportClosedError:
        return TransportClosedError(f"{self._path}: gone ({detail})")


def open_hid(path: str) -> InputEvents:
    """Open and grab a device, so that what it types lands in no console; TransportError names path and remedy."""
    if _is_pty(path):
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        tty.setraw(fd)
        return InputEvents(fd, path, lambda: os.close(fd))
    try:
        import evdev  # noqa: PLC0415 - an extra: only a bridge with such a device has it
    except ImportError as error:
        message = f"{path}: this release was installed without the extra for USB keys; pip install 'venuehub[hid]'"
        raise TransportError(message) from error
    try:
        device = evdev.InputDevice(path)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        device.grab()
    except OSError as error:
        with contextlib.suppress(OSError):
            device.close()
        raise _cannot(path, error) from error
    return InputEvents(device.fd, path, device.close)


def _is_pty(path: str) -> bool:
    try:
        found = Path(path).stat()
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in _PTY_MAJORS


def _cannot(path: str, error: OSError) -> TransportError:
    return TransportError(f"{path}: {_REMEDIES.get(error.errno or 0, f'cannot be opened: {error}')}")


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
