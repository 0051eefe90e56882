"""A serial port as a pipe of bytes: pyserial opens and configures it, the event loop reads and writes."""

import asyncio
import contextlib
import errno
import os
import termios
from typing import Final

import serial

from firmware_bridge.transports.interface import TransportClosedError, TransportError

READ_LIMIT_BYTES: Final = 4096
"""As much as the kernel keeps for a terminal."""
WRITE_TIMEOUT_S: Final = 2.0
"""A line that takes no byte for this long is gone: 9600 baud moves 1,900 bytes in that time."""

_NO_PERMISSION: Final = (
    "no permission: put this user in the group dialout (usermod -aG dialout USER), then log in again"
)
_BUSY: Final = "busy: another program has it open (fuser -v names it)"
_REMEDIES: Final = {
    errno.ENOENT: "no such device: is it plugged in, and is the path right?",
    errno.ENODEV: "no such device: is it plugged in?",
    errno.ENXIO: "no such device: is it plugged in?",
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EBUSY: _BUSY,
    errno.EAGAIN: _BUSY,
    errno.ENOTTY: "not a serial port",
    errno.EISDIR: "not a serial port",
}


class SerialPort:
    """An open serial port; a `BytePipe`. Made by `open_serial`, inside a running event loop."""

    def __init__(self, port: serial.Serial) -> None:
        self.path: Final = str(port.port)
        self._port = port
        self._fd: Final = port.fileno()
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        os.set_blocking(self._fd, False)

    async def read(self) -> bytes:
        """Return at least one byte; TransportClosedError where the device is gone."""
        self._refuse_if_closed()
        await self._until_ready(reading=True)
        try:
            data = os.read(self._fd, READ_LIMIT_BYTES)
        except OSError as error:
            raise self._gone(str(error)) from error
        if not data:  # a terminal that is readable and empty has been hung up
            detail = "unplugged"
            raise self._gone(detail)
        return data

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the kernel; TransportClosedError where the device is gone or takes nothing for 2 s."""
        self._refuse_if_closed()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._until_writable()
            except OSError as error:
                raise self._gone(str(error)) from error

    def close(self) -> None:
        """Close it; whoever waits gets TransportClosedError. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        for future in self._waiting:
            if not future.done():
                future.set_exception(self._gone("closed here"))
        with contextlib.suppress(OSError, termios.error, serial.SerialException):
            self._port.reset_output_buffer()  # or close() waits up to 30 s for a device that takes nothing
        self._port.close()

    async def _until_writable(self) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._until_ready(reading=False)
        except TimeoutError as error:
            detail = f"takes no bytes for {WRITE_TIMEOUT_S:g} s"
            raise self._gone(detail) from error

    async def _until_ready(self, *, reading: bool) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        watch, unwatch = (
            (self._loop.add_reader, self._loop.remove_reader)
            if reading
            else (self._loop.add_writer, self._loop.remove_writer)
        )
        watch(self._fd, _wake, future)
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)
            if not self._closed:
                unwatch(self._fd)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            detail = "closed here"
            raise self._gone(detail)

    def _gone(self, detail: str) -> TransportClosedError:
        return TransportClosedError(f"{self.path}: gone ({detail})")


def open_serial(path: str, *, baud: int = 9600, stop_bits: int = 1) -> SerialPort:
    """Open `path` for this program alone, 8 data bits without parity; TransportError names the path and the remedy.

    Call it inside a running event loop. DTR and RTS are left where the driver of the port puts them; a pseudo-terminal
    has neither and is welcome.
    """
    try:
        port = serial.Serial(path, baud, stopbits=stop_bits, timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        message = f"{path}: {_remedy(error) or f'cannot be opened at {baud} baud: {error}'}"
        raise TransportError(message) from error
    return SerialPort(port)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _remedy(error: BaseException) -> str | None:
    """Return what to do about the first known error number among the causes: pyserial hides some in its own text."""
    cause: BaseException | None = error
    while cause is not None:
        code = cause.args[0] if cause.args else None
        if code in _REMEDIES:
            return _REMEDIES[code]
        cause = cause.__context__
    return None
