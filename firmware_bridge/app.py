"""The bridge's composition root: devices on one side, the device bus on the other, two logs in between.

`python -m firmware_bridge.app --config bridge.toml` writes JSON log lines to standard error, nothing else.
"""

import argparse
import asyncio
import contextlib
import secrets
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from cloud_sync.ending import heed_signals
from device_profiles.loading import SettingsError
from firmware_bridge.actuation_log import ActuationLog
from firmware_bridge.bus_client import BusClient
from firmware_bridge.clocks import now_ms, utc_ms
from firmware_bridge.desk import Desk, Effect, HandOver, Held, Publish, Reply, StopIntake, Wrote
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, ValueFact, Wish
from firmware_bridge.gate import Attached, Detached
from firmware_bridge.identities import Identities
from firmware_bridge.introductions import DryRuns, Introductions
from firmware_bridge.log_lines import log_line
from firmware_bridge.preallocated import LogFileError
from firmware_bridge.settings import BridgeSettings, load_settings
from firmware_bridge.station import Station, first_fault
from firmware_bridge.value_log import Fact, ValueLog
from payment_core.bus import Booked, DeviceState, device_topic, encode
from payment_core.commands import Command

WORK_LIMIT: Final = 2_048
"""Commands, facts and answers on their way to the desk. Drivers wait at the bound; a command from the bus is dropped:
the hub asks again and is told that it was not acted on."""
BATCH_LIMIT: Final = 256
LOOK_S: Final = 0.25
ENDING_S: Final = 3.0
"""How long a stopping bridge lets a pulse train and the last messages end."""
EXIT_DONE, EXIT_FAILED, EXIT_SETTINGS, EXIT_UNAVAILABLE = 0, 1, 2, 69


class _Arrived(msgspec.Struct, frozen=True):
    command: Command
    arrived_ms: int


class _Spoke(msgspec.Struct, frozen=True):
    said: ValueFact | Counted | Answer | Attached | Detached


class _Work(msgspec.Struct, frozen=True):
    device: str
    item: _Arrived | _Spoke | Booked


