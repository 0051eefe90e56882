"""How each protocol is known on a port: harmless questions, asked at the speed of a profile.

A new protocol is one function and one line of `PROBES`; a profile of the catalog names it. A device that only speaks
when a person does something has no probe.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from device_profiles.schema import Profile
from firmware_bridge.drivers.cctalk_line import CctalkLine, find_slaves
from firmware_bridge.drivers.companion_line import CompanionLine
from firmware_bridge.drivers.hlk_line import HlkLine
from firmware_bridge.drivers.ssp_line import SspLine
from firmware_bridge.drivers.zfm_line import ZfmLine
from firmware_bridge.ports import real_port, usb_ports
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.transports.serial_port import SerialPort, open_serial
from firmware_bridge.wire import gm65, hlk_fm22x, pn532, qibixx, ssp, zfm
from firmware_bridge.wire.cctalk import Checksum, Header
from firmware_bridge.wire.cctalk_coins import parse_number, parse_text
from firmware_bridge.wire.companion import Channel
from payment_core.wording import counted

ANSWER_S: Final = 0.3
_CHECKSUMS: Final[tuple[Checksum, ...]] = ("simple", "crc")
_PN532_VERSION_BYTES: Final = 5
"""Code 03, chip, version, revision, what it supports."""


class Answered(msgspec.Struct, frozen=True):
    """Who answered a probe. `protocol` with its variant (`cctalk crc`); `serial`: its own number, where it has one.

    `misfit`: how far it is from the profile in size; of several profiles that fit the nearest is the one.
    """

    protocol: str
    detail: str
    serial: str = ""
    misfit: int = 0


class Found(msgspec.Struct, frozen=True):
    """A device that answered on a port, and the page of the catalog it fits."""

    protocol: str
    detail: str
    profile: str
    serial: str = ""


Probe = Callable[[BytePipe, Profile], Awaitable[Answered | None]]


async def probe_pn532(pipe: BytePipe, _profile: Profile) -> Answered | None:
    """Ask for the firmware version."""
    question = pn532.DataFrame(tfi=pn532.TO_CHIP, body=bytes([pn532.GET_FIRMWARE_VERSION]))
    await pipe.write(pn532.WAKE_UP + pn532.encode(question))
    decoder = pn532.Decoder()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while True:
                for message in decoder.feed(await pipe.read()):
                    if isinstance(message, pn532.DataFrame) and len(message.body) == _PN532_VERSION_BYTES:
                        chip, version, revision = message.body[1:4]
                        return Answered("pn532", f"PN5{chip:02X} {version}.{revision}")
    return None


async def probe_cctalk(pipe: BytePipe, profile: Profile) -> Answered | None:
    """Ask the profile's address with both checksums, and where it answers for other addresses on its line."""
    slave = profile.acceptor or profile.hopper
    assert slave is not None
    address = slave.address
    for checksum in _CHECKSUMS:
        line = CctalkLine(pipe, checksum=checksum, address=address)
        if await line.ask(Header.SIMPLE_POLL, attempts=2) is None:
            continue
        headers = (Header.EQUIPMENT_CATEGORY, Header.MANUFACTURER, Header.PRODUCT_CODE)
        names = [await line.ask(header) for header in headers]
        serial = await line.ask(Header.SERIAL_NUMBER)
        words = " ".join(parse_text(name) for name in names if name)
        number = str(parse_number(serial)) if serial else ""
        others = ", ".join(str(other) for other in await find_slaves(pipe, checksum=checksum) if other != address)
        more = f"; on this line too: {others}" if others else ""
        return Answered(f"cctalk {checksum}", f"address {address}: {words}{more}", number)
    return None


async def probe_companion(pipe: BytePipe, profile: Profile) -> Answered | None:
    """Say hello; a board without a channel for the profile is not its."""
    kind = Channel.OUTPUT if profile.pulse else Channel.COINS if profile.acceptor else Channel.READER
    board = await CompanionLine(pipe).meet()
    if board is None or kind not in board.channels:
        return None
    return Answered("companion", f"{board.firmware}, {counted(len(board.channels), 'channel')}", board.serial)


async def probe_gm65(pipe: BytePipe, _profile: Profile) -> Answered | None:
    """Ask a scanner for its settings byte."""
    await pipe.write(gm65.encode(gm65.read(gm65.SETTINGS)))
    decoder = gm65.Decoder()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while True:
                for found in decoder.feed(await pipe.read()):
                    if isinstance(found, gm65.Answer) and len(found.data) == 1:
                        return Answered("gm65", f"settings {found.data.hex().upper()}")
    return None


