"""Our arm: agent and office as processes. An event is a coin; its source is a bridge, which keeps it until `booked`."""

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path

from back_office.settings import database_file
from benchmarks.versus.rig import DEVICES, READY_S, Rig, until_port
from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings
from payment_core.bus import Birth, Booked, DeviceState, decode, device_topic, encode, parse_topic
from payment_core.events import CoinInserted, make_event
from payment_core.journal import CoinBooked, decode_entry
from payment_core.money import Money
from payment_core.policy import Lane, RiskDocument
from payment_core.pricing import PriceList, PriceRule
from venuehub.demo.brokers import free_port
from venuehub.demo.places import UNIT, Place
from venuehub.demo.plan import COIN_POSITION, COIN_VALUE, ZONES, ArcadePlan, Folder, make_hall
from venuehub.demo.processes import Child
from venuehub.demo.venue import Arcade, found_arcade
from venuehub.demo.waiting import eventually

NO_MACHINE_COSTS = 10**9
"""So a coin is one entry: none of them ever plays."""
AGAIN_S = 1.0
"""After so long a bridge says again what is not booked."""
AGAIN_AT_MOST = 256
EVENT_TYPE = CoinBooked.__struct_config__.tag


class Ours(Rig):
    """See the module."""

    name = "venuehub"

    def __init__(self, folder: Path, state: Path) -> None:
        super().__init__(folder, state)
        self.demo = Folder(folder / "venue")
        self.arcade: Arcade
        self.office: Child
        self.hub_program: tuple[str, ...] = ("edge_agent.app",)
        """The module that is run as the hub, and what stands before its own arguments."""
        self._kept: dict[tuple[str, int], float] = {}
        self._link: MqttLink | None = None
        self._epoch = time.time_ns() // 1_000_000_000
        self._tasks: list[asyncio.Task[None]] = []
        self._hub = ""
        self._there: Counter[int] = Counter()
        self._newest = 0
        self._books: sqlite3.Connection | None = None

    async def set_up(self) -> None:
        """Found an arcade of one hall with `DEVICES` coin acceptors; start the venue's broker."""
        await self.line.start()
        places = tuple(_place(number) for number in range(DEVICES))
        hall = make_hall(ZONES[0], places)
        prices = PriceList(0, UNIT, (PriceRule(price=(Money(NO_MACHINE_COSTS, UNIT),)),))
        plan = ArcadePlan(0, (hall,), (), (), prices, RiskDocument(version=0))
        self.demo.make(plan.halls)
        self.arcade = found_arcade(plan, self.demo, uplink_port=self.line.port)
        self._hub = self.arcade.halls[0].hub
        hub = self.demo.hall(hall.name).hub
        self.state.mkdir(parents=True, exist_ok=True)
        (hub / "hub.toml").write_text(
            f'identity = "identity"\nstate = "{self.state}"\n'
            f'[device_bus]\nhost = "127.0.0.1"\nport = {self.venue_port}\n'
            f'[uplink]\nhost = "127.0.0.1"\nport = {self.line.port}\n'
        )
        await self.broker("venue-broker", self.venue_port)
        self._tasks.append(asyncio.create_task(self._bridge()))

    async def start_far(self) -> None:
        """Start the office and its broker."""
        await self.broker("office-broker", self.far_port)
        await self.start_office(self.far_port)

    async def start_office(self, port: int) -> None:
        """Start the office; it is started again when it ends, as systemd does. `port`: where its broker is."""
        http = free_port()
        self.office = await self.child(
            "office",
            [sys.executable, "-m", "venuehub", "office", "run", "--dir", str(self.demo.office),
             "--broker", f"mqtt://127.0.0.1:{port}", "--http", f"127.0.0.1:{http}"],
            restart=True,
        )  # fmt: skip
        await until_port(http)

    async def start_edge(self) -> None:
        """Start the hub's program; it is started again when it ends, as systemd does."""
        toml = self.demo.hall(ZONES[0]).hub / "hub.toml"
        self.edge = await self.child(
            "hub", [sys.executable, "-m", *self.hub_program, "--config", str(toml)], restart=True
        )

    async def edge_ready(self) -> None:
        """Wait until the hub has its documents: the first coin is booked then."""
        await self.feed(1, per_second=1_000)
        await eventually(lambda: not self._kept, seconds=READY_S)
        assert not self._kept, "the hub books nothing"

    async def send(self, number: int) -> None:
        """Drop a coin: the device's number and place in its sequence say which one it is."""
        device, seq = f"acceptor-{number % DEVICES}", number // DEVICES + 1
        self._kept[device, seq] = time.monotonic()
        await self._say(device, seq)

    def unsafe(self) -> int:
        """Count what the hub has not said that it has booked."""
        return len(self._kept)

    def arrived(self) -> Counter[int]:
        """Count the coins in the office's books."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._look()
        return self._there

    def _look(self) -> None:
        if self._books is None:
            file = database_file(self.demo.office)
            self._books = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        rows = self._books.execute(
            "SELECT seq, type, record FROM entries WHERE stream = 0 AND hub_id <> ?1 AND seq > ?2 ORDER BY seq",
            (bytes(16), self._newest),
        ).fetchall()
        now = time.perf_counter()
        for seq, kind, record in rows:
            self._newest = max(self._newest, seq)
            if kind == EVENT_TYPE:
                coin = decode_entry(record)
                assert isinstance(coin, CoinBooked)
                assert coin.amount == COIN_VALUE
                number = (coin.event_seq - 1) * DEVICES + int(coin.device.rpartition("-")[2])
                self._there[number] += 1
                self.first_at.setdefault(number, now)

    async def stop(self) -> None:
        """End the bridge too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._books is not None:
            self._books.close()
        await super().stop()

    # ---- the bridge ----

    async def _bridge(self) -> None:
        while True:
            try:
                await self._session()
            except* BrokerUnavailableError:
                self._link = None
            await asyncio.sleep(0.2)

    async def _session(self) -> None:
        settings = MqttSettings(host="127.0.0.1", port=self.venue_port, client_id="bridge")
        async with MqttLink(settings) as link:
            for number in range(DEVICES):
                device, birth = f"acceptor-{number}", Birth("cctalk-coin-acceptor", 1, "boot", "bridge")
                await link.publish(device_topic(self._hub, device, "birth"), encode(birth), retain=True)
                await link.publish(
                    device_topic(self._hub, device, "state"), encode(DeviceState("online", 0)), retain=True
                )
            await link.subscribe(device_topic(self._hub, "+", "booked"))
            self._link = link
            async with asyncio.TaskGroup() as group:
                group.create_task(self._again())
                group.create_task(self._hear(link))

    async def _hear(self, link: MqttLink) -> None:
        async for message in link.messages():
            address = parse_topic(message.topic)
            assert address is not None
            booked = decode("booked", message.payload)
            assert isinstance(booked, Booked)
            if booked.epoch == self._epoch:
                done = [key for key in self._kept if key[0] == address.name and key[1] <= booked.seq]
                for key in done:
                    del self._kept[key]
        message = "the venue's broker hung up"
        raise BrokerUnavailableError(message, "")

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            old = time.monotonic() - AGAIN_S
            for device, seq in [key for key, at in self._kept.items() if at < old][:AGAIN_AT_MOST]:
                if (device, seq) in self._kept:
                    self._kept[device, seq] = time.monotonic()
                    await self._say(device, seq)

    async def _say(self, device: str, seq: int) -> None:
        link = self._link
        if link is None:
            return
        event = make_event(CoinInserted(COIN_POSITION, seq), seq=seq, epoch=self._epoch, age_ms=0)
        with contextlib.suppress(BrokerUnavailableError):
            await link.publish_soon(device_topic(self._hub, device, "event"), encode(event))


def _place(number: int) -> Place:
    lane = Lane(
        id=f"lane-{number}", machine=f"racer-{number}", zone=ZONES[0], reader=f"reader-{number}",
        output=f"coin-line-{number}", acceptor=f"acceptor-{number}",
    )  # fmt: skip
    return Place(number, lane)
