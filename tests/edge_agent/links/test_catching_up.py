"""What a hub owes goes up as fast as its ledger and its office take it, not once in a tick, over a link in memory."""

import asyncio
import sys

import pytest

from cloud_sync import upload_sealing
from cloud_sync.letters import Publish
from cloud_sync.mqtt_link import Inbound
from cloud_sync.receiver import Receiver
from cloud_sync.upload_sealing import BATCH_RECORDS, SEAL_ENTRIES
from cloud_sync.upload_window import WINDOW_BATCHES
from edge_agent.ledger import outbox
from edge_agent.links import uplink as uplink_room
from edge_agent.messages import BatchStored, JournalGrew
from tests.cloud_sync.world import MemoryOffice, hub_record
from tests.edge_agent.links.test_uplink import KEYS, TENANT, start
from tests.support.hall import HUB_ID, Hall

NEVER_MS = 3_600_000
MOST_S = 20


class OfficeLink:
    """An office at the other end: what is published is booked at once, and its answers are heard."""

    def __init__(self, office):
        self.receiver = Receiver(office, tenant_id=TENANT, opener=KEYS.opener, signer=KEYS.signer)
        self.heard = asyncio.Queue()
        self.acknowledged = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        return None

    async def subscribe(self, *_filters):
        return None

    async def publish_soon(self, topic, payload, *, retain=False):
        for effect in self.receiver.on_message(1, topic, payload):
            if isinstance(effect, Publish):
                self.heard.put_nowait(Inbound(effect.topic, effect.payload, retained=retain))

    async def messages(self):
        while True:
            yield await self.heard.get()


def owed(hall):
    return hall.store.rows("SELECT max(seq) FROM entries")[0][0] - outbox.read_cursor(hall.store).seq


async def caught_up(hall):
    """Run an uplink whose ticks never come until little is owed; return the books, and the most batches in memory."""
    loop, most = asyncio.get_running_loop(), 0

    def offer(_offered, fact):
        nonlocal most
        most = max(most, len(uplink._uploader.state.waiting))
        effects = hall.step(fact)
        for effect in effects:
            if isinstance(effect, BatchStored | JournalGrew):
                loop.call_soon(uplink.on_effect, effect)
        return True

    uplink, reader, _hub = start(hall, [], offer)
    office = MemoryOffice(hub_record(uplink._identity))
    uplink.dial = lambda _settings: OfficeLink(office)
    uplink.on_effect(JournalGrew(hall.store.rows("SELECT max(seq) FROM entries")[0][0]))
    running = asyncio.create_task(uplink.run())
    try:
        async with asyncio.timeout(MOST_S):
            while owed(hall) >= SEAL_ENTRIES:  # noqa: ASYNC110 - the ledger has no event to wait for
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait([running])
        reader.close()
    return office.booked[HUB_ID], most


@pytest.fixture
def owing(tmp_path, monkeypatch):
    """A hub with more entries than its window holds, whose ticks are an hour apart."""
    monkeypatch.setattr(uplink_room, "TICK_MS", NEVER_MS)
    monkeypatch.setattr(upload_sealing, "PAUSE_MS", 0)
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.step()
    hall.step(*[hall.lost(1, 1) for _ in range(BATCH_RECORDS * (WINDOW_BATCHES + 2))])
    yield hall
    hall.store.close()


@pytest.mark.long
def test_what_is_owed_goes_up_without_waiting_for_ticks_and_in_the_window(owing):
    booked, most = asyncio.run(caught_up(owing))
    records = [row[0] for row in owing.store.rows("SELECT record FROM entries ORDER BY seq")]
    assert booked == records[: len(booked)]
    assert len(records) - len(booked) < SEAL_ENTRIES
    assert 0 < most <= WINDOW_BATCHES


@pytest.mark.long
def test_a_build_that_waits_for_its_ticks_is_caught(owing, monkeypatch):
    class Deaf(asyncio.Event):
        def set(self):
            """Wake nobody."""

    monkeypatch.setattr(sys.modules[__name__], "MOST_S", 1)
    monkeypatch.setattr(uplink_room.asyncio, "Event", Deaf)
    with pytest.raises(TimeoutError):
        asyncio.run(caught_up(owing))
