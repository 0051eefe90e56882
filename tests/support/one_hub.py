"""One real hub process at a real broker; the test is everything around it: bridge, machine, guest and office."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from cloud_sync.identity import save_identity
from cloud_sync.letters import Publish
from cloud_sync.mqtt_link import MqttLink, MqttSettings
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import LedgerError
from edge_agent.start.opening import Opened, Place, open_ledger
from payment_core.bus import Birth, DeviceState, View, decode, device_topic, encode, parse_topic
from payment_core.commands import Command, Outcome, Result
from payment_core.events import CredentialPresented, make_event
from payment_core.identifiers import uuid_text
from tests.cloud_sync.broker import mosquitto
from tests.cloud_sync.world import HUB, WALL_MS, MemoryOffice, hub_identity, hub_record, make_receiver
from tests.support.hall import PEPPER, Hall, uid_of
from venuehub.demo.processes import Child, python_module

CARD = "card-7"
MONEY = 100_000_000
LANES = 2
DEADLINE_S = 30.0
PAUSE_S = 0.02
OPEN_ONES = "SELECT count(*) FROM authorizations WHERE state IN (2, 3)"
PAID = "SELECT count(*) FROM authorizations WHERE state IN (3, 4, 7)"
RISK = {"repeat_after_ms": 0, "answer_ms": 60_000}


def furnish(state: Path) -> None:
    """Make a ledger with lanes, prices and a rich member."""
    place = Place(state)
    place.make()
    opened = open_ledger(place, epoch=1)
    assert isinstance(opened, Opened)
    hall = Hall(place.ledger, open_store=lambda _path: opened.store, lanes=LANES, risk=RISK)
    hall.enroll(CARD, MONEY)
    opened.mark.note(opened.store)
    opened.mark.close()
    hall.store.close()


class OneHub:
    """See the module. `given`: ids the machine gave for; `office`: the books; `states`: what the hub says it is."""

    def __init__(self, folder: Path, state: Path, link: MqttLink, hub: Child, office: MemoryOffice) -> None:
        self.folder, self.state, self.hub, self.office = folder, state, hub, office
        self.ledger = Place(state).ledger
        self.receiver = make_receiver(office)
        self.office_hears = True
        self.given: set[str] = set()
        self.views: list[tuple[float, str, View]] = []
        self.states: list[dict[str, str]] = []
        self.waiting: list[Command] = []
        self.answers = True
        """False: the bridge keeps its results to itself; `waiting` has the commands."""
        self._link = link
        self._name = uuid_text(HUB)
        self._seq = time.time_ns() // 1_000_000

    async def introduce(self) -> None:
        """Publish births and states of all outputs, retained."""
        for lane in range(1, LANES + 1):
            device = f"coin-{lane}"
            birth = encode(Birth("arcade-coin-line", 1, "boot-1", "bridge-1"))
            await self._link.publish(device_topic(self._name, device, "birth"), birth, retain=True)
            online = encode(DeviceState("online", 0))
            await self._link.publish(device_topic(self._name, device, "state"), online, retain=True)

    async def listen(self) -> None:
        """Be bridge and office for whatever comes."""
        async for message in self._link.messages():
            if message.topic.startswith("vh/"):
                await self._hear_uplink(message.topic, message.payload)
            else:
                await self._hear_bus(message.topic, message.payload)

    async def _hear_uplink(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/up/state"):
            self.states.append(json.loads(payload))
        if topic.endswith("/up/state") or not self.office_hears:
            return
        now_ms = max(time.time_ns() // 1_000_000, WALL_MS)
        for effect in self.receiver.on_message(now_ms, topic, payload):
            if isinstance(effect, Publish):
                await self._link.publish(effect.topic, effect.payload)

    async def _hear_bus(self, topic: str, payload: bytes) -> None:
        address = parse_topic(topic)
        assert address is not None
        if address.leaf == "view":
            view = decode("view", payload)
            assert isinstance(view, View)
            self.views.append((time.monotonic(), address.name, view))
        elif address.leaf == "command":
            command = decode("command", payload)
            assert isinstance(command, Command)
            await self._obey(address.name, command)

    async def _obey(self, device: str, command: Command) -> None:
        if command.ttl_ms:
            self.given.add(command.id)
            if not self.answers:
                self.waiting.append(command)
                return
        elif not self.answers:
            return
        await self.result(device, command, "done" if command.id in self.given else "refused")

    async def result(self, device: str, command: Command, outcome: Outcome) -> None:
        """Publish a result."""
        await self._link.publish(device_topic(self._name, device, "result"), encode(Result(command.id, outcome)))

    async def speak_again(self) -> None:
        """Let the bridge tell the results it kept."""
        self.answers = True
        for command in self.waiting:
            await self.result("coin-1", command, "done")
        self.waiting.clear()

    async def tap(self, lane: int = 1) -> None:
        """Hold the card against a reader."""
        self._seq += 1
        body = CredentialPresented("ntag21x", uid_of(CARD), "C")
        event = make_event(body, seq=self._seq, epoch=1, age_ms=0)
        await self._link.publish(device_topic(self._name, f"reader-{lane}", "event"), encode(event))

    async def sell(self) -> None:
        """Tap until the machine gave once more."""
        before = len(self.given)
        await self.until(lambda: len(self.given) > before, "a play is given", again=self.tap)

    async def until(self, holds: Callable[[], object], what: str, *, seconds: float = DEADLINE_S, again=None) -> float:
        """Wait for something; return how long it took. `again`: what to do over and over meanwhile."""
        since = last = time.monotonic()
        if again is not None:
            await again()
        while not holds():
            now = time.monotonic()
            assert now - since < seconds, f"waited {seconds} s in vain until {what}; the hub: {self.hub.last_words()}"
            if again is not None and now - last > 0.3:
                last = now
                await again()
            await asyncio.sleep(PAUSE_S)
        return time.monotonic() - since

    def said(self, event: str) -> int:
        """How often the hub's log has an event."""
        lines = (self.folder / "hub.log").read_text(errors="replace").splitlines()
        return sum(line.startswith("{") and json.loads(line).get("event") == event for line in lines)

    def closed_views(self, since: float) -> list[str]:
        """Return the lanes that showed the closed sign since a moment."""
        return [lane for at, lane, view in self.views if at >= since and view.reason == "hub_closed"]

    def one(self, sql: str) -> int:
        """One number from the ledger; -1 while it cannot be read."""
        try:
            with contextlib.closing(LedgerReader(self.ledger)) as reader:
                return int(reader.rows(sql)[0][0] or 0)
        except LedgerError:
            return -1

    @property
    def booked(self) -> list[bytes]:
        """The records the office has."""
        return self.office.booked.get(HUB, [])

    @property
    def frozen(self) -> str:
        """Why the office froze this hub, or empty."""
        return self.office.hubs[HUB].frozen

    async def synced(self) -> None:
        """Wait until the office has everything."""
        await self.until(lambda: len(self.booked) == self.one("SELECT max(seq) FROM entries"), "the office has it all")

    def paid(self) -> int:
        """How many debits the ledger has."""
        return self.one(PAID)


