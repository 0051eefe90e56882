"""An internet of one's own: a TCP relay that can be pulled out and plugged in again, or go quiet without a word."""

import asyncio
import contextlib
from collections.abc import Callable

CHUNK_BYTES = 65_536


class Relay:
    """Listens on loopback and forwards to `target_port` while it is plugged in. `bytes_up`: so many went there."""

    def __init__(self, target_port: int) -> None:
        self.bytes_up = 0
        self._target_port = target_port
        self._is_cut = False
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()

    @property
    def port(self) -> int:
        """Where whoever wants to get there connects."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def pull(self) -> None:
        """Pull the plug: open connections are reset, new ones get nowhere."""
        self._is_cut = True
        for pair in list(self._pairs):
            pair.reset()

    def plug(self) -> None:
        """Plug it in again."""
        self._is_cut = False

    def go_quiet(self) -> None:
        """Pass nothing more on what is open now, in either direction, and say nothing; new connections get through."""
        for pair in self._pairs:
            pair.is_quiet = True

    async def stop(self) -> None:
        """Close everything."""
        self.pull()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(pair.copy(reader, far_writer, self._count), pair.copy(far_reader, writer))
        finally:
            self._pairs.discard(pair)
            if pair.is_quiet:
                pair.reset()

    def _count(self, size: int) -> None:
        self.bytes_up += size


class _Pair:
    """One connection and its other half."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.is_quiet = False
        self._writers = writers

    def reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], object] = int
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if not self.is_quiet:
                    count(len(data))
                    writer.write(data)
                    await writer.drain()
        if not self.is_quiet:  # what is quiet does not even say that the other side has hung up
            writer.close()
