"""Two ends of a pipe in memory, for tests and for devices that live in the same event loop."""

import asyncio
from typing import Final

from firmware_bridge.transports.interface import TransportClosedError

PIPE_LIMIT_BYTES: Final = 65_536
"""Unread bytes one direction keeps; a write beyond waits until the other end has read."""


class _Channel:
    """One direction: bytes written and not yet read."""

    def __init__(self) -> None:
        self.pending = bytearray()
        self.closed = False
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Wake whoever waits in `next_change`."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def next_change(self) -> None:
        """Wait until bytes came, were read, or the pipe closed."""
        await self._changed.wait()


class MemoryPipe:
    """One end; a `BytePipe`. What is written here is read at the other end."""

    def __init__(self, incoming: _Channel, outgoing: _Channel) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def read(self) -> bytes:
        """Return all bytes that have arrived, at least one; TransportClosedError where either end is closed."""
        while not self._incoming.pending:
            _refuse_closed(self._incoming)
            await self._incoming.next_change()
        data = bytes(self._incoming.pending)
        self._incoming.pending.clear()
        self._incoming.changed()
        return data

    async def write(self, data: bytes) -> None:
        """Put bytes where the other end reads them; TransportClosedError where either end is closed."""
        _refuse_closed(self._outgoing)
        while len(self._outgoing.pending) >= PIPE_LIMIT_BYTES:
            await self._outgoing.next_change()
            _refuse_closed(self._outgoing)
        self._outgoing.pending += data
        self._outgoing.changed()

    def close(self) -> None:
        """Close both ends; what has arrived can still be read. A second call does nothing."""
        for channel in (self._incoming, self._outgoing):
            channel.closed = True
            channel.changed()


def memory_pipes() -> tuple[MemoryPipe, MemoryPipe]:
    """Return two connected ends."""
    there, back = _Channel(), _Channel()
    return MemoryPipe(there, back), MemoryPipe(back, there)


def _refuse_closed(channel: _Channel) -> None:
    if channel.closed:
        message = "memory pipe: closed"
        raise TransportClosedError(message)
