"""What every transport promises."""

from typing import Protocol

import msgspec


class TransportError(Exception):
    """The pipe could not be opened; the text names the place and the remedy."""


class TransportClosedError(TransportError):
    """The pipe is gone: unplugged, closed by the other side, or the device node vanished."""


class BytePipe(Protocol):
    """A pipe of bytes, opened."""

    async def read(self) -> bytes:
        """Return at least one byte; TransportClosedError where the other side is gone."""

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the kernel; TransportClosedError where the other side is gone."""

    def close(self) -> None:
        """Close it; a second call does nothing."""


class Edge(msgspec.Struct, frozen=True):
    """A change on an input line, with the kernel's (or the simulator's) time in nanoseconds of CLOCK_MONOTONIC."""

    line: str
    active: bool
    at_ns: int


class LinePipe(Protocol):
    """A few digital lines, named by the site file."""

    async def set(self, line: str, *, active: bool) -> None:
        """Drive an output; returns when the level is on the wire."""

    async def edge(self) -> Edge:
        """Return the next change of any input."""

    def close(self) -> None:
        """Release all lines in their idle level; a second call does nothing."""