async def probe_hlk(pipe: BytePipe, _profile: Profile) -> Answered | None:
    """Ask for the serial number."""
    line = HlkLine(pipe)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            reply = await line.ask(hlk_fm22x.Frame(hlk_fm22x.Message.GET_SERIAL))
            if reply is not None and reply.result == hlk_fm22x.Result.SUCCESS:
                return Answered("hlk", "face module", hlk_fm22x.printable(reply.data[: hlk_fm22x.SERIAL_BYTES]))
    return None


async def probe_qibixx(pipe: BytePipe, _profile: Profile) -> Answered | None:
    """Ask an MDB board for its version; which role it plays it does not say."""
    await pipe.write(qibixx.VERSION)
    decoder = qibixx.Decoder()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while True:
                for found in decoder.feed(await pipe.read()):
                    if isinstance(found, qibixx.Version):
                        return Answered("qibixx", f"firmware {found.firmware}", found.cpu)
    return None


async def probe_ssp(pipe: BytePipe, profile: Profile) -> Answered | None:
    """Ask a note validator who it is; one that says nothing without a key is an eSSP profile's."""
    assert profile.acceptor is not None
    line, answer = SspLine(pipe), None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * ANSWER_S):
            answer = await line.ask(bytes([ssp.Code.SETUP_REQUEST])) if await line.sync() else None
    if answer is None or (answer[0] == ssp.Reply.KEY_NOT_SET) != profile.acceptor.encrypted:
        return None
    setup = ssp.parse_setup(answer[1:])
    return Answered("ssp", f"{setup.country} {setup.firmware}" if setup is not None else "wants a key")


async def probe_zfm(pipe: BytePipe, profile: Profile) -> Answered | None:
    """Ask for its system parameters, and whether it tells its own number; nothing is written into it.

    Modules of one name hold 80 to 1,500 fingers; whatever they hold, the nearest page is theirs.
    """
    assert profile.biometric is not None
    line = ZfmLine(pipe)
    password = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            password = await line.ask(zfm.Ask.PASSWORD, zfm.NO_PASSWORD, attempts=1)
    parameters = await line.ask(zfm.Ask.PARAMETERS, attempts=1) if password else None
    if parameters is None or parameters.code != zfm.OK:
        return None
    found = zfm.read_parameters(parameters.data)
    product = await line.ask(zfm.Ask.PRODUCT, attempts=1)
    serial = zfm.product_serial(product.data) if product is not None and product.code == zfm.OK else ""
    if not found.can_be or bool(serial) != (profile.biometric.serial == "told"):
        return None
    misfit = abs(found.capacity - profile.biometric.pages)
    return Answered("zfm", f"{found.capacity} pages", serial, misfit)


PROBES: Final[Mapping[str, Probe]] = {
    "cctalk": probe_cctalk,
    "companion": probe_companion,
    "gm65": probe_gm65,
    "pn532": probe_pn532,
    "qibixx": probe_qibixx,
    "ssp": probe_ssp,
    "hlk": probe_hlk,
    "zfm": probe_zfm,
}


async def probe_port(port: str, profiles: Iterable[Profile]) -> list[Found]:
    """Return who answers on a port; TransportError where it cannot be opened.

    Once a protocol has been answered only its own profiles are asked further: two answers are two matches.
    """
    found: list[tuple[int, Found]] = []
    answered = ""
    for profile in pages_for(_usb_of(port), list(profiles)):
        if not profile.probe or (answered and profile.probe != answered):
            continue
        who = await ask(port, profile)
        if who is not None:
            answered = profile.probe
            found.append((who.misfit, Found(who.protocol, who.detail, profile.name, who.serial)))
    nearest = min((misfit for misfit, _ in found), default=0)
    return [who for misfit, who in found if misfit == nearest]


def pages_for(usb: str, profiles: list[Profile]) -> list[Profile]:
    """Return the pages worth asking on a port of the USB device `usb` (VID:PID, "" where it is none).

    A page that names USB ids is meant there only, and goes before those of its protocol that name none.
    """
    named = [profile for profile in profiles if usb and usb in profile.usb]
    protocols = {profile.probe for profile in named}
    return named + [profile for profile in profiles if not profile.usb and profile.probe not in protocols]


def _usb_of(port: str) -> str:
    place = Path(real_port(port)).resolve()
    return next((plugged.usb for plugged in usb_ports() if Path(plugged.path).resolve() == place), "")


async def ask(port: str, profile: Profile) -> Answered | None:
    """Return what answers on a port as a profile says, or None; TransportError where it cannot be opened."""
    async with _opened(port, profile) as pipe:
        return await PROBES[profile.probe](pipe, profile)


@contextlib.asynccontextmanager
async def _opened(port: str, profile: Profile) -> AsyncIterator[SerialPort]:
    serial = profile.transport.serial
    assert serial is not None, profile.name
    pipe = open_serial(real_port(port), baud=serial.baud, stop_bits=serial.stop_bits)
    try:
        yield pipe
    finally:
        pipe.close()
