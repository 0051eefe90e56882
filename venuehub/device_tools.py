"""What `venuehub device` does on a port: watch one device, find out who answers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from device_profiles.checking import load_catalog_and
from device_profiles.loading import SettingsError, did_you_mean
from device_profiles.matching import Device, fitted_profile
from device_profiles.schema import MAX_POSITIONS, Profile
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.interface import (
    INBOX_LIMIT,
    OUTBOX_LIMIT,
    Condition,
    Counted,
    Inbox,
    Outbox,
    ValueFact,
    Wish,
)
from firmware_bridge.ports import UsbPort, real_port, usb_ports
from firmware_bridge.probing import ask, probe_port
from firmware_bridge.transports.interface import TransportError
from payment_core.events import CodeScanned, Event, event_body, make_event
from payment_core.payer_codes import sayable

PINS = "pins:"
SOCKET = ".sock"


class SilentError(Exception):
    """Nobody answers: the text names the port or the device, and what to look at."""


class Plugged(msgspec.Struct, frozen=True):
    """A USB port, and the pages of the catalog that are seen with its ids: two are for a person to choose from."""

    port: UsbPort
    profiles: tuple[str, ...]


def plugged_in(pages: Sequence[Profile]) -> list[Plugged]:
    """Return the USB serial ports of this machine, and which of the pages are seen with their ids."""
    return [Plugged(port, tuple(page.name for page in pages if port.usb in page.usb)) for port in usb_ports()]


async def monitor(
    profile: Profile,
    place: str,
    *,
    crc: bool,
    pages: Sequence[Profile],
    on_event: Callable[[Event], None],
    on_condition: Callable[[Condition], None],
) -> None:
    """Run the driver of one device, from the real factory, and hand on its events. `place`: see `device_at`.

    `pages`: who else may be there, where the device does not answer.

    SilentError where it does not answer at all, or something else does; TransportError where it cannot be opened;
    SettingsError where such a device is never at such a place.
    """
    device = device_at(profile, place)
    inbox: Inbox = asyncio.Queue(INBOX_LIMIT)
    outbox: Outbox = asyncio.Queue(OUTBOX_LIMIT)
    try:
        if device.port:
            device = msgspec.structs.replace(device, port=real_port(place))
        driver = await open_driver(device, await _watched(profile, place, crc=crc), last_counter=None)
        async with asyncio.TaskGroup() as group:
            group.create_task(driver.run(inbox, outbox))
            await _hand_on(outbox, place, on_event=on_event, on_condition=on_condition)
    except* SilentError as faults:
        await _refuse_other(profile, place, pages)
        raise _first(faults) from None
    except* (TransportError, DriverError) as faults:
        raise _first(faults) from None


def device_at(profile: Profile, place: str) -> Device:
    """Return a device as a site file would wire it. `place`: a port, a line socket, or `pins:ROLE=BCM,ROLE=BCM`.

    SettingsError where a device of this profile is never there, or its pins are wrong.
    """
    if profile.transport.lines is None:
        if place.endswith(SOCKET) or place.startswith(PINS):
            message = f"{place}: a {profile.name} is on a port, not on lines; give its port, e.g. /dev/ttyUSB0"
            raise SettingsError(message)
        return Device(id="monitor", profile=profile.name, port=place)
    if not place.startswith(PINS):
        if place.startswith("/dev/"):
            message = f"{place}: a {profile.name} is on lines, not on a port; give its pins, e.g. pins:coin=17"
            raise SettingsError(message)
        return Device(id="monitor", profile=profile.name, socket=place)
    wired = [word.partition("=") for word in place.removeprefix(PINS).split(",")]
    try:
        given = {"id": "monitor", "profile": profile.name, "pins": {role: int(bcm) for role, _, bcm in wired}}
        device = msgspec.convert(given, Device)
    except ValueError as error:
        message = f"{place}: is not a list of pins; write pins:ROLE=BCM,ROLE=BCM, e.g. pins:coin=17"
        raise SettingsError(message) from error
    fitted_profile(profile, device, file=place)
    return device


def catalog_pages(own: Path | None = None) -> list[Profile]:
    """Return the catalog and a venue's own pages, sorted by kind and name; SettingsError where one is wrong."""
    return sorted(load_catalog_and(own).values(), key=lambda page: (page.kind, page.name))


def page_called(name: str, pages: Sequence[Profile]) -> Profile:
    """Return a page of the catalog; SettingsError suggests the nearest name."""
    named = {page.name: page for page in pages}
    if name not in named:
        message = f"{name!r} is not in the catalog.{did_you_mean(name, list(named))}"
        raise SettingsError(message)
    return named[name]


async def _refuse_other(profile: Profile, port: str, pages: Sequence[Profile]) -> None:
    """Say who answers on a port where the device that was asked for does not."""
    if profile.transport.serial is None:
        return
    for found in await probe_port(port, [page for page in pages if page.name != profile.name]):
        who = f"{found.protocol} {found.detail}"
        message = f"{port}: something else answers here, {who}; give {found.profile} as its profile"
        raise SilentError(message)


async def _hand_on(
    outbox: Outbox, port: str, *, on_event: Callable[[Event], None], on_condition: Callable[[Condition], None]
) -> None:
    seq = 0
    ever_online = False
    while True:
        seen = await outbox.get()
        if isinstance(seen, Wish | ValueFact):
            seq += 1
            on_event(make_event(seen.body, seq=seq, epoch=1, age_ms=max(0, int((time.monotonic() - seen.at) * 1000))))
        if isinstance(seen, ValueFact | Counted) and seen.written is not None:
            seen.written.set()  # a line on the screen is all the book there is
        if isinstance(seen, Condition):
            ever_online = ever_online or seen.state != "offline"
            if not ever_online:
                message = seen.reason if seen.reason.startswith(port) else f"{port}: {seen.reason}"
                raise SilentError(message)
            on_condition(seen)


async def _watched(profile: Profile, port: str, *, crc: bool) -> Profile:
    """Return the profile as a watcher wants it: a ccTalk acceptor takes all coins, with the checksum that it speaks."""
    if profile.acceptor is None or not profile.driver.startswith("cctalk"):
        return profile
    answered = None if crc else await ask(port, profile)
    speaks_crc = crc or (answered is not None and answered.protocol.endswith("crc"))
    acceptor = msgspec.structs.replace(
        profile.acceptor,
        unit="",  # nothing is booked here, so every coin will do
        positions=dict.fromkeys(range(1, MAX_POSITIONS + 1), 1),
        checksum="crc" if speaks_crc else profile.acceptor.checksum,
    )
    return msgspec.structs.replace(profile, acceptor=acceptor)


def _first(faults: ExceptionGroup[Exception]) -> Exception:
    """Return the first of a group's faults, however deep."""
    first = faults.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


def sayable_event(event: Event) -> Event:
    """Return an event as it may stand on a screen or in a file: a wallet's payer code without its digits."""
    body = event_body(event)
    if not isinstance(body, CodeScanned):
        return event
    return make_event(CodeScanned(sayable(body.text)), seq=event.seq, epoch=event.epoch, age_ms=event.age_ms)
