"""The office's pages: one HTTP server, which our own signals stop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn

from back_office.console.app import make_console
from back_office.console.demo_control import DemoControl
from back_office.live import Live
from back_office.queries import Queries
from back_office.settings import HttpAddress, OfficeSettings, Ready, SettingsError


class _QuietServer(uvicorn.Server):
    """Leaves signals to us: one handler stops the whole office."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signal."""
        yield


def _listen(address: HttpAddress) -> socket.socket:
    try:
        return socket.create_server((address.host, address.port))
    except OSError as error:
        message = f"--http {address.host}:{address.port}: cannot listen there ({error.strerror}); choose another port"
        raise SettingsError(message) from error


async def serve(settings: OfficeSettings, queries: Queries, live: Live, ready: Ready) -> None:
    """Serve the pages until cancelled; without an address there are none."""
    if settings.http is None:
        ready.have("http")
        return
    control = DemoControl(settings.demo_control) if settings.demo_control else None
    pages = make_console(queries, live, control, host=settings.http.host)
    with _listen(settings.http) as listening:
        config = uvicorn.Config(
            pages, log_level="warning", lifespan="off", access_log=False, timeout_graceful_shutdown=1
        )
        server = _QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        ready.have("http", port=listening.getsockname()[1])
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving
