"""Keeps one device's driver alive: opens it, runs it, tells how it is, and starts it again with back-off."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from cloud_sync.ending import pause, tried
from device_profiles.matching import Device
from device_profiles.schema import Profile
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import open_driver, open_relay
from firmware_bridge.drivers.interface import INBOX_LIMIT, OUTBOX_LIMIT, Condition, Driver, Inbox
from firmware_bridge.gate import Detached, Gate, StationOutbox
from firmware_bridge.identities import Identities
from firmware_bridge.log_lines import log_line
from firmware_bridge.ports import real_port, usb_name
from firmware_bridge.transports.interface import TransportError
from payment_core.commands import Accept, Command

FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 15.0
STEADY_S: Final = 30.0
"""A driver that ran for this long begins its back-off anew."""
LOOK_S: Final = 1.0
SILENT_S: Final = 10.0
"""A device that is away for this long gets its port opened anew, then twice as long, ..."""
LONGEST_SILENT_S: Final = 60.0
VAIN_OPENINGS: Final = 2
"""So many openings without a sign of life, and the device's power is taken away and given back, if a relay can."""
POWER_EVERY_S: Final = 600.0
FULL: Final = "value_log_full"
MAX_REASON: Final = 200


class StrangerError(Exception):
    """Another device is there than the one that is known; the text says which, and what a person may do."""


