"""The demo's internet: a TCP relay between hub and office broker that can be pulled out and plugged in again."""

import asyncio
import contextlib

CHUNK_BYTES = 65_536


class Relay:
    """Listens on loopback and forwards to `target_port` while it is plugged in."""

    def __init__(self, target_port: int) -> None:
        self.cut = False
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """Where the hub connects."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def pull(self) -> None:
        """Pull the plug: open connections die, new ones get nowhere."""
        self.cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def plug(self) -> None:
        """Plug it in again."""
        self.cut = False

    async def stop(self) -> None:
        """Close everything."""
        self.pull()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
