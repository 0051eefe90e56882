"""Asks an ASGI application without a network: one request, its answer; or the first pieces of an endless one."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message

DEADLINE_S = 20.0


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()


async def ask(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    until: bytes = b"",
    body: bytes = b"",
) -> Answer:
    """Return the answer; with `until`, hang up as soon as the body holds it (for streams)."""
    answer, gone = Answer(), asyncio.Event()
    requested = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        for message in requested:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            if (until and until in answer.body) or not message.get("more_body", False):
                gone.set()

    parts = urlsplit(path)
    sent = {"host": "localhost", **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1), "server": ("localhost", 80),
    }  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        await app(scope, receive, send)
    return answer
