"""The terminal at a broker that does not want it."""

import asyncio
import logging

from cloud_sync.mqtt_link import MqttSettings
from edge_agent.terminal.app import TerminalSettings, _follow_bus
from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.hall import Hall
from tests.cloud_sync.broker import scripted_peer

CONNACK_5 = b"\x20\x03\x00\x00\x00"
SUBACK_REFUSED = b"\x90\x05\x00\x01\x00\x01\x87"


class Listener(logging.Handler):
    """Says when something was logged."""

    def __init__(self):
        super().__init__()
        self.said = asyncio.Queue()

    def emit(self, record):
        self.said.put_nowait(record.getMessage())


async def follow(port):
    settings = TerminalSettings(hub="hub-1", mqtt=MqttSettings(host="127.0.0.1", port=port))
    listener = Listener()
    logger = logging.getLogger("venuehub.terminal")
    logger.addHandler(listener)
    hall = Hall(default_language="en", languages=("en",))
    following = asyncio.create_task(_follow_bus(settings, hall, DeskLine("hub-1")))
    try:
        async with asyncio.timeout(20):
            said = await listener.said.get()
        assert not following.done()
        return said
    finally:
        logger.removeHandler(listener)
        following.cancel()


def test_a_topic_that_the_broker_refuses_is_named_and_asked_for_again():
    with scripted_peer((CONNACK_5, SUBACK_REFUSED)) as port:
        assert "with code 0x87: look at its access list" in asyncio.run(follow(port))