class Station:
    """One device: its outbox outlives its drivers, so nothing a driver said is lost when it ends."""

    def __init__(
        self,
        device: Device,
        profile: Profile,
        *,
        counter: Callable[[], int | None],
        unfinished: Callable[[], tuple[Command, ...]] = tuple,
        identities: Identities,
    ) -> None:
        self.device = device
        self.profile = profile
        self.outbox: StationOutbox = asyncio.Queue(OUTBOX_LIMIT)
        self._counter = counter
        self._unfinished = unfinished
        self._accept: Command | None = None
        self._intake = asyncio.Event()
        self._intake.set()
        self._stop = asyncio.Event()
        self._heard_out = asyncio.Event()
        self._heard_out.set()
        self._told = ""
        self._identities = identities
        self._gate: Gate | None = None
        self._errors = 0
        self._silent_s = SILENT_S
        self._in_vain = 0
        self._power_at = -POWER_EVERY_S

    @property
    def errors(self) -> int:
        """Return how often a driver ended or the device fell silent."""
        return self._errors + (self._gate.falls if self._gate is not None else 0)

    def told(self, command: Command) -> None:
        """A command went to the driver: a gate that it shuts or opens stays so when the next driver begins."""
        if command.kind == Accept.__name__:
            self._accept = command

    def stop_intake(self) -> None:
        """A device that takes money must not run until `open_intake`."""
        self._intake.clear()
        self._stop.set()

    def open_intake(self) -> None:
        """It may run again."""
        self._intake.set()
        self._stop.clear()

    def heard_out(self) -> None:
        """All that the ended driver said is in the value log, so its last counter can be asked for."""
        self._heard_out.set()

    async def run(self, ready: asyncio.Event) -> None:
        """Serve until cancelled. `ready`: the device's counter can be known; only devices that have one wait for it."""
        if self.profile.read_back == "counter":
            await ready.wait()
        retry_s = FIRST_RETRY_S
        while True:
            if not self._intake.is_set():
                await self.outbox.put(Condition("fault", reason=FULL))
                await self._intake.wait()
            # A counter older than what the former driver said would let the next one say its last coins again.
            await self._heard_out.wait()
            started = time.monotonic()
            await tried(self._serve_once())
            await tried(self._give_power_anew())
            if time.monotonic() - started > STEADY_S:
                retry_s = FIRST_RETRY_S
            await pause(random.uniform(retry_s / 2, retry_s))  # noqa: S311 - jitter is no secret
            retry_s = min(LAST_RETRY_S, retry_s * 2)

    async def _serve_once(self) -> None:
        """Open the driver and run it to its end, whatever that is."""
        inbox: Inbox = asyncio.Queue(INBOX_LIMIT)
        expected = self._identities.expected(self.device.id)
        self._gate = gate = Gate(self.device.id, expected=expected, inbox=inbox, out=self.outbox)
        try:
            device = msgspec.structs.replace(self.device, port=real_port(self.device.port))
            gate.usb = usb_name(device.port) if device.port else ""
            replaced = self._identities.replaced(self.device.id)
            counter, unfinished = (None, ()) if replaced else (self._counter(), self._unfinished())
            driver = await open_driver(device, self.profile, last_counter=counter, unfinished=unfinished)
            if self._accept is not None:
                inbox.put_nowait(self._accept)  # before its first poll; nobody waits for the answer any more
            await gate.open()
            await self._run_until_stopped(driver, inbox, gate)
        except Exception as error:  # noqa: BLE001 - the supervisor: one device's fault never stops the others
            self._errors += 1
            await self._tell(first_fault(error))
        finally:
            self._gate = None
            self._errors += gate.falls
            self._in_vain = self._in_vain + 1 if gate.never_there else 0
            if gate.attached:
                self._heard_out.clear()
                await self.outbox.put(Detached())

    async def _run_until_stopped(self, driver: Driver, inbox: Inbox, gate: Gate) -> None:
        """Run the driver until it ends, intake is stopped, a stranger is there or nobody is for too long."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(driver.run(inbox, gate), name=f"driver {self.device.id}")
            others: list[asyncio.Task[Any]] = [
                group.create_task(self._stop.wait(), name=f"stop {self.device.id}"),
                group.create_task(self._watch(gate), name=f"watch {self.device.id}"),
            ]
            ends: list[asyncio.Future[Any]] = [running, gate.stranger, *others]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in (running, *others):
                task.cancel()
        if gate.stranger.done():
            device = self.device.id
            remedy = f'if that is right, write its serial into bridge.toml at device "{device}"'
            message = f"{gate.stranger.result()}: {remedy}"
            raise StrangerError(message)

    async def _watch(self, gate: Gate) -> None:
        """Raise alarms; TransportError where the device has been away for so long that opening anew is worth a try."""
        while True:
            await asyncio.sleep(LOOK_S)
            told = gate.look()
            if told is not None:
                await self.outbox.put(told)
            if gate.trusted and gate.name and not gate.never_there:
                self._identities.seen(self.device.id, gate.name)
            if gate.offline_since is None:
                self._silent_s = SILENT_S
            elif time.monotonic() - gate.offline_since > self._silent_s:
                self._silent_s = min(LONGEST_SILENT_S, self._silent_s * 2)
                known = gate.condition.reason if gate.condition is not None else ""
                raise TransportError(known or f"{self.device.id}: its driver says nothing")

    async def _give_power_anew(self) -> None:
        """Take the device's power away and give it back, where nothing else has helped and a relay is there."""
        power, now = self.device.power, time.monotonic()
        if power is None or self._in_vain < VAIN_OPENINGS or now - self._power_at < POWER_EVERY_S:
            return
        self._power_at, self._in_vain = now, 0
        log_line("device.power", device=self.device.id, off_ms=power.off_ms)
        try:
            relay = await open_relay(power)
            try:
                await relay.set("power", active=True)
                await asyncio.sleep(power.off_ms / 1_000)
                await relay.set("power", active=False)
            finally:
                relay.close()
        except TransportError as error:
            log_line("device.power_failed", device=self.device.id, error=str(error))

    async def _tell(self, fault: BaseException) -> None:
        """Say how the device is, and log it once, not at every try."""
        state: Literal["offline", "fault", "quarantined"] = "offline" if isinstance(fault, TransportError) else "fault"
        state = "quarantined" if isinstance(fault, StrangerError) else state
        known = isinstance(fault, TransportError | DriverError | StrangerError)
        text = str(fault) if known else f"{type(fault).__name__}: {fault}"
        if text != self._told:
            log_line("driver.ended", device=self.device.id, state=state, error=text, retrying=True)
        self._told = text
        await self.outbox.put(Condition(state, reason=text[:MAX_REASON]))


def first_fault(error: BaseException) -> BaseException:
    """Return what went wrong first inside groups of faults."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
