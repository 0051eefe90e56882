"""The demo's control: `POST /{action}` on a unix socket, answered with a line in English and one in Chinese."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from venuehub.demo.actions import Said

REQUEST_BYTES = 2_048


class Control:
    """Serves the office page's buttons, and beside them, at any time, how the adversary stands (`/loss`).

    Only who may open the demo's folder can reach it.
    """

    def __init__(self, path: Path, do: Callable[[str], Awaitable[Said]], loss: Callable[[], Said]) -> None:
        self._path = path
        self._do = do
        self._loss = loss
        self._one_at_a_time = asyncio.Lock()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """What `office run --demo-control` takes."""
        return f"unix:{self._path}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            words = head[:REQUEST_BYTES].decode(errors="replace").split()
            if len(words) > 1 and words[0] == "POST":
                said = await self._answer(words[1].strip("/"))
                bar = "" if said.of is None else f"{said.of[0]} {said.of[1]}\n"
                lines = f"{said.en}\n{said.zh}\n{bar}".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + lines)
            else:
                writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            await writer.drain()
        writer.close()

    async def _answer(self, action: str) -> Said:
        if action == "loss":
            return self._loss()
        async with self._one_at_a_time:
            return await self._do(action)
