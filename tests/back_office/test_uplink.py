"""The office's uplink outlives what hubs, the broker and the database do to it, and says so in its log."""

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from back_office.live import Live
from back_office.settings import OfficeSettings, Ready
from back_office.store import engine
from back_office.uplink import Uplink, tell_losses
from cloud_sync.mqtt_link import MqttLink, MqttSettings
from tests.cloud_sync.broker import mosquitto, scripted_peer

DEADLINE_S = 20
CONNACK_5 = b"\x20\x03\x00\x00\x00"
SUBACK_REFUSED = b"\x90\x04\x00\x01\x00\x87"


class Story:
    """An uplink of an office at a broker; what it logs is awaited."""

    def __init__(self, office, port, books):
        self.link_settings = MqttSettings(host="127.0.0.1", port=port)
        settings = OfficeSettings(folder=office.file.parent, broker=self.link_settings)
        self.ready = asyncio.Event()
        made_ready = Ready(lambda _: self.ready.set())
        made_ready.have("api")
        made_ready.have("http")
        self.office = Uplink(settings, office.worker, Live(), made_ready, books)
        self._logged = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def note(self, _logger, _method, event):
        self._loop.call_soon_threadsafe(self._logged.put_nowait, event)
        raise structlog.DropEvent

    async def logged(self, name):
        while (event := await self._logged.get())["event"] != name:
            pass
        return event


def run(office, port, tell):
    async def with_uplink():
        with ThreadPoolExecutor(1) as books:
            story = Story(office, port, books)
            old = structlog.get_config()["processors"]
            structlog.configure(processors=[story.note])
            uplink = asyncio.create_task(story.office.run())
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await tell(story)
                assert not uplink.done()
            finally:
                uplink.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await uplink
                structlog.configure(processors=old)

    asyncio.run(with_uplink())


def test_a_topic_that_the_broker_refuses_is_named_and_asked_for_again(office):
    async def tell(story):
        for _ in range(2):
            said = await story.logged("uplink.refused_by_broker")
            assert "'vh/1/+/+/up/#' with code 0x87" in said["why"]

    with scripted_peer((CONNACK_5, SUBACK_REFUSED), (CONNACK_5, SUBACK_REFUSED)) as port:
        run(office, port, tell)


@pytest.mark.sqlite
@pytest.mark.slow
def test_a_database_that_is_locked_is_waited_for_and_the_hello_is_answered(office, tmp_path, monkeypatch):
    monkeypatch.setitem(engine._PRAGMAS, "busy_timeout", ("20", 20))
    office.store.close()
    office.store = engine.open_store(engine.sqlite_url(office.file))
    office.start()

    async def tell(story):
        await story.ready.wait()
        async with MqttLink(story.link_settings) as link:
            await link.subscribe("vh/1/+/+/down/#")
            other = sqlite3.connect(office.file)
            other.execute("BEGIN IMMEDIATE")
            await link.publish(*office.hub.hello())
            assert "database is locked" in (await story.logged("books.unavailable"))["why"]
            other.close()
            async for message in link.messages():
                assert message.topic.endswith("/down/receipt")
                return

    with mosquitto(tmp_path) as (port, _):
        run(office, port, tell)


@pytest.mark.sqlite
@pytest.mark.slow
def test_a_message_that_breaks_the_worker_does_not_end_the_office(office, tmp_path):
    good = office.hub.hello()

    async def tell(story):
        await story.ready.wait()
        raw = sqlite3.connect(office.file)
        raw.execute("PRAGMA ignore_check_constraints = ON")
        (key,) = raw.execute("SELECT seal_key FROM hubs").fetchone()
        raw.execute("UPDATE hubs SET seal_key = x''")
        raw.commit()
        async with MqttLink(story.link_settings) as link:
            await link.subscribe("vh/1/+/+/down/#")
            await link.publish(*good)
            assert (await story.logged("uplink.message_failed"))["topic"] == good[0]
            raw.execute("UPDATE hubs SET seal_key = ?", (key,))
            raw.commit()
            raw.close()
            await link.publish(*office.hub.hello())
            async for message in link.messages():
                assert message.topic.endswith("/down/receipt")
                return

    with mosquitto(tmp_path) as (port, _):
        run(office, port, tell)


def test_losses_are_told_when_they_grow():
    link = MqttLink(MqttSettings(host="127.0.0.1"))
    with structlog.testing.capture_logs() as logs:
        told = tell_losses(link, (0, 0))
        link.dropped = 3
        told = tell_losses(link, told)
        assert tell_losses(link, told) == (3, 0)
    assert logs == [{"event": "uplink.losses", "dropped": 3, "refused": 0, "log_level": "warning"}]
