"""Makes the driver of a device from its profile. Adding a driver touches this file and no other of the bridge.

Drivers are imported when one is made: only a bridge with a reader pays for nfcpy, only one with pins for gpiozero.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from device_profiles.matching import Device, Power, coin_inputs, pin_level, pulse_of
from device_profiles.schema import Level, Profile
from firmware_bridge.drivers.coin_line import CoinLine
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Driver
from firmware_bridge.transports.interface import BytePipe, LinePipe
from firmware_bridge.transports.line_socket import open_line_socket
from payment_core.commands import Command


class Past(msgspec.Struct, frozen=True):
    """What the logs know of a device. `last_counter`: its own counter that is accounted for, None where nobody knows.

    `unfinished`: counted commands whose end nobody wrote down, oldest first. A driver whose device can tell answers
    them; others leave them.
    """

    last_counter: int | None = None
    unfinished: tuple[Command, ...] = ()


Maker = Callable[[Device, Profile, Past], Awaitable[Driver]]


async def _open_lines(device: Device, profile: Profile, levels: Mapping[str, Level]) -> tuple[LinePipe, frozenset[str]]:
    """Open a device's lines; return also the roles that are wired.

    `levels`: of each role's line at the machine, while it is active. Pins have levels of their own: see `pin_level`.
    """
    lines = profile.transport.lines
    assert lines is not None
    roles = frozenset({*lines.outputs, *lines.inputs})
    if device.socket:
        outputs, inputs = ({role: levels[role] for role in some} for some in (lines.outputs, lines.inputs))
        return await open_line_socket(device.socket, outputs=outputs, inputs=inputs), roles
    from firmware_bridge.transports.gpio_lines import GpioLines, Pin

    pins = {role: Pin(bcm, pin_level(profile, device, role)) for role, bcm in device.pins.items()}
    out, into = ({role: pins[role] for role in some if role in pins} for some in (lines.outputs, lines.inputs))
    return GpioLines(outputs=out, inputs=into), roles & frozenset(pins)


def _open_port(device: Device, profile: Profile) -> BytePipe:
    """Open a UART that the device has for itself, as its profile says."""
    from firmware_bridge.transports.serial_port import open_serial

    serial = profile.transport.serial
    assert serial is not None
    return open_serial(device.port, baud=serial.baud, stop_bits=serial.stop_bits)


def _share_port(device: Device, profile: Profile) -> BytePipe:
    """Open a UART, or join the devices that are on it already."""
    from firmware_bridge.transports.shared_port import share_serial

    serial = profile.transport.serial
    assert serial is not None
    return share_serial(device.port, baud=serial.baud, stop_bits=serial.stop_bits)


async def _coin_line(device: Device, profile: Profile, _past: Past) -> Driver:
    pulse = pulse_of(profile)
    levels = {"coin": pulse.active_level, "meter": pulse.active_level, "ready": pulse.ready_level}
    pipe, wired = await _open_lines(device, profile, levels)
    return CoinLine(pipe, pulse, has_ready="ready" in wired, has_meter="meter" in wired)


async def _pulse_acceptor(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.pulse_acceptor import PulseAcceptor

    acceptor = profile.acceptor
    assert acceptor is not None
    assert acceptor.pulses is not None
    levels = dict.fromkeys(coin_inputs(acceptor), acceptor.pulses.active_level)
    pipe, wired = await _open_lines(device, profile, {**levels, "accept": acceptor.pulses.accept_level})
    return PulseAcceptor(pipe, acceptor, wired=wired)


async def _tickets(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.tickets import TicketDispenser

    tickets = profile.tickets
    assert tickets is not None
    levels = {"run": tickets.run_level, "notch": tickets.notch_level, "error": tickets.error_level}
    pipe, wired = await _open_lines(device, profile, levels)
    return TicketDispenser(pipe, tickets, has_error="error" in wired)


async def _switches(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.switches import Switches

    assert profile.io is not None
    outputs = profile.io.outputs
    pipe, wired = await _open_lines(device, profile, {name: line.active_level for name, line in outputs.items()})
    return Switches(pipe, {name: line for name, line in outputs.items() if name in wired})


async def _sensors(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.sensors import Sensors

    assert profile.io is not None
    inputs = profile.io.inputs
    pipe, wired = await _open_lines(device, profile, {name: line.active_level for name, line in inputs.items()})
    return Sensors(pipe, {name: line for name, line in inputs.items() if name in wired})


async def _companion(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.companion import Companion
    from firmware_bridge.wire.companion import Channel

    kind = Channel.OUTPUT if profile.pulse else Channel.COINS if profile.acceptor else Channel.READER
    pipe = _share_port(device, profile)
    return Companion(pipe, kind, number=device.address, last_counter=past.last_counter)


async def _cctalk_acceptor(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.cctalk_acceptor import CctalkAcceptor

    acceptor = profile.acceptor
    assert acceptor is not None
    return CctalkAcceptor(_share_port(device, profile), acceptor, last_counter=past.last_counter)


async def _cctalk_hopper(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.cctalk_hopper import CctalkHopper

    hopper = profile.hopper
    assert hopper is not None
    pipe = _share_port(device, profile)
    return CctalkHopper(pipe, hopper, last_counter=past.last_counter, unfinished=past.unfinished)


async def _face(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.face import Face

    biometric = profile.biometric
    assert biometric is not None
    return Face(_open_port(device, profile), biometric)


async def _fingerprint(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.fingerprint import Fingerprint

    biometric = profile.biometric
    assert biometric is not None
    return Fingerprint(_open_port(device, profile), biometric)


async def _ssp_validator(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.ssp_validator import SspValidator

    acceptor = profile.acceptor
    assert acceptor is not None
    pipe = _open_port(device, profile)
    return SspValidator(pipe, acceptor, last_counter=past.last_counter)


async def _mdb_cashless(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.mdb_cashless import MdbCashless

    vend = profile.vend
    assert vend is not None
    return MdbCashless(_open_port(device, profile), vend, unfinished=past.unfinished)


async def _mdb_master(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.mdb_master import MdbMaster

    acceptor = profile.acceptor
    assert acceptor is not None
    return MdbMaster(_open_port(device, profile), acceptor, last_counter=past.last_counter)


async def _nfc_reader(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.nfc_reader import NfcReader

    assert profile.reader is not None
    return NfcReader(path=device.port, reader=profile.reader)


async def _qr_scanner(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.qr_scanner import QrScanner

    scanner = profile.scanner
    assert scanner is not None
    return QrScanner(_open_port(device, profile), scanner)


async def _hid_keys(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.hid_keys import HidKeys
    from firmware_bridge.transports.usb_hid import open_hid

    scanner, reader = profile.scanner, profile.reader
    same_ms = scanner.same_code_ms if scanner else reader.removed_after_ms if reader else 0
    return HidKeys(open_hid(device.port), cards=reader is not None, same_ms=same_ms)


async def _pcsc_reader(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.pcsc_line import LineScard
    from firmware_bridge.drivers.pcsc_reader import PcscReader, load_scard

    assert profile.reader is not None
    scard = LineScard(device.port) if device.port.startswith("/") else load_scard()
    return PcscReader(name=device.port, reader=profile.reader, scard=scard)


async def open_relay(power: Power) -> LinePipe:
    """Return a pipe whose output `power` takes a device's power away while it is active; TransportError as a driver."""
    if power.socket:
        return await open_line_socket(power.socket, outputs={"power": power.active_level}, inputs={})
    from firmware_bridge.transports.gpio_lines import GpioLines, Pin

    assert power.pin is not None  # a rule of matching.py
    return GpioLines(outputs={"power": Pin(power.pin, power.active_level)}, inputs={})


DRIVERS: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "coin_line": _coin_line,
        "cctalk_acceptor": _cctalk_acceptor,
        "cctalk_hopper": _cctalk_hopper,
        "companion": _companion,
        "hid_keys": _hid_keys,
        "face": _face,
        "fingerprint": _fingerprint,
        "mdb_cashless": _mdb_cashless,
        "mdb_master": _mdb_master,
        "nfc_reader": _nfc_reader,
        "pcsc_reader": _pcsc_reader,
        "pulse_acceptor": _pulse_acceptor,
        "qr_scanner": _qr_scanner,
        "sensors": _sensors,
        "ssp_validator": _ssp_validator,
        "switches": _switches,
        "tickets": _tickets,
    }
)


async def open_driver(
    device: Device, profile: Profile, *, last_counter: int | None, unfinished: tuple[Command, ...] = ()
) -> Driver:
    """Open the device's place and return its driver; TransportError or DriverError name the place and the remedy.

    `last_counter`, `unfinished`: see `Past`.
    """
    maker = DRIVERS.get(profile.driver)
    if maker is None:
        message = f"profile {profile.name!r} asks for driver {profile.driver!r}, which this release does not have"
        raise DriverError(message)
    return await maker(device, profile, Past(last_counter, unfinished))
