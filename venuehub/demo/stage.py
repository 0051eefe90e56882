"""The demo's processes in their order: brokers, devices, office, hub, bridge, guest pages; and their end."""

import asyncio
import json
import time
from pathlib import Path
from typing import Final

from cloud_sync.mqtt_link import MqttSettings
from payment_core.identifiers import uuid_text
from venuehub.demo.brokers import User, find_mosquitto, free_port, make_broker
from venuehub.demo.guests import Guests
from venuehub.demo.observer import Observer
from venuehub.demo.persons import phone_page
from venuehub.demo.places import READER, Place
from venuehub.demo.plan import DESK, ArcadePlan, Folder, HallPlan
from venuehub.demo.processes import Child, python_module
from venuehub.demo.relay import Relay
from venuehub.demo.venue import LOOPBACK, STAFF, Arcade, found_arcade, write_settings
from venuehub.demo.visits import Visits
from venuehub.demo.waiting import eventually
from venuehub.errors import CliError, ExitCode

READY_S: Final = 60.0
"""How long everything together may take to be there."""


class Stage:
    """A running demo venue."""

    def __init__(self, plan: ArcadePlan, folder: Folder) -> None:
        self.plan = plan
        self.folder = folder
        self.addresses: dict[str, str] = {}
        self.arcade: Arcade
        self.observer: Observer
        self.guests: Guests
        self.bus_port = 0
        self.relay: Relay
        self.hubs: dict[str, Child] = {}
        """By hall."""
        self.bridges: dict[str, Child] = {}
        self.machines: Child
        self.visits: Visits
        self._simulators: dict[str, Child] = {}
        """By booth device: the process that its lines go to."""
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ledgers(self) -> list[Path]:
        """The ledger files of all hubs."""
        return [self.folder.hall(hall.name).ledger for hall in self.plan.halls]

    @property
    def restarts(self) -> int:
        """How often hubs were started again."""
        return sum(hub.restarts for hub in self.hubs.values())

    def say(self, device: str, line: str) -> None:
        """Let somebody do something at a booth's device: a line of its simulator's script."""
        self._simulators[device].say(f"{device} {line}")

    def hub_at(self, place: Place) -> Child:
        """Return the hub that serves a machine."""
        return self.hubs[self.plan.hall_of(place).name]

    def ledger_at(self, place: Place) -> Path:
        """Return the ledger of the hub that serves a machine."""
        return self.folder.hall(self.plan.hall_of(place).name).ledger

    async def start(self, *, demo_control: str) -> None:
        """Start everything and wait until every device is online; CliError says what did not come up."""
        self.folder.make(self.plan.halls)
        self.bus_port = bus_port = free_port()
        office_port = free_port()
        self.relay = Relay(office_port)
        await self.relay.start()
        self.arcade = found_arcade(self.plan, self.folder, uplink_port=self.relay.port)
        write_settings(self.arcade, self.plan, self.folder, bus_port=bus_port, uplink_port=self.relay.port)
        await self._start_brokers(bus_port, office_port)
        readers, acceptors = await self._start_devices()
        await self._start_programs(bus_port, office_port, demo_control)
        self._observe(bus_port)
        self.guests = Guests(self.plan, readers=readers, acceptors=acceptors)
        self.visits = Visits(self)
        await self._wait_until_ready()

    async def _start_brokers(self, bus_port: int, office_port: int) -> None:
        bus = make_broker(
            "venue-broker", self.folder.root / "venue-broker", self.folder.logs / "venue-broker.log",
            port=bus_port, users=self.arcade.bus_users,
        )  # fmt: skip
        office = make_broker(
            "office-broker", self.folder.root / "office-broker", self.folder.logs / "office-broker.log",
            port=office_port, users=_office_users(self.arcade), office=self.folder.office,
        )  # fmt: skip
        for child, port in ((bus, bus_port), (office, office_port)):
            await self._add(child)
            await _wait_for_port(child, port)

    async def _start_devices(self) -> tuple[Child, Child]:
        lanes = [place.lane for place in self.plan.places]
        dev = str(self.folder.dev)
        cards = [lane.reader for lane in (*lanes, *(booth.place.lane for booth in self.plan.booths))]
        readers = self._wall("readers", [(READER, reader) for reader in cards])
        acceptors = self._wall("acceptors", [("cctalk-coin-acceptor", lane.acceptor) for lane in lanes])
        count = str(self.plan.machine_count)
        machine_command = python_module(
            "firmware_bridge.simulators.game_machine", "--machines", count, "--dir", dev, "--play-ms", "800"
        )
        self.machines = self._child("machines", machine_command)
        for child in (readers, acceptors, self.machines, *self._booth_devices()):
            await self._add(child)
        return readers, acceptors

    def _booth_devices(self) -> list[Child]:
        """Return the processes of the booths' own devices: all serial ones in one, and each that is on lines."""
        devices = [device for booth in self.plan.booths for device in booth.devices]
        serial = [device for device in devices if not device.on_lines]
        wall = self._wall("booths", [(device.profile, device.id) for device in serial])
        self._simulators = {device.id: wall for device in serial}
        for device in devices:
            if device.on_lines:
                link = str(self.folder.dev / f"{device.id}.sock")
                command = python_module("firmware_bridge.simulators", device.profile, "--link", link)
                self._simulators[device.id] = self._child(device.id, command)
        return list(dict.fromkeys(self._simulators.values()))

    def _wall(self, name: str, devices: list[tuple[str, str]]) -> Child:
        """Return a process with so many serial devices: profile and id of each."""
        named = [f"{profile}={device}" for profile, device in devices]
        return self._child(name, python_module("venuehub.demo.device_wall", str(self.folder.dev), *named))

    async def _start_programs(self, bus_port: int, office_port: int, demo_control: str) -> None:
        scheme = "mqtts" if find_mosquitto() else "mqtt"
        office_http = free_port()
        office = [
            "office", "run", "--dir", str(self.folder.office), "--broker", f"{scheme}://{LOOPBACK}:{office_port}",
            "--http", f"{LOOPBACK}:{office_http}", "--demo-control", demo_control,
        ]  # fmt: skip
        await self._add(self._child("office", python_module("venuehub", *office)))
        self.addresses["office"] = f"http://{LOOPBACK}:{office_http}/"
        for hall in self.plan.halls:
            await self._start_hall(hall, bus_port)
        self.addresses["desk_person"] = f"{STAFF}, PIN {self.arcade.pin}"
        self.addresses["machine"] = f"{self.addresses['machines']}lane/{self.plan.places[0].lane.id}"
        self.addresses["phone"] = phone_page(self.addresses["office"])
        self.addresses["device_bus"] = f"mqtt://{LOOPBACK}:{bus_port}"

    async def _start_hall(self, hall: HallPlan, bus_port: int) -> None:
        """Start a hall's hub, bridge and guest pages."""
        own, place = self.arcade.hall(hall.name), self.folder.hall(hall.name)
        first = hall is self.plan.halls[0]
        suffix = "" if first else f"-{hall.name}"
        guest_http = free_port()
        terminal = own.users.terminal.name
        guest = [
            "terminal", "run", "--hub", own.hub, "--broker", f"mqtt://{LOOPBACK}:{bus_port}",
            "--http", f"{LOOPBACK}:{guest_http}", "--username", terminal,
            "--password-file", str(self.folder.root / f"{terminal}.password"),
        ]  # fmt: skip
        hub = python_module("edge_agent.app", "--config", str(place.hub / "hub.toml"))
        bridge = python_module("firmware_bridge.app", "--config", str(place.bridge / "bridge.toml"))
        self.hubs[hall.name] = self._child(f"hub{suffix}", hub, restart=True)
        self.bridges[hall.name] = self._child(f"bridge{suffix}", bridge, restart=True)
        pages = self._child(f"terminal{suffix}", python_module("venuehub", *guest))
        for child in (self.hubs[hall.name], self.bridges[hall.name], pages):
            await self._add(child)
        pages_at = f"http://{LOOPBACK}:{guest_http}/"
        self.addresses["machines" if first else f"machines_{hall.name}"] = pages_at
        self.addresses["desk" if first else f"desk_{hall.name}"] = f"{pages_at}desk/{DESK}"

    def _observe(self, bus_port: int) -> None:
        user = self.arcade.observer
        settings = MqttSettings(host=LOOPBACK, port=bus_port, username=user.name, password=user.password)
        own = [place.lane for place in (*self.plan.places, *(booth.place for booth in self.plan.booths))]
        lanes = {lane.reader: lane.id for lane in own} | {lane.output: lane.id for lane in own}
        modules = frozenset(lane.step_up_reader for lane in own)
        self.observer = Observer(settings, lane_of_reader=lanes, modules=modules)
        self._tasks.append(asyncio.create_task(self.observer.run(), name="observer"))

    async def _wait_until_ready(self) -> None:
        wanted = {
            device
            for place in self.plan.places
            for device in (place.lane.reader, place.lane.acceptor, place.lane.output)
        }.union(*(booth.device_ids for booth in self.plan.booths))
        missing = await self.observer.wait_until_online(wanted, READY_S)
        self._refuse_dead(missing)
        for hub in self.hubs.values():
            log = self.folder.logs / f"{hub.name}.log"
            await eventually(lambda log=log: _has_event(log.read_text(), "list.taken"), seconds=READY_S)  # type: ignore[misc]
        for name, address in self.addresses.items():
            if not name.startswith(("office", "machines")):
                continue
            port = int(address.rstrip("/").rpartition(":")[2])
            await _wait_for_port(self._children[-1], port)

    def _refuse_dead(self, missing: set[str]) -> None:
        dead = [child for child in self._children if not child.running]
        if dead:
            raise _did_not_start(dead[0])
        if missing:
            raise CliError(
                "devices_silent", f"not online: {', '.join(sorted(missing))}", where=str(self.folder.logs),
                hint="run again with --keep DIR: DIR/logs", exit_code=ExitCode.DEVICE_SILENT,
            )  # fmt: skip

    def _child(self, name: str, command: list[str], *, restart: bool = False) -> Child:
        return Child(name, command, log=self.folder.logs / f"{name}.log", restart=restart)

    async def _add(self, child: Child) -> None:
        self._children.append(child)
        await child.start()

    async def stop(self) -> None:
        """End every process, programs before brokers."""
        for task in self._tasks:
            task.cancel()
        if hasattr(self, "relay"):
            await self.relay.stop()
        programs, brokers = self._children[2:], self._children[:2]
        await asyncio.gather(*(child.stop() for child in programs))
        await asyncio.gather(*(child.stop() for child in brokers))


def _office_users(arcade: Arcade) -> tuple[User, ...]:
    return (
        User(uuid_text(arcade.tenant_id), "", ("topic readwrite vh/1/#",)),
        User("", "", ("pattern write vh/1/+/%u/up/#", "pattern read vh/1/+/%u/down/#",
                      "pattern read vh/1/tenant/+/document/#")),
    )  # fmt: skip


async def _wait_for_port(child: Child, port: int) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            _reader, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            if not child.running:
                raise _did_not_start(child) from None
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise _did_not_start(child)


def _did_not_start(child: Child) -> CliError:
    return CliError(
        "not_started", f"{child.name} did not start: {child.last_words()}", hint="run again with --keep DIR: DIR/logs",
        exit_code=ExitCode.UNAVAILABLE,
    )  # fmt: skip


def _has_event(log: str, event: str) -> bool:
    return any(json.loads(line).get("event") == event for line in log.splitlines() if line.startswith("{"))
