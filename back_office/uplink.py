"""Between the broker and the worker's thread: messages in, letters out, for as long as the office runs."""

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog

from back_office.ingest.turns import Turns
from back_office.live import Live
from back_office.settings import OfficeSettings, Ready
from back_office.store.faults import StoreUnavailableError
from back_office.worker import Worker
from cloud_sync.ending import first_fault, pause, tried
from cloud_sync.letters import Publish
from cloud_sync.mqtt_link import BrokerUnavailableError, Inbound, MqttLink, MqttLinkError
from cloud_sync.protocol.retry import reconnect_delay_ms
from cloud_sync.protocol.topics import PARTITIONS, office_filters, state_filter

TICK_S: Final = 0.5
"""How soon what another process wrote (a top-up at the counter) reaches a hub."""
ORDERS_S: Final = 1.0
LONGEST_ATTEMPT: Final = 3
"""From here on the waits for the broker grow no more, 4.5 s: the office is one, and hubs that are back wait for it."""
TOGETHER: Final = 64
"""The most messages that are taken at once: so many batches are one transaction."""
T = TypeVar("T")
log = structlog.get_logger()


class Uplink:
    """Pumps messages between the broker and the worker's thread."""

    def __init__(
        self, settings: OfficeSettings, worker: Worker, live: Live, ready: Ready, books: ThreadPoolExecutor
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._live = live
        self._ready = ready
        self._books = books
        self._subscribed: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Stay connected; a broker that was there once is waited for, one that never was is a fault.

        A broker that is there and refuses a topic is asked again: its access list can be mended while we run.
        """
        attempt = -1
        while True:
            try:
                await self._in_books(self._worker.hold)
                self._subscribed = frozenset()
                async with MqttLink(self._settings.broker) as link:
                    await self._subscribe(link, self._filters())
                    attempt = 0
                    await tried(self._pump(link))
            except BrokerUnavailableError as error:
                if attempt < 0:
                    raise
                log.warning("uplink.lost", why=str(error))
            except MqttLinkError as error:
                attempt = max(attempt, 0)
                log.warning("uplink.refused_by_broker", why=str(error))
            delay_ms = reconnect_delay_ms(min(attempt, LONGEST_ATTEMPT), dice=random.random())  # noqa: S311 - jitter
            await pause(delay_ms / 1_000)
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

    def _filters(self) -> frozenset[str]:
        """Return what we subscribe to: our partitions, and for pages which hubs are there at all."""
        everyones = {state_filter()} if self._settings.http is not None else set()
        held = self._worker.held
        return frozenset(office_filters(held)) | (everyones if len(held) < PARTITIONS else set())

    async def _subscribe(self, link: MqttLink, filters: frozenset[str]) -> None:
        """Subscribe to what is new. What is not ours any more is let pass by until the next connection."""
        fresh = filters - self._subscribed
        if fresh:
            await link.subscribe(*sorted(fresh))
        self._subscribed = filters | self._subscribed

    async def _pump(self, link: MqttLink) -> None:
        for letter in await self._in_books(self._worker.start):
            await _publish(link, letter)
        self._ready.have("broker")
        with first_fault(MqttLinkError):
            async with asyncio.TaskGroup() as group:
                turns = Turns()
                group.create_task(self._tick(link, turns))
                group.create_task(_hear(link, turns))
                while True:
                    await self._take(link, await turns.take(TOGETHER))

    async def _take(self, link: MqttLink, messages: Sequence[Inbound]) -> None:
        try:
            said = [(message.topic, message.payload) for message in messages]
            handled = await self._in_books(lambda: self._worker.on_messages(said))
        except Exception:
            if len(messages) > 1:
                for message in messages:
                    await self._take(link, [message])
                return
            # One hub's message must not end the office for all. It has no receipt, so the hub keeps what it sent.
            log.exception("uplink.message_failed", topic=messages[0].topic)
            return
        for letter in handled.letters:
            await _publish(link, letter)
        for refusal in handled.refusals:
            log.warning("uplink.refused", topic=refusal.topic, reason=refusal.reason)
        if handled.moved:
            self._live.announce()

    async def _tick(self, link: MqttLink, turns: Turns) -> None:
        losses = (0, 0)
        while True:
            losses = tell_losses(link, losses, beyond=turns.dropped)
            letters = await self._in_books(self._worker.tick)
            await self._subscribe(link, self._filters())  # before anybody is asked for what we would not hear
            for letter in letters:
                await _publish(link, letter)
            others = self._settings.http is not None and len(self._worker.held) < PARTITIONS
            if letters or (others and await self._in_books(self._worker.moved_elsewhere)):
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


async def _hear(link: MqttLink, turns: Turns) -> None:
    async for message in link.messages():
        turns.put(message)


def tell_losses(link: MqttLink, told: tuple[int, int], *, beyond: int = 0) -> tuple[int, int]:
    """Log what the link threw away, or hubs sent `beyond` their turns, and what the broker has refused, where new."""
    counts = (link.dropped + beyond, link.refused)
    if counts != told:
        log.warning("uplink.losses", dropped=counts[0], refused=counts[1])
    return counts


async def _publish(link: MqttLink, letter: Publish) -> None:
    await link.publish_soon(letter.topic, letter.payload, retain=letter.retain)
