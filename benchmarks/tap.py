"""`venuehub bench tap`: from a card's event to the machine's command, over a broker, with the agent as a process."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Protocol

from benchmarks.echo import ANSWER, ASK
from benchmarks.hall import uid_of
from benchmarks.processes import Processes
from benchmarks.report import PAIRS, Report, Row, finished, judge
from cloud_sync.mqtt_link import MqttLink, MqttSettings
from payment_core.bus import Birth, DeviceState, decode, device_topic, encode, parse_topic
from payment_core.commands import Command
from payment_core.events import CredentialPresented, CreditDelivered, make_event

LANES = 200
CARDS = 400
RATE = 200
SECONDS = 2
FLAT_OUT_S = 1.5
SYNCS = 200


class Arm(Protocol):
    """Asks on a free lane; `waits` holds when each lane asked, `took_s` what each answer took."""

    waits: dict[int, float]
    took_s: list[float]

    async def ask(self, lane: int) -> None:
        """Ask on a lane."""


class Lanes:
    """A bridge as the hub sees it: readers that tap, lines that answer every command at once."""

    def __init__(self, link: MqttLink, hub: str, *, lanes: int, cards: int) -> None:
        self.waits: dict[int, float] = {}
        self.took_s: list[float] = []
        self._link = link
        self._hub = hub
        self._lanes = lanes
        self._cards = cards
        self._taps = 0
        self._turns = [0] * lanes
        self._credits = 0
        self._epoch = time.time_ns() // 1_000_000_000

    async def introduce(self) -> None:
        """Publish births and states, retained, and listen for commands."""
        for lane in range(self._lanes):
            device = f"line-{lane}"
            birth, state = Birth("arcade-coin-line", 1, "boot", "bench"), DeviceState("online", 0)
            await self._link.publish(device_topic(self._hub, device, "birth"), encode(birth), retain=True)
            await self._link.publish(device_topic(self._hub, device, "state"), encode(state), retain=True)
        await self._link.subscribe(device_topic(self._hub, "+", "command"))

    async def tap(self) -> None:
        """Tap at the next lane."""
        await self.ask(self._taps % self._lanes)

    async def ask(self, lane: int) -> None:
        """Tap at a lane, each time with another card."""
        self._taps += 1
        self._turns[lane] += 1
        card = uid_of((lane + self._turns[lane] * self._lanes) % self._cards)
        event = make_event(CredentialPresented("ntag21x", card, "C"), seq=self._taps, epoch=self._epoch, age_ms=0)
        self.waits[lane] = time.perf_counter()
        await self._link.publish_soon(device_topic(self._hub, f"reader-{lane}", "event"), encode(event))

    async def listen(self) -> None:
        """Take commands, and say that the credit was delivered."""
        async for message in self._link.messages():
            address = parse_topic(message.topic)
            assert address is not None
            lane = int(address.name.rpartition("-")[2])
            begun = self.waits.pop(lane, None)
            if begun is not None:
                self.took_s.append(time.perf_counter() - begun)
            command = decode("command", message.payload)
            assert isinstance(command, Command)
            self._credits += 1
            done = make_event(CreditDelivered(command.id, 1), seq=self._credits, epoch=self._epoch, age_ms=0)
            await self._link.publish_soon(device_topic(self._hub, address.name, "event"), encode(done))


class Echo:
    """The same over nothing but the broker: one message there, one back."""

    def __init__(self, link: MqttLink) -> None:
        self.waits: dict[int, float] = {}
        self.took_s: list[float] = []
        self._link = link

    async def ask(self, lane: int) -> None:
        """Ask on a lane, with as many bytes as a tap's event has."""
        self.waits[lane] = time.perf_counter()
        await self._link.publish_soon(f"{ASK}/{lane}", bytes(160))

    async def listen(self) -> None:
        """Take answers."""
        await self._link.subscribe(f"{ANSWER}/+")
        async for message in self._link.messages():
            begun = self.waits.pop(int(message.topic.rpartition("/")[2]), None)
            if begun is not None:
                self.took_s.append(time.perf_counter() - begun)


def run() -> Report:
    """Measure all rows."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        processes = Processes(Path(name))
        try:
            port = processes.broker()
            hub, _agent = processes.agent(port, lanes=LANES, cards=CARDS)
            processes.start(sys.executable, "-m", "benchmarks.echo", str(port))
            return finished(asyncio.run(_measure(port, hub, Path(name))))
        finally:
            processes.stop()


async def _measure(port: int, hub: str, folder: Path) -> list[Row]:
    def settings(name: str) -> MqttSettings:
        return MqttSettings(host="127.0.0.1", port=port, client_id=name)

    async with MqttLink(settings("bench-taps")) as tap_link, MqttLink(settings("bench-echo")) as echo_link:
        lanes, echo = Lanes(tap_link, hub, lanes=LANES, cards=CARDS), Echo(echo_link)
        await asyncio.sleep(2)
        await lanes.introduce()
        listeners = [asyncio.create_task(lanes.listen()), asyncio.create_task(echo.listen())]
        await asyncio.sleep(1)
        for arm in (lanes, echo):
            await _flat_out(arm)
        times, rates = [], []
        for _pair in range(PAIRS):
            sync_ms = _sync_p99_ms(folder)
            times.append((await _p99_ms(echo) + sync_ms, await _p99_ms(lanes)))
        for _pair in range(PAIRS):
            rates.append((await _flat_out(echo), await _flat_out(lanes)))  # noqa: PERF401 - two measures in order
        for listener in listeners:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
    return [
        judge("p99_at_200", "ms", times, at_most=1.6),
        judge("highest_rate", "1/s", rates, at_least=0.35),
    ]


async def _p99_ms(arm: Arm) -> float:
    """Ask RATE times a second, evenly; return the median over the seconds of each second's p99."""
    p99s = []
    for _second in range(SECONDS):
        arm.took_s.clear()
        begin = time.perf_counter()
        for number in range(RATE):
            await asyncio.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
            await arm.ask(number % LANES)
        await _answered(arm)
        p99s.append(sorted(arm.took_s)[int(len(arm.took_s) * 0.99) - 1] * 1_000)
    return sorted(p99s)[len(p99s) // 2]


async def _flat_out(arm: Arm) -> float:
    """Keep every lane busy; return answers per second. No backlog can grow: a lane asks again when it is answered."""
    arm.took_s.clear()
    begin = time.perf_counter()
    while time.perf_counter() - begin < FLAT_OUT_S:
        for lane in range(LANES):
            if lane not in arm.waits:
                await arm.ask(lane)
        await asyncio.sleep(0)
    rate = len(arm.took_s) / (time.perf_counter() - begin)
    await _answered(arm)
    return rate


async def _answered(arm: Arm) -> None:
    deadline = time.perf_counter() + 3
    while arm.waits and time.perf_counter() < deadline:  # noqa: ASYNC110 - an event per answer would be measured too
        await asyncio.sleep(0.002)
    assert len(arm.waits) < LANES // 10, f"{len(arm.waits)} of {LANES} lanes got no answer"
    arm.waits.clear()


def _sync_p99_ms(folder: Path) -> float:
    log = os.open(folder / "log", os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(log, bytes(SYNCS * 600), 0)
        os.fsync(log)
        took = []
        for number in range(SYNCS):
            begin = time.perf_counter()
            os.pwrite(log, bytes(600), number * 600)
            os.fdatasync(log)
            took.append(time.perf_counter() - begin)
        return sorted(took)[int(SYNCS * 0.99) - 1] * 1_000
    finally:
        os.close(log)
