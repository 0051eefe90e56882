"""Makes the driver of a device from its profile. Adding a driver touches this file and no other of the bridge.

Drivers are imported when one is made: only a bridge with a reader pays for nfcpy, only one with pins for gpiozero.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from device_profiles.matching import Device, Power, pulse_of
from device_profiles.schema import Profile
from firmware_bridge.drivers.coin_line import CoinLine
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Driver
from firmware_bridge.transports.interface import LinePipe
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


async def _coin_line(device: Device, profile: Profile, _past: Past) -> Driver:
    pulse = pulse_of(profile)
    pipe: LinePipe
    if device.socket:
        outputs, inputs = {"coin": pulse.active_level}, {"ready": pulse.ready_level}
        pipe = await open_line_socket(device.socket, outputs=outputs, inputs=inputs)
    else:
        from firmware_bridge.transports.gpio_lines import GpioLines, Pin

        pins = {"coin": pulse.active_level, "ready": pulse.ready_level}
        chosen = {role: Pin(bcm, pins[role]) for role, bcm in device.pins.items()}
        ready = {"ready": chosen.pop("ready")} if "ready" in chosen else {}
        pipe = GpioLines(outputs=chosen, inputs=ready)
    return CoinLine(pipe, pulse, has_ready=bool(device.socket) or "ready" in device.pins)


async def _cctalk_acceptor(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.cctalk_acceptor import CctalkAcceptor
    from firmware_bridge.transports.shared_port import share_serial

    serial, acceptor = profile.transport.serial, profile.acceptor
    assert serial is not None
    assert acceptor is not None
    return CctalkAcceptor(share_serial(device.port, baud=serial.baud), acceptor, last_counter=past.last_counter)


async def _cctalk_hopper(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.cctalk_hopper import CctalkHopper
    from firmware_bridge.transports.shared_port import share_serial

    serial, hopper = profile.transport.serial, profile.hopper
    assert serial is not None
    assert hopper is not None
    pipe = share_serial(device.port, baud=serial.baud)
    return CctalkHopper(pipe, hopper, last_counter=past.last_counter, unfinished=past.unfinished)


async def _face(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.face import Face
    from firmware_bridge.transports.serial_port import open_serial

    serial, biometric = profile.transport.serial, profile.biometric
    assert serial is not None
    assert biometric is not None
    return Face(open_serial(device.port, baud=serial.baud), biometric)


async def _fingerprint(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.fingerprint import Fingerprint
    from firmware_bridge.transports.serial_port import open_serial

    serial, biometric = profile.transport.serial, profile.biometric
    assert serial is not None
    assert biometric is not None
    return Fingerprint(open_serial(device.port, baud=serial.baud), biometric)


async def _ssp_validator(device: Device, profile: Profile, past: Past) -> Driver:
    from firmware_bridge.drivers.ssp_validator import SspValidator
    from firmware_bridge.transports.serial_port import open_serial

    serial, acceptor = profile.transport.serial, profile.acceptor
    assert serial is not None
    assert acceptor is not None
    pipe = open_serial(device.port, baud=serial.baud, stop_bits=serial.stop_bits)
    return SspValidator(pipe, acceptor, last_counter=past.last_counter)


async def _nfc_reader(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.nfc_reader import NfcReader

    assert profile.reader is not None
    return NfcReader(path=device.port, reader=profile.reader)


async def _qr_scanner(device: Device, profile: Profile, _past: Past) -> Driver:
    from firmware_bridge.drivers.qr_scanner import QrScanner
    from firmware_bridge.transports.serial_port import open_serial

    serial, scanner = profile.transport.serial, profile.scanner
    assert serial is not None
    assert scanner is not None
    return QrScanner(open_serial(device.port, baud=serial.baud), scanner)


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
        "hid_keys": _hid_keys,
        "face": _face,
        "fingerprint": _fingerprint,
        "nfc_reader": _nfc_reader,
        "pcsc_reader": _pcsc_reader,
        "qr_scanner": _qr_scanner,
        "ssp_validator": _ssp_validator,
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
