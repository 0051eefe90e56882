"""What staff do at a hall's desk in the demo: over the device bus with a PIN, as from the attendant's page."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from cloud_sync.mqtt_link import MqttLink, MqttSettings
from payment_core.bus import decode, encode, terminal_topic
from payment_core.desk import Act, DeskReply, DeskRequest
from payment_core.identifiers import uuid7, uuid_text
from venuehub.demo.plan import DESK, HallPlan
from venuehub.demo.venue import LOOPBACK, STAFF

if TYPE_CHECKING:
    from venuehub.demo.stage import Stage

REPLY_S: Final = 5.0
Ask = Callable[[Act], Awaitable[DeskReply]]


@contextlib.asynccontextmanager
async def at_desk(stage: "Stage", hall: HallPlan) -> AsyncIterator[Ask]:
    """Stand at a hall's desk: yields what asks for one act and returns its answer. TimeoutError: the hub is silent."""
    own = stage.arcade.hall(hall.name)
    user = own.users.terminal
    settings = MqttSettings(host=LOOPBACK, port=stage.bus_port, username=user.name, password=user.password)
    async with MqttLink(settings) as link:
        await link.subscribe(terminal_topic(own.hub, DESK, "reply"))

        async def ask(act: Act) -> DeskReply:
            return await _ask(link, own.hub, stage.arcade.pin, act)

        yield ask


async def _ask(link: MqttLink, hub: str, pin: str, act: Act) -> DeskReply:
    request_id = uuid_text(uuid7(unix_ms=time.time_ns() // 1_000_000, dice=os.urandom(10)))
    request = DeskRequest(request_id, STAFF, act, pin)
    await link.publish(terminal_topic(hub, DESK, "request"), encode(request))
    async with asyncio.timeout(REPLY_S):
        async for message in link.messages():
            reply = decode("reply", message.payload)
            if isinstance(reply, DeskReply) and reply.id == request_id:
                return reply
    raise TimeoutError
