"""Finding a serial port by what is plugged in, never by its number: USB ids and serial numbers from sysfs."""

import re
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.transports.interface import TransportError

SYS: Final = Path("/sys/class/tty")
DEV: Final = Path("/dev")
LEVELS: Final = 4
"""From a tty to the USB device: port, interface, device; one more for chips with several ports."""
NAMED_BY_USB: Final = "usb:"
USB: Final = re.compile(r"usb:(?P<id>[0-9a-f]{4}:[0-9a-f]{4})(?::(?P<serial>.+))?")


class UsbPort(msgspec.Struct, frozen=True):
    """A serial port of a USB device. `links`: its lasting names below /dev/serial, by id and by path."""

    path: str
    usb: str
    serial: str
    product: str
    links: tuple[str, ...]


def usb_ports(*, sys: Path = SYS, dev: Path = DEV) -> list[UsbPort]:
    """Return the serial ports that USB devices have now, sorted by path."""
    links: dict[Path, list[str]] = {}
    for link in sorted(dev.glob("serial/by-*/*")):
        links.setdefault(link.resolve(), []).append(str(link))
    found = []
    for tty in sorted(sys.glob("*")):
        device = _usb_device((tty / "device").resolve())
        if device is not None:
            path = dev / tty.name
            usb = f"{_read(device / 'idVendor')}:{_read(device / 'idProduct')}"
            names = tuple(links.get(path.resolve(), ()))
            found.append(UsbPort(str(path), usb, _read(device / "serial"), _read(device / "product"), names))
    return found


def real_port(port: str, *, sys: Path = SYS, dev: Path = DEV) -> str:
    """Return the path to open for a `port` of bridge.toml: itself, or for `usb:VID:PID[:SERIAL]` what is plugged in.

    A lasting link is preferred to a number, for drivers that open their port again. TransportError where nothing is
    plugged in that fits, and where two devices do: which of them is meant a person has to say.
    """
    wanted = USB.fullmatch(port)
    if wanted is None:
        return port
    fits = [
        found
        for found in usb_ports(sys=sys, dev=dev)
        if found.usb == wanted["id"] and wanted["serial"] in {None, found.serial}
    ]
    if not fits:
        message = f"{port}: no such device is plugged in: check cable and power, or correct its port in bridge.toml"
        raise TransportError(message)
    if len(fits) > 1:
        places = ", ".join((found.links or (found.path,))[-1] for found in fits)
        message = f"{port}: {len(fits)} devices match: name one by its link in bridge.toml: {places}"
        raise TransportError(message)
    return (fits[0].links or (fits[0].path,))[0]


def usb_name(port: str, *, sys: Path = SYS, dev: Path = DEV) -> str:
    """Return `usb:VID:PID:SERIAL` of what is behind an opened path; "" where it is no USB device or has no number."""
    place = Path(port).resolve()
    named = (found for found in usb_ports(sys=sys, dev=dev) if found.serial and Path(found.path).resolve() == place)
    return next((f"{NAMED_BY_USB}{found.usb}:{found.serial}" for found in named), "")


def _usb_device(device: Path) -> Path | None:
    """Return the folder of the USB device that a tty belongs to, or None where it is none."""
    for folder in (device, *device.parents[:LEVELS]):
        if (folder / "idVendor").is_file():
            return folder
    return None


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:  # many adapters have no serial number
        return ""
