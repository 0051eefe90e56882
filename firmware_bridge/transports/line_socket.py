"""Digital lines of a simulator in another process: a Unix or TCP socket that carries line, level and time."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Final, Literal

from firmware_bridge.transports.interface import Edge, TransportClosedError, TransportError
from firmware_bridge.wire.line_frames import FrameDecoder, LevelFrame, Noise, encode_frame

READ_LIMIT_BYTES: Final = 4_096
"""One read's edges are kept until they are asked for; then comes the next read, so a fast simulator waits."""
CONNECT_S: Final = 2.0
Level = Literal["low", "high"]


class LineSocket:
    """A `LinePipe`. The first edges are the inputs' levels at the moment of connecting. Made by `open_line_socket`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        place: str,
        outputs: Mapping[str, Level],
        inputs: Mapping[str, Level],
    ) -> None:
        self.noise_bytes = 0
        """Bytes thrown away because they were no frame."""
        self._reader = reader
        self._writer = writer
        self._place = place
        self._outputs = dict(outputs)
        self._inputs = dict(inputs)
        self._decoder = FrameDecoder()
        self._edges: list[Edge] = []
        self._closed = False

    async def set(self, line: str, *, active: bool) -> None:
        """Send an output's level with its time; TransportClosedError before anything is sent where nobody listens."""
        if self._closed or self._writer.is_closing() or self._reader.at_eof():
            raise self._gone()
        level: Literal[0, 1] = 1 if active == (self._outputs[line] == "high") else 0
        try:
            self._writer.write(encode_frame(LevelFrame(line, level, time.monotonic_ns())))
            await self._writer.drain()
        except OSError as error:
            raise self._gone() from error

    async def edge(self) -> Edge:
        """Return the next change of an input; TransportClosedError where the simulator is gone."""
        while not self._edges:
            try:
                data = b"" if self._closed else await self._reader.read(READ_LIMIT_BYTES)
            except OSError as error:
                raise self._gone() from error
            if not data:
                raise self._gone()
            self._take(data)
        return self._edges.pop(0)

    def close(self) -> None:
        """Hang up, with every output idle; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            for line, active_level in self._outputs.items():
                idle: Literal[0, 1] = 0 if active_level == "high" else 1
                self._writer.write(encode_frame(LevelFrame(line, idle, time.monotonic_ns())))
        self._writer.close()

    def _take(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if isinstance(frame, Noise):
                self.noise_bytes += frame.size_bytes
            elif isinstance(frame, LevelFrame) and frame.line in self._inputs:
                active = frame.level == (1 if self._inputs[frame.line] == "high" else 0)
                self._edges.append(Edge(frame.line, active, frame.at_ns))

    def _gone(self) -> TransportClosedError:
        return TransportClosedError(f"{self._place}: gone. Is the simulated machine running?")


async def open_line_socket(place: str, *, outputs: Mapping[str, Level], inputs: Mapping[str, Level]) -> LineSocket:
    """Connect to `place`, a socket's path or `tcp:HOST:PORT`; outputs and inputs by line with their active level.

    TransportError names the place where nobody listens.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await _connect(place)
    except (OSError, TimeoutError, ValueError) as error:
        message = f"{place}: cannot connect ({str(error) or 'no answer'}). Is the simulated machine running?"
        raise TransportError(message) from error
    return LineSocket(reader, writer, place=place, outputs=outputs, inputs=inputs)


async def _connect(place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not place.startswith("tcp:"):
        return await asyncio.open_unix_connection(place)
    host, _, port = place.removeprefix("tcp:").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return reader, writer
