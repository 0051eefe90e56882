"""Keeps one device's driver alive: opens it, runs it, tells how it is, and starts it again with back-off."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, Literal, cast

import msgspec

from cloud_sync.ending import pause, tried
from device_profiles.matching import Device
from device_profiles.schema import Profile
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.interface import INBOX_LIMIT, OUTBOX_LIMIT, Condition, Driver, Inbox, Observation, Outbox
from firmware_bridge.log_lines import log_line
from firmware_bridge.transports.interface import TransportError
from payment_core.commands import Command

FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 15.0
STEADY_S: Final = 30.0
"""A driver that ran for this long begins its back-off anew."""
FULL: Final = "value_log_full"
MAX_REASON: Final = 200


class Attached(msgspec.Struct, frozen=True):
    """A driver was opened; put before anything it says. Its inbox is its own: no command outlives a driver."""

    inbox: Inbox


class Detached(msgspec.Struct, frozen=True):
    """The driver ended; in the outbox behind everything it said."""


StationOutbox = asyncio.Queue[Observation | Attached | Detached]


class Station:
    """One device: its outbox outlives its drivers, so nothing a driver said is lost when it ends."""

    def __init__(
        self,
        device: Device,
        profile: Profile,
        *,
        counter: Callable[[], int | None],
        unfinished: Callable[[], Command | None] = lambda: None,
    ) -> None:
        self.device = device
        self.profile = profile
        self.outbox: StationOutbox = asyncio.Queue(OUTBOX_LIMIT)
        self._counter = counter
        self._unfinished = unfinished
        self._intake = asyncio.Event()
        self._intake.set()
        self._stop = asyncio.Event()
        self._heard_out = asyncio.Event()
        self._heard_out.set()
        self._told = ""

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
            if time.monotonic() - started > STEADY_S:
                retry_s = FIRST_RETRY_S
            await pause(random.uniform(retry_s / 2, retry_s))  # noqa: S311 - jitter is no secret
            retry_s = min(LAST_RETRY_S, retry_s * 2)

    async def _serve_once(self) -> None:
        """Open the driver and run it to its end, whatever that is."""
        attached = False
        try:
            counter, unfinished = self._counter(), self._unfinished()
            driver = await open_driver(self.device, self.profile, last_counter=counter, unfinished=unfinished)
            inbox: Inbox = asyncio.Queue(INBOX_LIMIT)
            await self.outbox.put(Attached(inbox))
            attached = True
            await self._run_until_stopped(driver, inbox)
        except Exception as error:  # noqa: BLE001 - the supervisor: one device's fault never stops the others
            await self._tell(first_fault(error))
        finally:
            if attached:
                self._heard_out.clear()
                await self.outbox.put(Detached())

    async def _run_until_stopped(self, driver: Driver, inbox: Inbox) -> None:
        """Run the driver until it ends or intake is stopped."""
        # The queue also carries this file's two marks; a driver only ever puts observations.
        outbox = cast("Outbox", self.outbox)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(driver.run(inbox, outbox), name=f"driver {self.device.id}")
            stopped = group.create_task(self._stop.wait(), name=f"stop {self.device.id}")
            await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
            running.cancel()
            stopped.cancel()

    async def _tell(self, fault: BaseException) -> None:
        """Say how the device is, and log it once, not at every try."""
        state: Literal["offline", "fault"] = "offline" if isinstance(fault, TransportError) else "fault"
        known = isinstance(fault, TransportError | DriverError)
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
