"""The terminal's composition root: the bus on one side, the pages on the other, one task group."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

import msgspec
import uvicorn

from cloud_sync.ending import pause
from cloud_sync.mqtt_link import MqttLink, MqttLinkError, MqttSettings
from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.hall import Hall
from edge_agent.terminal.pages import Pages
from edge_agent.terminal.wording import LANGUAGES
from payment_core.bus import device_topic, view_topic

RETRY_S: Final = (0.5, 1.0, 2.0, 4.0)
"""How long to wait before the next attempt to reach the broker; the last one repeats."""
MAX_CONNECTIONS: Final = 512
GOODBYE_S: Final = 1
"""Streams never end by themselves: this long may a stopping terminal wait for them."""
_log = logging.getLogger("venuehub.terminal")


class TerminalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose lanes to show, where the bus is, and where to serve. Port 0: any free one.

    `language` is the venue's; empty: each page begins with what its browser asks for.
    """

    hub: str
    mqtt: MqttSettings
    http_host: str = "127.0.0.1"
    http_port: int = 8_080
    language: str = ""


class AddressInUseError(Exception):
    """The pages' address cannot be had; the text names it and the option that changes it."""


async def run_terminal(settings: TerminalSettings, on_ready: Callable[[str], None]) -> None:
    """Serve until stopped by SIGINT or SIGTERM. `on_ready` gets the address once the pages answer."""
    hall = Hall(default_language=settings.language, languages=LANGUAGES)
    desk = DeskLine(settings.hub)
    app = Pages(hall, default_language=settings.language, desk=desk).app(host=settings.http_host)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GOODBYE_S,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        async with asyncio.TaskGroup() as group:
            following = group.create_task(_follow_bus(settings, hall, desk), name="device bus")
            on_ready(f"http://{host}:{port}/")
            await server.serve(sockets=[listener])
            following.cancel()


def _listening(settings: TerminalSettings) -> socket.socket:
    try:
        return socket.create_server((settings.http_host, settings.http_port))
    except OSError as error:
        place = f"{settings.http_host}:{settings.http_port}"
        why = str(error.strerror).partition(" (")[0]  # Python adds the address once more in brackets
        message = f"the guest pages cannot be served at {place}: {why}; choose another with --http"
        raise AddressInUseError(message) from error


async def _follow_bus(settings: TerminalSettings, hall: Hall, desk: DeskLine) -> None:
    """Keep the hall up to date; a broker that is away or refuses us is tried again for ever; every screen says so."""
    failures = 0
    while True:
        try:
            async with MqttLink(settings.mqtt) as link:
                views, states = view_topic(settings.hub, "+"), device_topic(settings.hub, "+", "state")
                await link.subscribe(views, states, *desk.filters)
                hall.set_connected(connected=True)
                desk.set_connected(connected=True)
                failures = 0
                await _pump(link, hall, desk)
        except MqttLinkError as error:
            if failures == 0:
                _log.warning("broker.lost %s", error)
        hall.set_connected(connected=False)
        desk.set_connected(connected=False)
        await pause(RETRY_S[min(failures, len(RETRY_S) - 1)])
        failures += 1


async def _pump(link: MqttLink, hall: Hall, desk: DeskLine) -> None:
    """Take what the bus says, and send what staff ask for, until the link is lost."""
    sending = asyncio.create_task(_send(link, desk))
    try:
        async for message in link.messages():
            heard = hall.on_message(message.topic, message.payload, retained=message.retained)
            desk.on_message(message.topic, heard)
    finally:
        sending.cancel()


async def _send(link: MqttLink, desk: DeskLine) -> None:
    while True:
        topic, payload = await desk.next_to_send()
        await link.publish_soon(topic, payload)
