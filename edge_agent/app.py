"""The hub's composition root: one till in one thread, the device bus and the uplink around it, one TaskGroup.

`python -m edge_agent.app --config hub.toml`. Any fault of the ledger ends the process at once: the supervisor starts it
again, and the start reconciles. A ledger that cannot be used then keeps the hub up behind a closed door (opening.py).
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn

from cloud_sync.ending import heed_signals
from cloud_sync.identity import HubIdentity, IdentityError, load_identity
from cloud_sync.protocol.messages import Receipt, Trust
from device_profiles.loading import SettingsError
from edge_agent.clock import Clock
from edge_agent.ledger.integrity import full_check
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.rescue import Rescue
from edge_agent.ledger.store import LedgerDamagedError, LedgerError
from edge_agent.links.device_bus import DeviceBus
from edge_agent.links.keeping import Part, end_tasks, kept_running
from edge_agent.links.peer_link import PeerLink
from edge_agent.links.second_hub import SecondHub, SecondHubRound
from edge_agent.links.telemetry_pump import TelemetryPump
from edge_agent.links.telemetry_round import Heard, TelemetryRound
from edge_agent.links.uplink import ONLINE, Uplink
from edge_agent.links.upload_start import kept_trust
from edge_agent.log_lines import log
from edge_agent.messages import AskFullList, AskLease, BatchStored, DeviceIs, Effect, Input, JournalGrew, Log
from edge_agent.peer_messages import ToPeer
from edge_agent.settings import Broker, HubSettings, mqtt_settings, read_settings
from edge_agent.start.closed_door import ClosedDesk, ClosedDoor, known_lanes
from edge_agent.start.closed_watch import closed_for_now, trouble_of
from edge_agent.start.inspection import Inspection
from edge_agent.start.opening import Opened, Place, Shut, after_fault, open_ledger
from edge_agent.till import Till
from edge_agent.till_thread import TillThread
from payment_core.identifiers import uuid_text

LAST_WORDS_S: Final = 0.3
"""How long a hub whose ledger failed still talks: what was committed goes out, then the closed sign."""
DEAD_S: Final = 0.8
"""After this it is over, whatever may hang."""
CONNECTORS: Final = 2
"""Threads in which links connect: one may hang on an office that is away, and the bus still has the other."""
_FAILED: Final = 1
_USAGE: Final = 2
_NOT_PROVISIONED: Final = 4


class LedgerStoppedError(Exception):
    """The till's thread ended: what it was writing is UNKNOWN until the next start."""


