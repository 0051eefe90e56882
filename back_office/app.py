"""The office's composition root: one uplink, one worker thread, its HTTP servers, in one TaskGroup."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from back_office.api.access import Books
from back_office.api.cursors import cursor_key
from back_office.api.sending import Sender
from back_office.fleet.founding import refuse_unfounded
from back_office.ingest.holding import Holding
from back_office.live import Live
from back_office.nightly import Nights
from back_office.payments.sandbox_file import follow_orders
from back_office.queries import Queries
from back_office.serving import serve, serve_api
from back_office.settings import OfficeSettings, Ready, SettingsError, database_url
from back_office.store.engine import open_store
from back_office.store.faults import StoreError
from back_office.store.partitions import clock_of
from back_office.uplink import Uplink
from back_office.worker import Worker
from cloud_sync.ending import first_fault, heed_signals
from cloud_sync.identity import load_office
from cloud_sync.mqtt_link import BrokerUnavailableError

log = structlog.get_logger()


def now_ms() -> int:
    """Return UTC ms."""
    return time.time_ns() // 1_000_000


def run(settings: OfficeSettings, on_ready: Callable[[int, frozenset[int]], None]) -> None:
    """Run the office until SIGTERM or SIGINT. BrokerUnavailableError: the broker was never there.

    on_ready: called once with the pages' port, 0 without, and with the partitions that are held by then.

    Without pages it is a worker among others, which takes the partitions it was told.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is the command's answer
    asyncio.run(_run(settings, on_ready))


async def _run(settings: OfficeSettings, on_ready: Callable[[int, frozenset[int]], None]) -> None:
    keys = load_office(settings.folder)
    store = open_store(settings.database or database_url(settings.folder))
    refuse_unfounded(store, keys.tenant_id)
    with contextlib.closing(store), ThreadPoolExecutor(1, thread_name_prefix="books") as books:
        holding = Holding(
            store, keys.tenant_id, settings.worker, clock_of(store, now_ms), wanted=settings.partitions,
            yields=settings.stands_in,
        )  # fmt: skip
        worker = Worker(store, keys, now_ms, holding)
        live, ready = Live(), Ready(lambda port: on_ready(port, worker.held))
        queries = Queries(store, keys.tenant_id, worker.presence, now_ms)
        uplink = Uplink(settings, worker, live, ready, books)
        private = frozenset(settings.private_hooks)
        api = Books(store, keys.tenant_id, cursor_key(keys.pepper), now_ms, private)
        parts = [uplink.run(), serve(settings, queries, live, ready), serve_api(settings, api, ready)]
        if settings.stands_in:  # workers beside others leave it to the office
            parts.append(Nights(store, keys.tenant_id, now_ms).run())
            parts.append(Sender(store, keys.tenant_id, now_ms, private).run())
        if settings.sandbox:
            parts.append(uplink.orders(lambda: follow_orders(store, keys, settings.folder, clock=now_ms)))
        try:
            await _until_stopped(*parts)
        finally:
            _release(books, worker)


def _release(books: ThreadPoolExecutor, worker: Worker) -> None:
    """Let others have the partitions at once; where the database is away they wait until the leases run out."""
    try:
        books.submit(worker.stop).result()
    except StoreError as error:
        log.warning("partitions.not_released", why=str(error))


async def _until_stopped(*parts: Awaitable[None]) -> None:
    """Run all parts; a signal ends them, a fault in one ends the others and is raised as it is."""
    stop = asyncio.Event()
    heed_signals(stop.set)
    with first_fault(BrokerUnavailableError, SettingsError):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_as_coroutine(part)) for part in parts]
            await stop.wait()
            for task in tasks:
                task.cancel()


async def _as_coroutine(part: Awaitable[None]) -> None:
    await part
