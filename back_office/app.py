"""The office's composition root: one uplink, one worker thread, one HTTP server, in one TaskGroup."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from back_office.fleet.founding import refuse_unfounded
from back_office.live import Live
from back_office.payments.sandbox_file import follow_orders
from back_office.queries import Queries
from back_office.serving import serve
from back_office.settings import OfficeSettings, Ready, SettingsError, database_file
from back_office.store.engine import open_store, sqlite_url
from back_office.uplink import Uplink
from back_office.worker import Worker
from cloud_sync.ending import heed_signals
from cloud_sync.identity import load_office
from cloud_sync.mqtt_link import BrokerUnavailableError


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
        uplink = Uplink(settings, worker, live, ready, books)
        parts = [uplink.run(), serve(settings, queries, live, ready)]
        if settings.sandbox:
            parts.append(uplink.orders(lambda: follow_orders(store, keys, settings.folder, clock=now_ms)))
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