class Hub:
    """All parts of one hub, joined. `damage`: what is known to be wrong with the ledger; `tries`: closed starts."""

    def __init__(
        self, settings: HubSettings, folder: Path, identity: HubIdentity, *, damage: str = "", tries: int = 0
    ) -> None:
        self.damage = ""
        """What was found wrong with the ledger while this hub ran."""
        self._settings, self._folder, self._identity, self._tries = settings, folder, identity, tries
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._place = Place(folder / settings.state)
        self._place.make()
        self._opened = open_ledger(self._place, epoch=identity.epoch, damage=damage)
        self._reader = self._open_reader()
        self._floor_ms = self._reader.newest_wall_ms() if self._reader and not self.is_shut else 0
        self._door = ClosedDoor(known_lanes(self._reader) if self._reader else (), wall_ms=_wall_ms)
        self._inspection: Inspection | None = None
        self._desk = self._open_desk()
        # A name of its own: where one broker serves bus and office, two clients of one name throw each other out.
        hub = uuid_text(identity.hub_id)
        bus = mqtt_settings(settings.device_bus, folder, client_id=f"{hub}-bus")
        self._bus = DeviceBus(bus, hub=hub, offer=self._hear_bus)
        self._lan = self._make_lan(hub)
        self._telemetry = self._make_telemetry()
        self._second = self._make_second()
        self._uplink = self._make_uplink(hub)

    @property
    def is_shut(self) -> bool:
        """Say whether the ledger cannot be used."""
        return isinstance(self._opened, Shut)

    def _open_reader(self) -> LedgerReader | None:
        """Open the ledger for reading, a damaged one as far as it is intact; None where nothing can be read."""
        try:
            if isinstance(self._opened, Shut) and self._opened.fault == "damaged":
                return Rescue(self._place.ledger, epoch=self._identity.epoch)
            return LedgerReader(self._place.ledger)
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything; the hub stays up all the same
            log("ledger.unreadable", why=f"{type(error).__name__}: {error}")
            return None

    def _open_desk(self) -> TillThread | ClosedDesk:
        if isinstance(self._opened, Shut):
            rescue = self._reader if isinstance(self._reader, Rescue) else None
            return ClosedDesk(self._door, rescue=rescue, deliver=self._deliver)
        store, identity = self._opened.store, self._identity
        try:
            till = Till(
                store, hub_id=identity.hub_id, venue_id=identity.venue_id, pepper=identity.pepper, dice=os.urandom
            )
        except Exception:
            try:
                for _ in full_check(store, store.sums, self._place.ledger):
                    pass  # where the file is damaged, that is what is wrong, and LedgerDamagedError says it
            finally:
                store.abandon()
            raise
        calendar = self._clock()
        self._inspection = Inspection(
            self._place.ledger, store.sums, business_date=lambda: calendar.now().business_date,
            damaged=self._found_damage,
        )  # fmt: skip
        return TillThread(
            till, store, clock=self._clock().now, deliver=self._deliver, failed=self._failed, mark=self._opened.mark,
            door=self._door if self._opened.short else None,
        )  # fmt: skip

    def _make_lan(self, hub: str) -> PeerLink | None:
        """Return the way to the venue's other hubs; a hub whose ledger cannot be used passes nothing on."""
        if self._reader is None or self.is_shut:
            return None
        lan = mqtt_settings(self._settings.lan or self._settings.device_bus, self._folder, client_id=f"{hub}-lan")
        return PeerLink(lan, self._identity, trust=kept_trust(self._reader), offer=self._desk.offer)

    def _make_telemetry(self) -> TelemetryPump | None:
        """Return what tells of this hub beside its journal; behind a closed door its state message says enough."""
        if self._reader is None or self.is_shut:
            return None
        short = isinstance(self._opened, Opened) and self._opened.short
        rounds = TelemetryRound(self._place.ledger, self._identity, self._clock().now, is_short=short)
        return TelemetryPump(rounds, line=lambda: self._uplink, trust=kept_trust(self._reader))

    def _make_second(self) -> SecondHub | None:
        """Return what keeps this hub's batches on a neighbour's disk, and theirs on ours."""
        if self._lan is None or self._reader is None:
            return None
        rounds = SecondHubRound(self._place.ledger, self._identity, self._clock().now)
        return SecondHub(rounds, self._lan, trust=kept_trust(self._reader))

    def _hear_bus(self, fact: Input) -> object:
        if isinstance(fact, DeviceIs):
            self._tell(fact)
        return self._desk.offer(fact)

    def _tell(self, fact: Heard) -> None:
        if self._telemetry is not None:
            self._telemetry.hear(fact)
        if self._second is not None and not isinstance(fact, DeviceIs | Receipt):
            self._second.hear(fact)

    def _take_trust(self, trust: Trust) -> None:
        self._tell(trust)
        if self._lan is not None:
            self._lan.on_trust(trust)

    def _make_uplink(self, hub: str) -> Uplink | None:
        if self._reader is None:
            return None
        office = self._settings.uplink or Broker(host=self._identity.broker_host, port=self._identity.broker_port)
        uplink = Uplink(
            mqtt_settings(office, self._folder, client_id=hub),
            self._identity,
            self._reader,
            offer=self._desk.offer,
            offer_together=self._desk.offer_together,
            clock=self._clock().now,
            state=trouble_of(self._opened) or ONLINE,
            on_trust=self._take_trust,
        )
        uplink.on_receipt = self._tell
        if self._second is not None:
            self._second.join(uplink)
        return uplink

    def _clock(self) -> Clock:
        """Return a clock of its own: each thread has one."""
        settings = self._settings
        return Clock(timezone=settings.timezone, cutoff_minute=settings.cutoff_minute, floor_ms=self._floor_ms)

    async def run(self, told: asyncio.Event) -> bool:
        """Run until `told` to end, until the till stops, or until the ledger must be opened anew: then True."""
        self._desk.start()
        if self._inspection is not None:
            self._inspection.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(kept_running(part)) for part in self._parts()]
                tasks += [group.create_task(self._watch()), group.create_task(self._end_when(told))]
                try:
                    await self._ended
                except LedgerStoppedError:
                    self._carry_out(self._door.say())
                    await asyncio.sleep(LAST_WORDS_S)
                    raise
                finally:
                    await end_tasks(tasks)
        finally:
            self._close()
        return not told.is_set()

    def _parts(self) -> list[Part]:
        parts = (self._bus, self._lan, self._uplink, self._telemetry, self._second)
        return [part for part in parts if part is not None]

    def _close(self) -> None:
        if self._inspection is not None:
            self._inspection.stop()
        for pump in (self._telemetry, self._second):
            if pump is not None:
                pump.close()
        if self._reader is not None:
            self._reader.close()  # before the till, whose connection is then the last and leaves no WAL behind
        self._desk.stop(as_it_is=bool(self.damage))
        if isinstance(self._opened, Opened):
            self._opened.mark.close()

    async def _watch(self) -> None:
        """Behind a closed door: keep the sign up until the disk is back."""
        opened, tries = self._opened, self._tries
        if await closed_for_now(opened, self._place, tries=tries, say=lambda: self._carry_out(self._door.say())):
            self._finish()

    def _deliver(self, effects: list[Effect]) -> None:
        self._loop.call_soon_threadsafe(self._carry_out, effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Log(name=name, fields=fields):
                    log(name, **fields)
                case ToPeer():
                    if self._lan is not None:
                        self._lan.carry_out(effect)
                case JournalGrew() | BatchStored() | AskLease() | AskFullList():
                    self._tell_uplink(effect)
                case _:
                    self._bus.carry_out(effect)

    def _tell_uplink(self, effect: Effect) -> None:
        try:
            if self._uplink is not None:
                self._uplink.on_effect(effect)
        except Exception as error:  # noqa: BLE001 - a fault of the uplink never stands before a tap
            log("uplink.fault", why=f"{type(error).__name__}: {error}")

    def _failed(self, error: Exception) -> None:
        """Take the till's fault, in its thread: from here on this process touches the ledger no more, and ends."""
        undertaker = threading.Timer(DEAD_S, os._exit, (_FAILED,))
        undertaker.daemon = True
        undertaker.start()
        log("agent.stopped", why=str(error) or type(error).__name__)
        after_fault(self._place, error)
        self._loop.call_soon_threadsafe(self._end, error)

    def _found_damage(self, error: LedgerDamagedError) -> None:
        """Take what the inspection found, in its thread: no sale after this one."""
        log("ledger.damaged", why=str(error))
        self.damage = str(error)
        self._loop.call_soon_threadsafe(self._finish)

    async def _end_when(self, told: asyncio.Event) -> None:
        await told.wait()
        self._finish()

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _end(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(LedgerStoppedError(str(error)))


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def _main(config: Path) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CONNECTORS, "connect"))
    settings = read_settings(config)
    identity = load_identity(config.parent / settings.identity)
    place = Place(config.parent / settings.state)
    place.make()
    with place.held_alone():
        await _run(settings, config.parent, identity)


