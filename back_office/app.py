"""The office's composition root: one uplink, one worker thread, one HTTP server, in one TaskGroup."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog
import uvicorn

from back_office.console.app import make_console
from back_office.console.demo_control import DemoControl
from back_office.fleet.founding import refuse_unfounded
from back_office.live import Live
from back_office.payments.sandbox_file import follow_orders
from back_office.queries import Queries
from back_office.settings import HttpAddress, OfficeSettings, SettingsError, database_file
from back_office.store.engine import open_store, sqlite_url
from back_office.store.faults import StoreUnavailableError
from back_office.worker import Worker
from cloud_sync.ending import heed_signals, pause, tried
from cloud_sync.identity import load_office
from cloud_sync.letters import Publish
from cloud_sync.mqtt_link import BrokerUnavailableError, Inbound, MqttLink, MqttLinkError
from cloud_sync.protocol.retry import reconnect_delay_ms
from cloud_sync.protocol.topics import office_filter

TICK_S: Final = 0.5
"""How soon what another process wrote (a top-up at the counter) reaches a hub."""
ORDERS_S: Final = 1.0
T = TypeVar("T")
log = structlog.get_logger()


class Ready:
    """What `run` tells as soon as it serves: the HTTP port in use, 0 without pages."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        """Take who is told; told once, when broker and pages are both there."""
        self._tell = tell
        self._waiting = {"broker", "http"}
        self._port = 0

    def have(self, part: str, *, port: int = 0) -> None:
        """Note that one part is there."""
        self._port = port or self._port
        if self._waiting == {part}:
            self._tell(self._port)
        self._waiting.discard(part)


def now_ms() -> int:
    """Return UTC ms."""
    return time.time_ns() // 1_000_000


def run(settings: OfficeSettings, on_ready: Callable[[int], None]) -> None:
    """Run the office until SIGTERM or SIGINT. BrokerUnavailableError: the broker was never there."""
    asyncio.run(_run(settings, on_ready))


async def _run(settings: OfficeSettings, on_ready: Callable[[int], None]) -> None:
    keys = load_office(settings.folder)
    store = open_store(sqlite_url(database_file(settings.folder)))
    live, ready = Live(), Ready(on_ready)
    refuse_unfounded(store, keys.tenant_id)
    with contextlib.closing(store), ThreadPoolExecutor(1, thread_name_prefix="books") as books:
        worker = Worker(store, keys, now_ms)
        queries = Queries(store, keys.tenant_id, worker.presence, now_ms)
        office = _Office(settings, worker, live, ready, books)
        parts = [office.uplink(), _serve(settings, queries, live, ready)]
        if settings.sandbox:
            parts.append(office.orders(lambda: follow_orders(store, keys, settings.folder, clock=now_ms)))
        await _until_stopped(*parts)


async def _until_stopped(*parts: Awaitable[None]) -> None:
    """Run all parts; a signal ends them, a fault in one ends the others and is raised as it is."""
    stop = asyncio.Event()
    heed_signals(stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_as_coroutine(part)) for part in parts]
            await stop.wait()
            for task in tasks:
                task.cancel()
    except* (BrokerUnavailableError, SettingsError) as faults:
        raise faults.exceptions[0] from None


async def _as_coroutine(part: Awaitable[None]) -> None:
    await part


class _Office:
    """Pumps messages between the broker and the worker's thread."""

    def __init__(
        self, settings: OfficeSettings, worker: Worker, live: Live, ready: Ready, books: ThreadPoolExecutor
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._live = live
        self._ready = ready
        self._books = books

    async def uplink(self) -> None:
        """Stay connected; a broker that was there once is waited for, one that never was is a fault.

        A broker that is there and refuses a topic is asked again: its access list can be mended while we run.
        """
        attempt = -1
        while True:
            try:
                async with MqttLink(self._settings.broker) as link:
                    await link.subscribe(office_filter())
                    attempt = 0
                    await tried(self._pump(link))
            except BrokerUnavailableError as error:
                if attempt < 0:
                    raise
                log.warning("uplink.lost", why=str(error))
            except MqttLinkError as error:
                attempt = max(attempt, 0)
                log.warning("uplink.refused_by_broker", why=str(error))
            await pause(reconnect_delay_ms(attempt, dice=random.random()) / 1_000)  # noqa: S311 - jitter
            attempt += 1

    async def orders(self, follow: Callable[[], None]) -> None:
        """Look after payment orders: what is due is asked, what ran out closed, what came late goes back."""
        while True:
            try:
                await self._in_books(follow)
            except Exception:
                # A channel's fault must not end the office; every ask can be sent again.
                log.exception("orders.failed")
            await pause(ORDERS_S)

    async def _pump(self, link: MqttLink) -> None:
        for letter in await self._in_books(self._worker.start):
            await _publish(link, letter)
        self._ready.have("broker")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick(link))
                async for message in link.messages():
                    await self._take(link, message)
        except* MqttLinkError as faults:
            raise faults.exceptions[0] from None

    async def _take(self, link: MqttLink, message: Inbound) -> None:
        try:
            handled = await self._in_books(lambda: self._worker.on_message(message.topic, message.payload))
        except Exception:
            # One hub's message must not end the office for all. It has no receipt, so the hub keeps what it sent.
            log.exception("uplink.message_failed", topic=message.topic)
            return
        for letter in handled.letters:
            await _publish(link, letter)
        for refusal in handled.refusals:
            log.warning("uplink.refused", topic=refusal.topic, reason=refusal.reason)
        if handled.moved:
            self._live.announce()

    async def _tick(self, link: MqttLink) -> None:
        losses = (0, 0)
        while True:
            losses = tell_losses(link, losses)
            letters = await self._in_books(self._worker.tick)
            for letter in letters:
                await _publish(link, letter)
            if letters:
                self._live.announce()
            await asyncio.sleep(TICK_S)

    async def _in_books(self, call: Callable[[], T]) -> T:
        """Call in the books' thread; a database that is away for the moment is waited for."""
        attempt = 0
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._books, call)
            except StoreUnavailableError as error:
                log.warning("books.unavailable", why=str(error), attempt=attempt)
            await pause(reconnect_delay_ms(attempt, dice=random.random()) / 1_000)  # noqa: S311 - jitter
            attempt += 1


def tell_losses(link: MqttLink, told: tuple[int, int]) -> tuple[int, int]:
    """Log what a link has thrown away and what the broker has refused, where it is more than was `told`."""
    counts = (link.dropped, link.refused)
    if counts != told:
        log.warning("uplink.losses", dropped=link.dropped, refused=link.refused)
    return counts


async def _publish(link: MqttLink, letter: Publish) -> None:
    await link.publish_soon(letter.topic, letter.payload, retain=letter.retain)


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


async def _serve(settings: OfficeSettings, queries: Queries, live: Live, ready: Ready) -> None:
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
