"""What `venuehub device` does on a port: watch one device, find out who answers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal

import msgspec

from device_profiles.loading import load_catalog
from device_profiles.schema import MAX_POSITIONS, Acceptor, Profile
from firmware_bridge.drivers.cctalk_acceptor import CctalkAcceptor
from firmware_bridge.drivers.cctalk_line import CctalkLine
from firmware_bridge.drivers.interface import (
    INBOX_LIMIT,
    OUTBOX_LIMIT,
    Condition,
    Driver,
    Inbox,
    Outbox,
    ValueFact,
    Wish,
)
from firmware_bridge.drivers.nfc_reader import NfcReader
from firmware_bridge.transports.interface import TransportError
from firmware_bridge.transports.serial_port import SerialPort, open_serial
from firmware_bridge.wire import pn532
from firmware_bridge.wire.cctalk import ACCEPTOR, Checksum, Header
from firmware_bridge.wire.cctalk_coins import parse_text
from payment_core.events import Event, make_event

PN532_BAUD: Final = 115_200
CCTALK_BAUD: Final = 9_600
ANSWER_S: Final = 0.3
_CHECKSUMS: Final[tuple[Checksum, ...]] = ("simple", "crc")
_PN532_VERSION_BYTES: Final = 5
"""Code 03, chip, version, revision, what it supports."""
_PN532_WAKE_UP: Final = bytes.fromhex("5555") + bytes(14)

Kind = Literal["pn532", "cctalk_acceptor"]


class SilentError(Exception):
    """Nobody answers: the text names the port or the device, and what to look at."""


class Found(msgspec.Struct, frozen=True):
    """A device that answered on a port. `profile`: the page of the catalog it fits, empty where there is none."""

    protocol: str
    detail: str
    profile: str


async def probe(port: str) -> list[Found]:
    """Try the protocols we know on a port; TransportError where it cannot be opened."""
    found = await _probe_pn532(port)
    for checksum in () if found else _CHECKSUMS:
        found += await _probe_cctalk(port, checksum)
    return found


async def monitor(
    kind: Kind, port: str, *, crc: bool, on_event: Callable[[Event], None], on_condition: Callable[[Condition], None]
) -> None:
    """Run the driver of one device and hand on its events.

    SilentError where it does not answer at all, or something else does; TransportError where the port cannot be opened.
    """
    driver = await _driver(kind, port, crc=crc)
    inbox: Inbox = asyncio.Queue(INBOX_LIMIT)
    outbox: Outbox = asyncio.Queue(OUTBOX_LIMIT)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(driver.run(inbox, outbox))
            await _hand_on(outbox, port, on_event=on_event, on_condition=on_condition)
    except* SilentError as faults:
        await _refuse_other(kind, port)
        raise _first(faults) from None
    except* TransportError as faults:
        raise _first(faults) from None


def catalog_pages() -> list[Profile]:
    """Return the catalog, sorted by kind and name."""
    return sorted(load_catalog().values(), key=lambda page: (page.kind, page.name))


async def _refuse_other(kind: Kind, port: str) -> None:
    """Say who answers on a port where the device that was asked for does not."""
    for found in await probe(port):
        other: Kind = "pn532" if found.protocol == "pn532" else "cctalk_acceptor"
        if other != kind:
            message = f"{port}: something else answers here, {found.protocol} {found.detail}; give {other} as its kind"
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
        elif isinstance(seen, Condition):
            on_condition(seen)
            ever_online = ever_online or seen.state != "offline"
            if not ever_online:
                message = seen.reason if seen.reason.startswith(port) else f"{port}: {seen.reason}"
                raise SilentError(message)


async def _driver(kind: Kind, port: str, *, crc: bool) -> Driver:
    page = next(page for page in catalog_pages() if page.driver == ("nfc_reader" if kind == "pn532" else kind))
    if page.reader is not None:
        return NfcReader(path=port, reader=page.reader)
    checksum: Checksum = "crc" if crc or await _speaks_crc(port) else "simple"
    acceptor = Acceptor(
        unit="coin", positions=dict.fromkeys(range(1, MAX_POSITIONS + 1), 1), checksum=checksum, poll_ms=100
    )
    return CctalkAcceptor(open_serial(port, baud=CCTALK_BAUD), acceptor, last_counter=None)


async def _speaks_crc(port: str) -> bool:
    found = [answer for checksum in _CHECKSUMS for answer in await _probe_cctalk(port, checksum)]
    return bool(found) and found[0].protocol.endswith("crc")


async def _probe_pn532(port: str) -> list[Found]:
    async with _opened(port, PN532_BAUD) as pipe:
        question = pn532.DataFrame(tfi=pn532.TO_CHIP, body=bytes([pn532.GET_FIRMWARE_VERSION]))
        await pipe.write(_PN532_WAKE_UP + pn532.encode(question))
        decoder = pn532.Decoder()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while True:
                    for message in decoder.feed(await pipe.read()):
                        if isinstance(message, pn532.DataFrame) and len(message.body) == _PN532_VERSION_BYTES:
                            chip, version, revision = message.body[1:4]
                            return [Found("pn532", f"PN5{chip:02X} {version}.{revision}", _page_of("nfc_reader"))]
    return []


async def _probe_cctalk(port: str, checksum: Checksum) -> list[Found]:
    async with _opened(port, CCTALK_BAUD) as pipe:
        line = CctalkLine(pipe, checksum=checksum, address=ACCEPTOR)
        if await line.ask(Header.SIMPLE_POLL, attempts=1) is None:
            return []
        headers = (Header.EQUIPMENT_CATEGORY, Header.MANUFACTURER, Header.PRODUCT_CODE)
        names = [await line.ask(header) for header in headers]
    words = " ".join(parse_text(name) for name in names if name)
    return [Found(f"cctalk {checksum}", f"address {ACCEPTOR}: {words}", _page_of("cctalk_acceptor"))]


@contextlib.asynccontextmanager
async def _opened(port: str, baud: int) -> AsyncIterator[SerialPort]:
    pipe = open_serial(port, baud=baud)
    try:
        yield pipe
    finally:
        pipe.close()


def _page_of(driver: str) -> str:
    return next((page.name for page in catalog_pages() if page.driver == driver), "")


def _first(faults: ExceptionGroup[Exception]) -> Exception:
    """Return the first of a group's faults, however deep."""
    first = faults.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
