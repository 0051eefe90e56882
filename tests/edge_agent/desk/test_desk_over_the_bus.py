"""What an attendant asks goes over a real broker: the hub's end, the terminal's end, the till between them."""

import asyncio
import contextlib

import pytest

from cloud_sync.mqtt_link import MqttLink, MqttSettings
from edge_agent.links.device_bus import DeviceBus
from edge_agent.terminal.app import TerminalSettings, _follow_bus
from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.hall import Hall as Screens
from payment_core.bus import encode, terminal_topic
from payment_core.desk import DeskReply, DeskRequest, Look, TopUp
from payment_core.identifiers import uuid_text
from payment_core.pin import make_verifier
from payment_core.staff_policy import Person
from tests.cloud_sync.broker import mosquitto
from tests.support.desk import DRAWER, DeskHall, card_text, staff_document

pytestmark = pytest.mark.slow
PIN = "2580"


class Place:
    """A hub's till behind its real end of the bus, and a terminal."""

    def __init__(self, folder, port):
        self.hall = DeskHall(folder / "ledger.db")
        self.hall.enroll("card-7", 100)
        mqtt = MqttSettings(host="127.0.0.1", port=port)
        self.bus = DeviceBus(mqtt, hub="hub-1", offer=self.offer)
        self.line = DeskLine("hub-1")
        self.settings = TerminalSettings(hub="hub-1", mqtt=mqtt)
        chen = Person("chen", "attendant", pin=make_verifier(PIN, salt=bytes(16)))
        self.offer(staff_document(2, people=(chen,)))

    def offer(self, fact):
        for effect in self.hall.step(fact):
            self.bus.carry_out(effect)

    @contextlib.asynccontextmanager
    async def open(self):
        screens = Screens(default_language="en", languages=("en",))
        tasks = [
            asyncio.create_task(self.bus.run()),
            asyncio.create_task(_follow_bus(self.settings, screens, self.line)),
        ]
        try:
            async with asyncio.timeout(30):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.hall.store.close()


def request_of(number, act, pin=PIN):
    return DeskRequest(uuid_text(number.to_bytes(16, "big")), "chen", act, pin)


async def answered(line, request):
    """Ask until the hub is there; the same id is the same act, however often it is sent."""
    while (reply := await line.ask("desk-1", request)) is None:  # noqa: ASYNC110 - as a page asks again
        await asyncio.sleep(0.01)
    return reply


def test_a_request_is_answered_over_the_broker_and_done_once(tmp_path):
    async def story(port):
        place = Place(tmp_path, port)
        async with place.open():
            top_up = request_of(1, TopUp(card_text("card-7"), 500, DRAWER))
            first = await answered(place.line, top_up)
            again = await answered(place.line, top_up)
            wrong = await answered(place.line, request_of(2, Look("open"), pin="1111"))
            assert first.outcome in ("done", "again")
            assert (again.outcome, again.amount, wrong.reason) == ("again", 500, "wrong_pin")
            assert place.hall.balance("card-7") == 600

    with mosquitto(tmp_path) as (port, _process):
        asyncio.run(story(port))


def test_a_request_that_a_broker_kept_is_not_heard(tmp_path):
    """Retained is for state: somebody who can publish leaves nothing behind that acts at the hub's next start."""

    async def story(port):
        place = Place(tmp_path, port)
        kept = request_of(1, TopUp(card_text("card-7"), 500, DRAWER))
        async with MqttLink(place.settings.mqtt) as link:
            await link.publish_soon(terminal_topic("hub-1", "desk-1", "request"), encode(kept), retain=True)
            await link.drain()
        async with place.open():
            assert isinstance(await answered(place.line, request_of(2, Look("open"))), DeskReply)
            assert place.hall.balance("card-7") == 100

    with mosquitto(tmp_path) as (port, _process):
        asyncio.run(story(port))
