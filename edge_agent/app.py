"""The hub's composition root: one till in one thread, the device bus and the uplink around it, one TaskGroup.

`python -m edge_agent.app --config hub.toml`. Any fault of the ledger ends the process at once: the supervisor starts it
again, and the start reconciles.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

from cloud_sync.identity import HubIdentity, IdentityError, load_identity
from device_profiles.loading import SettingsError
from edge_agent.clock import Clock
from edge_agent.device_bus import DeviceBus
from edge_agent.ledger.entries import verify_tail
from edge_agent.ledger.migrations import adopt_epoch, migrate
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import LedgerError, SqliteStore
from edge_agent.log_lines import log
from edge_agent.messages import AskFullList, AskLease, BatchStored, Effect, JournalGrew, Log
from edge_agent.settings import Broker, HubSettings, mqtt_settings, read_settings
from edge_agent.till import Till
from edge_agent.till_thread import TillThread
from edge_agent.uplink import Uplink
from payment_core.identifiers import uuid_text

LEDGER_FILE: Final = "ledger.sqlite3"
RESTART_S: Final = 5.0
CHECKED_AT_START: Final = 1_000
"""Entries whose chain is followed at every start."""
_FAILED: Final = 1
_USAGE: Final = 2
_NOT_PROVISIONED: Final = 4


class LedgerStoppedError(Exception):
    """The till's thread ended: what it was writing is UNKNOWN until the next start."""


class Hub:
    """All parts of one hub, joined."""

    def __init__(self, settings: HubSettings, folder: Path, identity: HubIdentity) -> None:
        state = folder / settings.state
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"{state}: cannot be made ({error.strerror}). Check `state`, the folder's owner and its mode."
            raise LedgerError(message) from error
        path = state / LEDGER_FILE
        store = SqliteStore(path)
        migrate(store, str(path))
        adopt_epoch(store, identity.epoch)
        verify_tail(store, str(path), last=CHECKED_AT_START)
        self._reader = LedgerReader(path)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        till = Till(
            store, hub_id=identity.hub_id, venue_id=identity.venue_id, pepper=identity.pepper, dice=os.urandom
        )
        floor_ms = self._reader.newest_wall_ms()
        till_clock, uplink_clock = (
            Clock(timezone=settings.timezone, cutoff_minute=settings.cutoff_minute, floor_ms=floor_ms) for _ in range(2)
        )
        self._thread = TillThread(till, store, clock=till_clock.now, deliver=self._deliver, failed=self._failed)
        hub = uuid_text(identity.hub_id)
        offer = self._thread.offer
        # A name of its own: where one broker serves bus and office, two clients of one name throw each other out.
        bus = mqtt_settings(settings.device_bus, folder, client_id=f"{hub}-bus")
        self._bus = DeviceBus(bus, hub=hub, offer=offer)
        office = settings.uplink or Broker(host=identity.broker_host, port=identity.broker_port)
        self._uplink = Uplink(
            mqtt_settings(office, folder, client_id=hub),
            identity,
            self._reader,
            offer=offer,
            offer_together=self._thread.offer_together,
            clock=uplink_clock.now,
        )

    async def run(self) -> None:
        """Run until a signal, or until the till stops."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._end, None)
        self._thread.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_keep(part)) for part in (self._bus, self._uplink)]
                try:
                    await self._ended
                finally:
                    await _end(tasks)
        finally:
            self._thread.stop()
            self._reader.close()

    def _deliver(self, effects: list[Effect]) -> None:
        self._loop.call_soon_threadsafe(self._carry_out, effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Log(name=name, fields=fields):
                    log(name, **fields)
                case JournalGrew() | BatchStored() | AskLease() | AskFullList():
                    self._tell_uplink(effect)
                case _:
                    self._bus.carry_out(effect)

    def _tell_uplink(self, effect: Effect) -> None:
        try:
            self._uplink.on_effect(effect)
        except Exception as error:  # noqa: BLE001 - a fault of the uplink never stands before a tap
            log("uplink.fault", why=f"{type(error).__name__}: {error}")

    def _failed(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(LedgerStoppedError(str(error)))


async def _keep(part: DeviceBus | Uplink) -> None:
    """Run a part for ever: what it did not foresee is told, and it starts again; the till goes on meanwhile."""
    while True:
        try:
            await part.run()
        except Exception as error:  # noqa: BLE001 - the supervisor of both links
            log("link.fault", part=type(part).__name__, why=f"{type(error).__name__}: {error}")
        await asyncio.sleep(RESTART_S)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until it is heard: a link that is just being closed may swallow a cancellation."""
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)


async def _main(config: Path) -> None:
    settings = read_settings(config)
    identity = load_identity(config.parent / settings.identity)
    await Hub(settings, config.parent, identity).run()


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
        log("agent.stopped", why=str(stopped.exceptions[0]))
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
