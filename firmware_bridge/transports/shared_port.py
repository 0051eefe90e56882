"""One serial port for several devices on one bus: one owner of the port, and a turn for whoever asks.

A driver sees a `BytePipe` of its own. It takes `turn` before it asks and keeps it until its answer is there. When the
port is gone it is gone for all of them; the last one that lets go closes it.
"""

import asyncio
from pathlib import Path
from typing import Final

from firmware_bridge.transports.interface import BytePipe, TransportClosedError, TransportError
from firmware_bridge.transports.serial_port import open_serial


class _Owner:
    """An open port and how many devices use it."""

    def __init__(self, pipe: BytePipe, *, baud: int) -> None:
        self.pipe: Final = pipe
        self.baud: Final = baud
        self.loop: Final = asyncio.get_running_loop()
        self.turn: Final = asyncio.Lock()
        self.users = 0
        self.gone = False

    def lose(self) -> None:
        """The port is gone: nobody may use it any more, and the next one opens it anew."""
        self.gone = True
        self.pipe.close()


_OWNERS: Final[dict[str, _Owner]] = {}
"""Open ports of this program by their real path; as many as the site file has."""


class SharedPort:
    """One device's end of a port that others use too; a `BytePipe`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner: Final = owner
        self._closed = False
        owner.users += 1

    @property
    def turn(self) -> asyncio.Lock:
        """Held by the device that asks, first come, first served."""
        return self._owner.turn

    async def read(self) -> bytes:
        """Return at least one byte; TransportClosedError where the port is gone."""
        try:
            return await self._owner.pipe.read()
        except TransportClosedError:
            self._owner.lose()
            raise

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the kernel; TransportClosedError where the port is gone."""
        try:
            await self._owner.pipe.write(data)
        except TransportClosedError:
            self._owner.lose()
            raise

    def close(self) -> None:
        """Let go of the port; the last one closes it. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._owner.users -= 1
        if not self._owner.users:
            self._owner.lose()


def share_serial(path: str, *, baud: int, stop_bits: int = 1) -> SharedPort:
    """Open a port, or join the devices of this program that use it; TransportError names the path and the remedy."""
    place = str(Path(path).resolve())
    owner = _OWNERS.get(place)
    if owner is None or owner.gone or owner.loop is not asyncio.get_running_loop():
        owner = _OWNERS[place] = _Owner(open_serial(path, baud=baud, stop_bits=stop_bits), baud=baud)
    if owner.baud != baud:
        message = f"{path}: open at {owner.baud} baud for another device, this one needs {baud}: give it its own port"
        raise TransportError(message)
    return SharedPort(owner)


def turn_of(pipe: BytePipe) -> asyncio.Lock:
    """Return the lock to hold while asking: the bus's, or one of its own where the device has the pipe for itself."""
    return pipe.turn if isinstance(pipe, SharedPort) else asyncio.Lock()