async def _run(settings: HubSettings, folder: Path, identity: HubIdentity) -> None:
    damage, tries, told = "", 0, asyncio.Event()
    while True:
        try:
            hub = Hub(settings, folder, identity, damage=damage, tries=tries)
        except LedgerDamagedError as error:
            if damage:
                raise
            damage = str(error)
            continue
        tries = min(tries + 1, 8) if hub.is_shut else 0
        heed_signals(told.set)
        if not await hub.run(told):
            return
        damage = hub.damage


def main(arguments: list[str] | None = None) -> int:
    """Run the hub; return the exit code. Faults are one line on stderr that names place and remedy."""
    parser = argparse.ArgumentParser(prog="venuehub agent run", description="Run the hub.")
    parser.add_argument("--config", type=Path, required=True, help="hub.toml")
    config = parser.parse_args(arguments).config
    try:
        asyncio.run(_main(config))
    except SettingsError as error:
        log("agent.settings", why=str(error))
        return _USAGE
    except IdentityError as error:
        log("agent.not_provisioned", why=str(error))
        return _NOT_PROVISIONED
    except LedgerError as error:
        log("agent.ledger", why=str(error))
        return _FAILED
    except BaseExceptionGroup as group:
        stopped, rest = group.split(LedgerStoppedError)
        if stopped is None or rest is not None:
            raise
        _die()
    return 0


def _die() -> NoReturn:
    """End without the usual farewells: they would close the ledger, which writes to it."""
    sys.stderr.flush()
    os._exit(_FAILED)


if __name__ == "__main__":
    sys.exit(main())