class Bridge:
    """One running bridge. LogFileError where its state cannot be used."""

    def __init__(self, settings: BridgeSettings) -> None:
        file = settings.file
        state_dir = Path(file.state_dir)
        self._settings = settings
        self._boot_id = str(uuid.uuid4())
        self._values = ValueLog(state_dir / "values.log", fresh_epoch=secrets.randbits(32))
        actuations = ActuationLog(state_dir / "actuation.log", boot_id=self._boot_id)
        slots = [device for device, profile in settings.profiles.items() if profile.kind == "acceptor"]
        self._desk = Desk(values=self._values, actuations=actuations, devices=list(settings.profiles), acceptors=slots)
        self._desk.sync()
        identities = Identities(state_dir / "identities.json", named={one.id: one.serial for one in file.device})
        self._stations = {
            device.id: Station(
                device,
                settings.profiles[device.id],
                counter=partial(self._counter, device.id),
                unfinished=partial(self._desk.unfinished, device.id),
                identities=identities,
            )
            for device in file.device
        }
        offline = encode(DeviceState(state="offline", since_ms=utc_ms(), reason="bridge_gone"))
        self._bus = BusClient(
            settings.mqtt(will_topic=device_topic(file.hub, file.bridge, "state"), will_payload=offline),
            hub=file.hub,
            bridge=file.bridge,
            epoch=secrets.randbits(32),
            values=self._values,
        )
        self._introductions = Introductions(
            self._bus, bridge=file.bridge, boot_id=self._boot_id, profiles=settings.profiles
        )
        self._dry_runs = DryRuns(self._bus, settings.profiles, settings.catalog)
        self._ready = asyncio.Event()
        self._set_back = self._renewed = False
        self._silent = set(self._stations)
        self._quiet = asyncio.Event()
        self._inboxes: dict[str, Inbox] = {}
        self._first_booked: dict[str, Booked] = {}
        self._work: asyncio.Queue[_Work] = asyncio.Queue(WORK_LIMIT)
        self._at_desk = asyncio.Lock()
        if self._values.full:
            self._stop_intake()
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; then let what runs end, say goodbye and return."""
        self._introductions.introduce(self._settings.file.bridge, Condition("online"))
        for device in self._stations:
            self._introductions.introduce(device, Condition("offline", reason="starting"))
        log_line("bridge.started", bridge=self._settings.file.bridge, boot_id=self._boot_id, epoch=self._values.epoch)
        async with asyncio.TaskGroup() as group:
            pumps = [
                group.create_task(
                    self._bus.run(
                        on_command=self._on_command, on_booked=self._on_booked, on_prepare=self._dry_runs.ask
                    ),
                    name="bus",
                ),
                group.create_task(self._dry_runs.run(), name="dry runs"),
                group.create_task(self._keep_desk(), name="desk"),
                group.create_task(self._settle(), name="settle"),
                group.create_task(self._keep_slots(), name="slots"),
                *(group.create_task(self._pump(device), name=f"pump {device}") for device in self._stations),
            ]
            drivers = [
                group.create_task(station.run(self._ready), name=f"station {device}")
                for device, station in self._stations.items()
            ]
            await stop.wait()
            await self._end(drivers)
            for task in pumps:
                task.cancel()
        self._disk.shutdown()
        log_line("bridge.ended", bridge=self._settings.file.bridge)

    def _on_command(self, device: str, command: Command) -> None:
        if device not in self._stations:
            return
        if self._work.full():
            log_line("command.dropped", device=device, id=command.id)
            return
        self._work.put_nowait(_Work(device, _Arrived(command, now_ms())))

    def _on_booked(self, device: str, booked: Booked) -> None:
        if device not in self._stations:
            return
        if not self._ready.is_set():
            self._first_booked[device] = booked
        elif not self._work.full():
            self._work.put_nowait(_Work(device, booked))

    async def _settle(self) -> None:
        """When the hub has said what it booked: start a new epoch if our log was set back, then let money flow."""
        await self._bus.settled.wait()
        async with self._at_desk:  # else a batch that is being synced in the thread would be published before it is
            if any(self._values.is_behind(device, booked) for device, booked in self._first_booked.items()):
                self._renew(*(booked.epoch for booked in self._first_booked.values()))
            for device, booked in self._first_booked.items():
                self._let_go(device, booked)
            self._desk.sync()
            self._bus.publish_anew()
            self._ready.set()

    def _renew(self, *heard: int) -> None:
        """Our log was set back: what came since it was opened gets numbers of a new epoch."""
        self._values.renew(fresh_epoch=secrets.randbits(32), heard=heard)
        self._desk.sync()
        self._bus.publish_anew()
        self._set_back = self._renewed = True
        log_line("value_log.set_back", epoch=self._values.epoch)

    def _let_go(self, device: str, booked: Booked) -> int:
        """Forget what the hub has; a counter that we do not know is compared with the hub's."""
        if self._counter(device) is None and device in self._silent:
            self._desk.expect_counter(device, booked_counter=booked.counter)
        return self._desk.booked(device, booked)

    async def _pump(self, device: str) -> None:
        """Take what a device says: wishes and conditions go straight out, money goes over the desk."""
        outbox = self._stations[device].outbox
        while True:
            match await outbox.get():
                case Wish(body=body, at=at):
                    self._bus.wish(device, body, at=at)
                case Condition() as condition:
                    self._introductions.log(device, condition)
                    self._introductions.introduce(device, condition, errors=self._stations[device].errors)
                case said:
                    await self._work.put(_Work(device, _Spoke(said)))
            outbox.task_done()

    async def _keep_desk(self) -> None:
        """Stage all work that waits, sync once for all of it, then act. OSError ends the bridge."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._work.get()]
            while not self._work.empty() and len(batch) < BATCH_LIMIT:
                batch.append(self._work.get_nowait())
            async with self._at_desk:
                effects = [effect for work in batch for effect in self._stage(work)]
                await loop.run_in_executor(self._disk, self._desk.sync)
                for effect in (*effects, *self._desk.keep_slots(now_ms=now_ms())):
                    self._act(effect)
            if self._renewed:  # this batch may have published a number of the former epoch
                self._renewed = False
                self._bus.publish_anew()
            if not self._desk.busy:
                self._quiet.set()
            for _ in batch:
                self._work.task_done()

    async def _keep_slots(self) -> None:
        """Look also where nobody says anything: a hub that books nothing is silent."""
        while True:
            await asyncio.sleep(LOOK_S)
            async with self._at_desk:
                for effect in self._desk.keep_slots(now_ms=now_ms()):
                    self._act(effect)

    def _stage(self, work: _Work) -> list[Effect]:
        device, item = work.device, work.item
        if isinstance(item, _Arrived):
            return self._desk.command(device, item.command, arrived_ms=item.arrived_ms, now_ms=now_ms())
        if isinstance(item, Booked):
            self._stage_booked(device, item)
            return []
        return self._stage_said(device, item.said)

    def _stage_booked(self, device: str, booked: Booked) -> None:
        if self._values.is_behind(device, booked):
            self._renew(booked.epoch)
        if self._let_go(device, booked) and not self._values.full:
            for station in self._stations.values():
                station.open_intake()
        self._bus.look_again(device)

    def _stage_said(self, device: str, said: ValueFact | Counted | Answer | Attached | Detached) -> list[Effect]:
        match said:
            case ValueFact(body=body, at=at, counter=counter, written=written):
                age_ms = max(0, round((time.monotonic() - at) * 1_000))
                if counter >= 0:
                    self._silent.discard(device)
                return self._desk.fact(Fact(device, body, utc_ms() - age_ms, counter), written=written)
            case Counted(counter=counter, written=written):
                self._silent.discard(device)
                return self._desk.counted(device, counter, utc_ms=utc_ms(), written=written)
            case Answer() as answer:
                return self._desk.answer(device, answer, utc_ms=utc_ms(), now_ms=now_ms())
            case Attached(inbox=inbox):
                self._inboxes[device] = inbox
                self._desk.attach(device)
                return []
            case Detached():
                self._stations[device].heard_out()
                return self._desk.detach(device)

    def _act(self, effect: Effect) -> None:
        match effect:
            case HandOver(device=device, command=command):
                # Not where the driver ended in this very batch. One command at a time: there is always room.
                if self._desk.is_at_driver(device, command):
                    self._stations[device].told(command)
                    self._inboxes[device].put_nowait(command)
            case Reply(device=device, result=result):
                self._bus.reply(device, result)
            case Publish(kept=kept):
                self._bus.publish(kept)
            case StopIntake():
                self._stop_intake()
            case Held(on=on):
                log_line("intake.held" if on else "intake.open", why="nothing is booked" if on else "")
            case Wrote(event=event):
                event.set()

    def _stop_intake(self) -> None:
        for station in self._stations.values():
            if station.profile.kind == "acceptor":
                station.stop_intake()

    def _counter(self, device: str) -> int | None:
        """Return where a device's counter stood when we last wrote it down; None after a lost or old log."""
        return None if self._set_back and device in self._silent else self._values.last_counter(device)

    async def _end(self, drivers: list[asyncio.Task[None]]) -> None:
        """Take no more, let trains end, stop the drivers, write and publish what they still said."""
        self._desk.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                if self._desk.busy:
                    self._quiet.clear()
                    await self._quiet.wait()
        for task in drivers:
            task.cancel()
        if drivers:
            await asyncio.wait(drivers)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                for station in self._stations.values():
                    await station.outbox.join()
                for device in [*self._stations, self._settings.file.bridge]:
                    self._introductions.introduce(device, Condition("offline", reason="bridge_ended"))
                await self._work.join()
                await self._bus.flush()


async def serve(settings: BridgeSettings) -> None:
    """Run a bridge until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    heed_signals(stop.set)
    await Bridge(settings).run(stop)


def run_bridge(config: Path) -> None:
    """Run until stopped. SettingsError, LogFileError: it cannot start; OSError: the disk failed while it ran."""
    settings = load_settings(config)
    try:
        asyncio.run(serve(settings))
    except ExceptionGroup as group:
        disk, other = group.split((OSError, LogFileError))
        if disk is None or other is not None:
            raise
        raise first_fault(disk) from group


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped: 0. 2: the settings are wrong; 69: the state folder cannot be used; 1: the disk failed."""
    parser = argparse.ArgumentParser(prog="firmware_bridge", description="joins devices to the device bus")
    parser.add_argument("--config", type=Path, required=True, help="bridge.toml")
    options = parser.parse_args(arguments)
    try:
        run_bridge(options.config)
    except SettingsError as error:
        log_line("settings.wrong", error=str(error))
        return EXIT_SETTINGS
    except LogFileError as error:
        log_line("state.unusable", error=str(error))
        return EXIT_UNAVAILABLE
    except OSError as error:
        log_line("disk.failed", error=str(error))
        return EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
