"""The office's pages and its API: an HTTP server each, which our own signals stop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from back_office.api.access import Books
from back_office.api.app import make_api
from back_office.console.app import make_console
from back_office.console.demo_control import DemoControl
from back_office.live import Live
from back_office.queries import Queries
from back_office.settings import HttpAddress, OfficeSettings, Ready, SettingsError

MOST_CONNECTIONS: Final = 1_000
MOST_HEAD: Final = 16_384
"""Bytes of a request before its body."""


class _QuietServer(uvicorn.Server):
    """Leaves signals to us: one handler stops the whole office."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signal."""
        yield


def _listen(address: HttpAddress, option: str) -> socket.socket:
    try:
        return socket.create_server((address.host, address.port))
    except OSError as error:
        message = f"{option} {address.host}:{address.port}: cannot listen there ({error.strerror}); choose another port"
        raise SettingsError(message) from error


async def serve(settings: OfficeSettings, queries: Queries, live: Live, ready: Ready) -> None:
    """Serve the pages until cancelled; without an address there are none."""
    if settings.http is None:
        ready.have("http")
        return
    control = DemoControl(settings.demo_control) if settings.demo_control else None
    pages = make_console(queries, live, control, host=settings.http.host)
    with _listen(settings.http, "--http") as listening:
        ready.have("http", port=listening.getsockname()[1])
        await _serve_on(listening, pages)


async def serve_api(settings: OfficeSettings, books: Books, ready: Ready) -> None:
    """Serve the API until cancelled; without an address there is none. Without a key nobody is let in."""
    if settings.api is None:
        ready.have("api")
        return
    with _listen(settings.api, "--api") as listening:
        ready.have("api")
        await _serve_on(listening, make_api(books))


async def _serve_on(listening: socket.socket, app: ASGIApp) -> None:
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", access_log=False, timeout_graceful_shutdown=1, server_header=False,
        limit_concurrency=MOST_CONNECTIONS, h11_max_incomplete_event_size=MOST_HEAD,
    )  # fmt: skip
    server = _QuietServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