@contextlib.asynccontextmanager
async def open_hub(
    folder: Path, state: Path, *, mutant: str = "", office: MemoryOffice | None = None
) -> AsyncIterator[OneHub]:
    """Start a broker, a hub on the ledger furnished at `state`, and everything around it.

    `mutant`: of tests.support.broken_hub; `office`: the books that know this hub from before.
    """
    with mosquitto(folder) as (port, _broker):
        identity = msgspec.structs.replace(hub_identity(), broker_host="127.0.0.1", broker_port=port, pepper=PEPPER)
        if not (folder / "identity").exists():
            save_identity(identity, folder / "identity")
        toml = f'identity = "identity"\nstate = "{state}"\n[device_bus]\nhost = "127.0.0.1"\nport = {port}\n'
        toml += f'[uplink]\nhost = "127.0.0.1"\nport = {port}\n'
        (folder / "hub.toml").write_text(toml)
        program = ("tests.support.broken_hub", mutant) if mutant else ("edge_agent.app",)
        command = python_module(*program, "--config", str(folder / "hub.toml"))
        child = Child("hub", command, log=folder / "hub.log", restart=True)
        async with MqttLink(MqttSettings(host="127.0.0.1", port=port)) as link:
            one = OneHub(folder, state, link, child, office or MemoryOffice(hub_record(identity)))
            name = uuid_text(HUB)
            await link.subscribe(f"vd/1/{name}/dev/+/command", f"vd/1/{name}/lane/+/view", "vh/1/+/+/up/#")
            await one.introduce()
            listener = asyncio.create_task(one.listen())
            await child.start()
            try:
                yield one
            finally:
                await child.stop()
                listener.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listener
