"""The bridge on the device bus: births, states, events, results out; commands and `booked` in; reconnects by itself."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from cloud_sync.ending import pause, tried
from cloud_sync.mqtt_link import MqttLink, MqttLinkError, MqttSettings
from firmware_bridge.log_lines import log_line
from firmware_bridge.value_log import Kept, ValueLog
from payment_core.bus import Birth, Booked, DeviceState, bridge_topic, decode, device_topic, encode, parse_topic
from payment_core.commands import Command, Result
from payment_core.errors import MalformedMessageError
from payment_core.events import WISH_LIFE_MS, Body, make_event
from payment_core.preparing import Prepare, Prepared

OUTGOING_LIMIT: Final = 1_024
"""Wishes and results that wait for the broker; at the bound the oldest goes: a wish is stale, a result asked again."""
RESEND_S: Final = 1.0
RESEND_LIMIT: Final = 256
"""Value events sent again per round; the others' turn comes when these are booked."""
BOOKED_SETTLE_S: Final = 0.2
"""Retained `booked` come right behind the SUBACK. Waiting only spares useless events: ValueLog.is_behind is right later
as well."""
MESSAGE_BYTES: Final = 4_096
"""What a command or `booked` may have; a queue that is bounded in messages is so bounded in bytes."""
FILTERS_AT_ONCE: Final = 50
FIRST_RETRY_S: Final = 0.2
LAST_RETRY_S: Final = 60.0

OnCommand = Callable[[str, Command], None]
OnBooked = Callable[[str, Booked], None]
OnPrepare = Callable[[Prepare], None]


class _Wish(msgspec.Struct, frozen=True):
    device: str
    body: Body
    at: float


class _Result(msgspec.Struct, frozen=True):
    device: str
    result: Result


