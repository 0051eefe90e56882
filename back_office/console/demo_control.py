"""The office's way to the demo's control: one POST to a loopback address or a unix socket, two lines back."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from back_office.console.interface import ButtonResult

ANSWER_S: Final = 20.0
"""A kill, a restart and a recovery fit in this; the page's button waits as long."""
ANSWER_BYTES: Final = 4_096
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class DemoControlError(Exception):
    """The demo's control cannot be used; the text names its address and what to do."""


class DemoControl:
    """`POST {url}/{action}` with an empty body; the answer is what the page shows: a line in English, one in Chinese.

    An answer of one line stands for both.

    `url` is `http://127.0.0.1:PORT` or `unix:/path/of/socket`, as `--demo-control` takes it. Only the own machine is
    talked to: the control breaks things.
    """

    def __init__(self, url: str) -> None:
        """Take the address apart; DemoControlError where it is neither kind."""
        self._url = url
        self._socket_path = ""
        self._host, self._port, self._prefix = "localhost", 0, ""
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path:
            self._socket_path = parts.path
        elif parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port:
            self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        else:
            message = f"--demo-control {url}: use http://127.0.0.1:PORT or unix:/path/of/socket"
            raise DemoControlError(message)

    async def __call__(self, action: str) -> ButtonResult:
        """Do the action and return what the control says about it."""
        request = (
            f"POST {self._prefix}/{action} HTTP/1.1\r\nHost: {self._host}\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._exchange(request.encode())
        except (OSError, TimeoutError) as error:
            message = f"demo control {self._url}: {str(error) or 'no answer'}; is the demo still running?"
            raise DemoControlError(message) from error
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        lines = body.decode(errors="replace").strip().splitlines()
        english, chinese = (lines[0], lines[1] if len(lines) > 1 else lines[0]) if lines else ("", "")
        if status != [b"200"]:
            message = f"demo control {self._url}: {english or 'it refused'}"
            raise DemoControlError(message)
        return ButtonResult(en=english, zh=chinese, of=_bar(lines[2:3]))

    async def _exchange(self, request: bytes) -> bytes:
        if self._socket_path:
            reader, writer = await asyncio.open_unix_connection(self._socket_path)
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(request)
            await writer.drain()
            return await _read_to_end(reader)
        finally:
            writer.close()
            await writer.wait_closed()


def _bar(line: list[str]) -> tuple[int, int] | None:
    """Read a third line `so much of so much`, where there is one."""
    numbers = line[0].split() if line else []
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers):  # noqa: PLR2004 - how much, of how much
        return int(numbers[0]), int(numbers[1])
    return None


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Read until the control closes or the bound is reached: the answer is two lines."""
    answer = b""
    while len(answer) < ANSWER_BYTES:
        piece = await reader.read(ANSWER_BYTES - len(answer))
        if not piece:
            break
        answer += piece
    return answer
