"""The demo's own eyes on the device bus: counts and times taps and their answers as any client could."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

from cloud_sync.ending import pause
from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings
from payment_core.bus import DeviceState, View, decode, parse_topic
from payment_core.commands import Command
from payment_core.events import CodeScanned, CredentialPresented, CreditDelivered, Event, event_body

ANSWERS: Final = frozenset({"held", "declined", "repeated"})
ENDINGS: Final = frozenset({"approved", "declined", "voided", "in_doubt"})


class Observer:
    """Watches the bus of all halls; lanes and devices have names of their own in the whole arcade."""

    def __init__(
        self, settings: MqttSettings, *, lane_of_reader: dict[str, str], modules: frozenset[str] = frozenset()
    ) -> None:
        """`modules`: of fingers and faces; what they match is a tap only where a hub had asked for it."""
        self.taps = 0
        self.answers: Counter[str] = Counter()
        self.declined: Counter[str] = Counter()
        self.online: set[str] = set()
        self.commands: Counter[str] = Counter()
        """By device: how many plays it was told of."""
        self.shown: dict[str, View] = {}
        """By lane: what its page was told last."""
        self.ended: dict[str, View] = {}
        """By lane: how its last play ended or was refused; a price may be shown right behind it."""
        self.endings: Counter[str] = Counter()
        """By lane: how many plays ended or were refused."""
        self.ends: defaultdict[str, set[str]] = defaultdict(set)
        """By lane: in which ways."""
        self.command_ms: list[float] = []
        self.credit_ms: list[float] = []
        self._settings = settings
        self._lane_of_reader = lane_of_reader
        self._modules = modules
        self._tapped: dict[str, float] = {}
        self._commanded: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._seen: set[tuple[str, int, int]] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            with contextlib.suppress(BrokerUnavailableError):
                async with MqttLink(self._settings) as link:
                    await link.subscribe("vd/1/+/dev/#", "vd/1/+/lane/#")
                    async for message in link.messages():
                        self._see(message.topic, message.payload, retained=message.retained)
            await pause(0.2)

    async def wait_until_online(self, devices: set[str], timeout_s: float) -> set[str]:
        """Wait for devices to be online; return those that are not when the time is up."""
        await self.wait_until(lambda: devices <= self.online, timeout_s)
        return devices - self.online

    async def wait_for_command(self, device: str, number: int, timeout_s: float) -> bool:
        """Wait until a device is told of its `number`th play, without the pauses of polling; say whether it was."""
        return await self.wait_until(lambda: self.commands[device] >= number, timeout_s)

    async def wait_until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something that is seen here holds, without the pauses of polling; say whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        return holds()

    def _see(self, topic: str, payload: bytes, *, retained: bool) -> None:
        address = parse_topic(topic)
        if address is None:
            return
        match decode(address.leaf, payload):
            case DeviceState(state=state):
                (self.online.add if state == "online" else self.online.discard)(address.name)
                self._changed.set()
            case Event() as event:
                self._event(address.name, event)
            case View() as view if not retained:
                self._view(address.name, view)
            case Command() as command if command.ttl_ms:
                self._command(address.name, command)
            case _:
                pass

    def _event(self, device: str, event: Event) -> None:
        match event_body(event):
            case CredentialPresented(intent="") if device in self._modules:
                pass
            case CredentialPresented() | CodeScanned():
                key = (device, event.epoch, event.seq)
                if key not in self._seen:
                    self._seen.add(key)
                    self.taps += 1
                    self._tapped[self._lane_of_reader.get(device, device)] = time.monotonic() - event.age_ms / 1000
            case CreditDelivered() as body:
                since = self._commanded.pop(body.id, None)
                if since is not None:
                    self.credit_ms.append((time.monotonic() - since) * 1000)
            case _:
                pass

    def _view(self, lane: str, view: View) -> None:
        of_coins = view.state == "held" and view.balance_before is None  # no account: nobody tapped for this play
        if view.state in ANSWERS and not of_coins:
            self.answers[view.state] += 1
        if view.state == "declined":
            self.declined[view.reason] += 1
        if view.state in {"declined", "repeated"}:
            self._tapped.pop(lane, None)
        self.shown[lane] = view
        if view.state in ENDINGS:
            self.ended[lane] = view
            self.endings[lane] += 1
            self.ends[lane].add(view.state)
        self._changed.set()

    def _command(self, device: str, command: Command) -> None:
        self.commands[device] += 1
        self._changed.set()
        since = self._tapped.pop(self._lane_of_reader.get(device, device), None)
        if since is not None:
            self.command_ms.append((time.monotonic() - since) * 1000)
            self._commanded[command.id] = since


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50 and p99 in ms, 0 where nothing was measured."""
    if not values:
        return {"p50": 0.0, "p99": 0.0}
    ordered = sorted(values)
    return {"p50": round(ordered[len(ordered) // 2], 1), "p99": round(ordered[int((len(ordered) - 1) * 0.99)], 1)}