class BusClient:
    """Owns the connection. `run` until cancelled; the rest may be called whether it is connected or not."""

    def __init__(self, settings: MqttSettings, *, hub: str, bridge: str, epoch: int, values: ValueLog) -> None:
        self.settled = asyncio.Event()
        """Set once, when the hub's retained `booked` have come after the first connection."""
        self._settings = settings
        self._hub = hub
        self._bridge = bridge
        self._epoch = epoch
        self._values = values
        self._births: dict[str, Birth] = {}
        self._states: dict[str, DeviceState] = {}
        self._changed: dict[tuple[str, str], None] = {}
        self._outgoing: deque[_Wish | _Result | Prepared] = deque(maxlen=OUTGOING_LIMIT)
        self._fresh: deque[Kept] = deque(maxlen=OUTGOING_LIMIT)
        self._held: dict[str, list[Kept]] = {}
        self._flows = False
        self._sent_at: dict[tuple[str, int, int], float] = {}
        self._wish_seq: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._connected = False

    def introduce(self, device: str, birth: Birth) -> None:
        """Publish a birth now and at every connection."""
        if self._births.get(device) != birth:
            self._births[device] = birth
            self._change(device, "birth")

    def tell_state(self, device: str, state: DeviceState) -> None:
        """Publish a state now and at every connection."""
        before = self._states.get(device)
        if before is not None and before.state == state.state:
            state = msgspec.structs.replace(state, since_ms=before.since_ms)
        if state != before:
            self._states[device] = state
            self._change(device, "state")

    def wish(self, device: str, body: Body, *, at: float) -> None:
        """Publish a wish, if that is possible before it is stale. `at`: seconds of the monotonic clock."""
        self._outgoing.append(_Wish(device, body, at))
        self._wake.set()

    def reply(self, device: str, result: Result) -> None:
        """Publish a result."""
        self._outgoing.append(_Result(device, result))
        self._wake.set()

    def tell_prepared(self, answer: Prepared) -> None:
        """Publish the answer to a question to the bridge itself."""
        self._outgoing.append(answer)
        self._wake.set()

    def publish(self, kept: Kept) -> None:
        """Publish a value event that is safely in the log as soon as its turn comes, and resend it until booked.

        Before the first `publish_anew` it is left to that: until then the log may get a new epoch.
        """
        if not self._flows:
            return
        self._sent_at[_place(kept)] = 0.0
        self._fresh.append(kept)
        self._wake.set()

    def look_again(self, device: str) -> None:
        """The hub has booked something of this device: events that had to wait for it may go out now."""
        self._fresh.extend(self._held.pop(device, ()))
        self._wake.set()

    def publish_anew(self) -> None:
        """Publish all events of the log by the numbers they have now, and no former number any more."""
        self._flows = True
        self._fresh.clear()
        self._held.clear()
        self._sent_at.clear()
        for kept in self._values.pending():
            self.publish(kept)

    async def flush(self) -> None:
        """Wait until nothing waits that could be published now."""
        if self._connected and self._waits():
            self._empty.clear()
            await self._empty.wait()

    def _waits(self) -> bool:
        return bool(self._outgoing or self._changed or self._fresh)

    async def run(self, *, on_command: OnCommand, on_booked: OnBooked, on_prepare: OnPrepare) -> None:
        """Stay connected. A broker that is away is tried again with full jitter, up to a minute between two tries."""
        tries, told = 0, ""
        while True:
            started = time.monotonic()
            try:
                await tried(self._session(on_command, on_booked, on_prepare))
            except* MqttLinkError as errors:
                tries = 1 if time.monotonic() - started > LAST_RETRY_S else tries + 1
                text = str(errors.exceptions[0])
                if tries == 1 or text != told:
                    log_line("broker.away", error=text, retrying=True)
                told = text
            finally:
                self._connected = False
            longest_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(tries, 10))
            await pause(random.uniform(0, longest_s))  # noqa: S311 - jitter is no secret

    async def _session(self, on_command: OnCommand, on_booked: OnBooked, on_prepare: OnPrepare) -> None:
        async with MqttLink(self._settings) as link, asyncio.TaskGroup() as group:
            filters = [
                device_topic(self._hub, device, leaf) for device in self._births for leaf in ("command", "booked")
            ]
            filters.append(bridge_topic(self._hub, self._bridge, "bridge_command"))
            for at in range(0, len(filters), FILTERS_AT_ONCE):
                await link.subscribe(*filters[at : at + FILTERS_AT_ONCE])
            self._connected = True
            log_line("broker.connected", host=self._settings.host, port=self._settings.port)
            group.create_task(self._read(link, on_command, on_booked, on_prepare))
            for device in self._births:
                self._change(device, "birth")
                self._change(device, "state")
            if not self.settled.is_set():
                await asyncio.sleep(BOOKED_SETTLE_S)
                self.settled.set()
            group.create_task(self._resend(link))
            await self._write(link)

    async def _read(self, link: MqttLink, on_command: OnCommand, on_booked: OnBooked, on_prepare: OnPrepare) -> None:
        async for message in link.messages():
            address = parse_topic(message.topic)
            if address is None or address.name not in self._births:
                continue
            if len(message.payload) > MESSAGE_BYTES:
                log_line("bus.too_long", topic=message.topic, bytes=len(message.payload), most=MESSAGE_BYTES)
                continue
            try:
                content = decode(address.leaf, message.payload) if message.payload else None
            except MalformedMessageError as error:
                log_line("bus.malformed", topic=message.topic, error=str(error))
                continue
            if isinstance(content, Command):
                on_command(address.name, content)
            elif isinstance(content, Booked):
                on_booked(address.name, content)
            elif isinstance(content, Prepare) and address.name == self._bridge:
                on_prepare(content)

    async def _write(self, link: MqttLink) -> None:
        """Publish what waits: births and states first, then money, then wishes and results in their order."""
        while True:
            while self._changed:
                device, leaf = next(iter(self._changed))
                del self._changed[device, leaf]
                message = self._births[device] if leaf == "birth" else self._states.get(device)
                if message is not None:
                    await link.publish_soon(device_topic(self._hub, device, leaf), encode(message), retain=True)
            while self._fresh:
                kept = self._fresh.popleft()
                if self._values.may_go_out(kept):
                    await self._send_kept(link, kept)
                else:
                    self._held.setdefault(kept.device, []).append(kept)
            while self._outgoing:
                await self._send(link, self._outgoing.popleft())
            self._wake.clear()
            if not self._waits():
                self._empty.set()
                await self._wake.wait()

    async def _send(self, link: MqttLink, item: _Wish | _Result | Prepared) -> None:
        if isinstance(item, Prepared):
            await link.publish_soon(bridge_topic(self._hub, self._bridge, "bridge_result"), encode(item))
            return
        if isinstance(item, _Result):
            await link.publish_soon(device_topic(self._hub, item.device, "result"), encode(item.result))
            return
        age_ms = max(0, round((time.monotonic() - item.at) * 1_000))
        if age_ms > WISH_LIFE_MS:
            return
        seq = self._wish_seq[item.device] = self._wish_seq.get(item.device, 0) + 1
        event = make_event(item.body, seq=seq, epoch=self._epoch, age_ms=age_ms)
        await link.publish_soon(device_topic(self._hub, item.device, "event"), encode(event), qos=0)

    async def _send_kept(self, link: MqttLink, kept: Kept) -> None:
        self._sent_at[_place(kept)] = time.monotonic()
        self._values.note_out(kept)
        event = kept.event(now_ms=time.time_ns() // 1_000_000)
        await link.publish_soon(device_topic(self._hub, kept.device, "event"), encode(event))

    async def _resend(self, link: MqttLink) -> None:
        """Send unbooked events again. One that was never published is not yet synced: its turn comes by `publish`."""
        while True:
            now = time.monotonic()
            pending = [kept for kept in self._values.pending() if _place(kept) in self._sent_at]
            self._sent_at = {_place(kept): self._sent_at[_place(kept)] for kept in pending}
            due = [kept for kept in pending if self._values.may_go_out(kept)]
            for kept in due[:RESEND_LIMIT]:
                if now - self._sent_at[_place(kept)] >= RESEND_S:
                    await self._send_kept(link, kept)
            await asyncio.sleep(RESEND_S)

    def _change(self, device: str, leaf: str) -> None:
        self._changed[device, leaf] = None
        self._wake.set()


def _place(kept: Kept) -> tuple[str, int, int]:
    return kept.device, kept.epoch, kept.seq
