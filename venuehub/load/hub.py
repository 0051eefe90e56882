"""One hub of a fleet: the shipped uplink over a journal in memory, and what it went through."""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from cloud_sync.identity import HubIdentity
from cloud_sync.mqtt_link import MqttLink, MqttSettings
from edge_agent.clock import Clock
from edge_agent.links.uplink import Uplink
from edge_agent.messages import (
    BatchSealed,
    BatchStored,
    DocumentArrived,
    Frozen,
    Input,
    JournalGrew,
    ListArrived,
    OfficeLink,
    ReceiptTaken,
)
from payment_core.identifiers import uuid_text
from venuehub.load.journal import MemoryJournal

SECOND: Final = 1.0


class Seat(msgspec.Struct, frozen=True):
    """A hub that an office knows: its identity, and the brokers it may go to, one after another as links are lost."""

    identity: HubIdentity
    brokers: tuple[MqttSettings, ...]


class Counts:
    """What a whole fleet went through."""

    def __init__(self) -> None:
        self.receipts = 0
        """Receipts that moved a hub's cursor."""
        self.connects = 0
        self.connects_per_s = 0
        """The most connects of one hub within any second."""
        self.frozen: dict[str, str] = {}
        """Hubs that the office froze, and why."""
        self.latency: dict[int, int] = {}
        """Plays by the ms from their last entry to the receipt that covers it, where the link was up all the while."""
        self.longest_ms = 0
        """Of all plays, those of an outage too."""


class LoadHub:
    """One hub. `start` and `stop` are its power: what is in its journal survives, its uplink does not."""

    def __init__(self, seat: Seat, counts: Counts, *, clock: Clock, number: int, dice: random.Random) -> None:
        self.seat = seat
        self.up = False
        """The office has answered on the present connection."""
        self.back_at = 0.0
        """When it was last heard after it was not (time.monotonic)."""
        identity = seat.identity
        self.journal = MemoryJournal(epoch=identity.epoch, venue_id=identity.venue_id, now=clock.now(), dice=dice)
        self._clock = clock
        self._counts = counts
        self._broker = number
        """Which broker is next: a fleet begins spread over all of them."""
        self._uplink: Uplink | None = None
        self._task: asyncio.Task[None] | None = None
        self._dialled: deque[float] = deque()
        self._played: deque[tuple[int, float, bool]] = deque()

    @property
    def is_quiet(self) -> bool:
        """Say whether the office has a receipt for all of it."""
        return self.journal.acked_seq == self.journal.last_seq

    def start(self) -> None:
        """Switch it on: it connects at once, as a hub does that has just got power."""
        name = uuid_text(self.seat.identity.hub_id)
        settings = msgspec.structs.replace(self.seat.brokers[0], client_id=name)
        self._uplink = Uplink(
            settings,
            self.seat.identity,
            self.journal,
            offer=self._offer,
            offer_together=self._offer_together,
            clock=self._clock.now,
        )
        self._uplink.dial = self._dial
        self._uplink.on_effect(JournalGrew(self.journal.last_seq))
        self._task = asyncio.create_task(self._uplink.run(), name=f"hub {name}")

    async def stop(self) -> None:
        """Switch it off."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.up = False

    def play(self) -> None:
        """Let a guest play."""
        seq = self.journal.play(self._clock.now())
        self._played.append((seq, time.monotonic(), self.up))
        if self._uplink is not None:
            self._uplink.on_effect(JournalGrew(seq))

    # ---- what the uplink asks of a till ----

    def _offer_together(self, facts: Sequence[Input]) -> None:
        for fact in facts:
            self._offer(fact)

    def _offer(self, fact: Input) -> bool:
        match fact:
            case BatchSealed(batch_seq=batch_seq):
                self.journal.store(fact)
                if self._uplink is not None:  # said later, as a till's thread says it
                    asyncio.get_running_loop().call_soon(self._uplink.on_effect, BatchStored(batch_seq))
            case ReceiptTaken(batch_seq=batch_seq, seq=seq):
                self._counts.receipts += 1
                self.journal.acknowledge(batch_seq, seq)
                self._measure(seq)
            case OfficeLink(up=up):
                self._note_link(up=up)
            case DocumentArrived(name=name, version=version):
                self.journal.keep_version(name, version)
            case ListArrived(version=version):
                self.journal.keep_version("list", version)
            case Frozen(reason=reason):
                self._counts.frozen[uuid_text(self.seat.identity.hub_id)] = reason
            case _:
                pass
        return True

    def _note_link(self, *, up: bool) -> None:
        if up and not self.up:
            self.back_at = time.monotonic()
        if not up:  # what waits now waits for the link, not for the office
            self._played = deque((seq, at, False) for seq, at, _ in self._played)
        self.up = up

    def _measure(self, covered: int) -> None:
        now = time.monotonic()
        while self._played and self._played[0][0] <= covered:
            _, at, quiet = self._played.popleft()
            took_ms = round((now - at) * 1_000)
            self._counts.longest_ms = max(self._counts.longest_ms, took_ms)
            if quiet:
                self._counts.latency[took_ms] = self._counts.latency.get(took_ms, 0) + 1

    def _dial(self, settings: MqttSettings) -> MqttLink:
        now = time.monotonic()
        self._dialled.append(now)
        while now - self._dialled[0] >= SECOND:
            self._dialled.popleft()
        self._counts.connects += 1
        self._counts.connects_per_s = max(self._counts.connects_per_s, len(self._dialled))
        broker = self.seat.brokers[self._broker % len(self.seat.brokers)]
        self._broker += 1
        return MqttLink(
            msgspec.structs.replace(
                broker,
                client_id=settings.client_id,
                will_topic=settings.will_topic,
                will_payload=settings.will_payload,
            )
        )
