"""The hub's end of the device bus: messages in become facts for the till, the till's effects become messages."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from typing import Final

from cloud_sync.ending import pause
from cloud_sync.mqtt_link import Inbound, MqttLink, MqttLinkError, MqttSettings
from cloud_sync.protocol.retry import reconnect_delay_ms
from edge_agent.clock import boottime_ms
from edge_agent.desk.staff_desk import SALT_BYTES, StaffDesk
from edge_agent.links.out_tray import OutTray
from edge_agent.links.pumps import pump_together
from edge_agent.log_lines import log
from edge_agent.messages import Answered, Born, DeviceIs, Effect, FromDevice, Input, SayBooked, Send, Show
from edge_agent.staff_messages import Reply, StaffKnown, StaffLocked, TellCard
from payment_core.bus import (
    Birth,
    DeviceState,
    decode,
    device_topic,
    encode,
    parse_topic,
    terminal_topic,
    view_topic,
)
from payment_core.commands import Result
from payment_core.desk import DeskRequest
from payment_core.errors import MalformedMessageError
from payment_core.events import Event

HEARD: Final = ("birth", "state", "event", "result")


class DeviceBus:
    """Pumps the bus until cancelled; reconnects by itself. What staff ask for goes by the desk, who checks them."""

    def __init__(self, settings: MqttSettings, *, hub: str, offer: Callable[[Input], object]) -> None:
        self._settings = settings
        self._hub = hub
        self._offer = offer
        self._staff = StaffDesk(
            offer=offer,
            answer=lambda terminal, reply: self.carry_out(Reply(terminal, reply)),
            now_ms=lambda: time.time_ns() // 1_000_000,
            salt=os.urandom(SALT_BYTES),
        )
        self._tray = OutTray()
        self._wake = asyncio.Event()
        self._dropped = 0

    def carry_out(self, effect: Effect) -> None:
        """Queue an effect for the bus; called in the loop's thread."""
        if isinstance(effect, StaffKnown | StaffLocked | TellCard):
            self._staff.on_effect(effect)
        self._tray.put(effect, boottime_ms())
        self._wake.set()

    async def run(self) -> None:
        """Connect, subscribe, pump; again after every loss with full jitter."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._staff.run())
            await self._stay_connected()

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            try:
                async with MqttLink(self._settings) as link:
                    wanted = [device_topic(self._hub, "+", leaf) for leaf in HEARD]
                    await link.subscribe(*wanted, terminal_topic(self._hub, "+", "request"))
                    log("bus.up", where=f"{self._settings.host}:{self._settings.port}")
                    attempt = 0
                    self._tray.link_up(boottime_ms())
                    self._wake.set()
                    await pump_together(self._listen(link), self._send(link))
            except MqttLinkError as error:
                if attempt in (0, 5):
                    log("bus.down", why=str(error))
                self._tray.clear_stale(boottime_ms())
            await pause(reconnect_delay_ms(attempt, dice=random.random()) / 1000)  # noqa: S311 - jitter
            attempt += 1

    async def _listen(self, link: MqttLink) -> None:
        async for message in link.messages():
            self._hear(message)

    async def _send(self, link: MqttLink) -> None:
        while True:
            effect = self._tray.take(boottime_ms())
            if self._tray.dropped > self._dropped:
                self._dropped = self._tray.dropped
                log("bus.dropped", count=self._dropped)
            match effect:
                case Send(device=device, command=command):
                    await link.publish_soon(device_topic(self._hub, device, "command"), encode(command))
                case SayBooked(device=device, booked=booked):
                    await link.publish_soon(device_topic(self._hub, device, "booked"), encode(booked), retain=True)
                case Reply(terminal=terminal, reply=reply):
                    await link.publish_soon(terminal_topic(self._hub, terminal, "reply"), encode(reply))
                case TellCard(terminal=terminal, card=card):
                    await link.publish_soon(terminal_topic(self._hub, terminal, "card"), encode(card))
                case Show(lane=lane, view=view):
                    await link.publish_soon(view_topic(self._hub, lane), encode(view), qos=0, retain=True)
                case None:
                    self._wake.clear()
                    await self._wake.wait()

    def _hear(self, message: Inbound) -> None:
        address = parse_topic(message.topic)
        if address is None or (message.retained and address.leaf in ("event", "result", "request")):
            return  # retained is for state: an event that a broker kept has happened long ago
        try:
            body = decode(address.leaf, message.payload)
        except MalformedMessageError as error:
            log("bus.malformed", device=address.name, why=str(error))
            return
        match body:
            case Event():
                self._offer(FromDevice(address.name, body, boottime_ms()))
            case Result():
                self._offer(Answered(address.name, body))
            case Birth():
                self._offer(Born(address.name, body))
            case DeviceState():
                self._offer(DeviceIs(address.name, body))
            case DeskRequest():
                self._staff.hear(address.name, body)
            case _:
                pass
