"""Finding a port by what is plugged in, in a made-up /sys and /dev."""

from pathlib import Path

import pytest

from firmware_bridge.ports import UsbPort, real_port, usb_name, usb_ports
from firmware_bridge.transports.interface import TransportError


class Machine:
    """A /sys and a /dev in a folder."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.dev, self.bus = folder / "sys", folder / "dev", folder / "devices"
        for place in (self.sys, self.bus, self.dev / "serial" / "by-id", self.dev / "serial" / "by-path"):
            place.mkdir(parents=True)

    def plug(self, name: str, usb: str, *, socket: str, serial: str = "", deep: bool = True) -> None:
        """Plug a device into a socket; it gets the tty `name`, and links as udev makes them."""
        device = self.bus / socket
        tty = device / f"{socket}:1.0" / name if deep else device / f"{socket}:1.0"
        tty.mkdir(parents=True)
        vid, _, pid = usb.partition(":")
        (device / "idVendor").write_text(f"{vid}\n")
        (device / "idProduct").write_text(f"{pid}\n")
        (device / "product").write_text("USB Serial\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")
            (self.dev / "serial" / "by-id" / f"usb-{serial}").symlink_to(self.dev / name)
        (self.dev / "serial" / "by-path" / f"pci-usb-{socket}").symlink_to(self.dev / name)
        (self.dev / name).touch()
        (self.sys / name).mkdir()
        (self.sys / name / "device").symlink_to(tty)

    def found(self) -> list[UsbPort]:
        return usb_ports(sys=self.sys, dev=self.dev)

    def real(self, port: str) -> str:
        return real_port(port, sys=self.sys, dev=self.dev)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_ports_of_usb_devices_are_found_with_their_lasting_names(machine):
    machine.plug("ttyUSB0", "1a86:7523", socket="1-1")
    machine.plug("ttyACM0", "2fe3:0001", socket="1-2", serial="A7", deep=False)
    (machine.sys / "ttyS0" / "device").mkdir(parents=True)
    acm, usb = machine.found()
    assert (acm.usb, acm.serial, acm.product, acm.path) == ("2fe3:0001", "A7", "USB Serial", f"{machine.dev}/ttyACM0")
    assert acm.links == (f"{machine.dev}/serial/by-id/usb-A7", f"{machine.dev}/serial/by-path/pci-usb-1-2")
    assert (usb.usb, usb.serial, usb.links) == ("1a86:7523", "", (f"{machine.dev}/serial/by-path/pci-usb-1-1",))


def test_a_device_is_known_by_id_and_serial_whatever_its_number(machine):
    machine.plug("ttyUSB3", "1a86:7523", socket="1-1", serial="A7")
    machine.plug("ttyUSB1", "0403:6001", socket="1-2")
    assert machine.real("usb:1a86:7523:A7") == machine.real("usb:1a86:7523") == f"{machine.dev}/serial/by-id/usb-A7"
    assert machine.real("usb:0403:6001") == f"{machine.dev}/serial/by-path/pci-usb-1-2"
    assert machine.real("/dev/ttyS0") == "/dev/ttyS0"


def test_what_is_behind_a_path_has_a_name_of_its_usb_number(machine):
    machine.plug("ttyUSB3", "1a86:7523", socket="1-1", serial="A7")
    machine.plug("ttyUSB1", "0403:6001", socket="1-2")
    for port, name in (("ttyUSB3", "usb:1a86:7523:A7"), ("serial/by-id/usb-A7", "usb:1a86:7523:A7"), ("ttyUSB1", "")):
        assert usb_name(f"{machine.dev}/{port}", sys=machine.sys, dev=machine.dev) == name


def test_nothing_and_two_of_a_kind_are_told_to_a_person(machine):
    machine.plug("ttyUSB0", "1a86:7523", socket="1-1")
    machine.plug("ttyUSB1", "1a86:7523", socket="1-2", serial="A7")
    with pytest.raises(TransportError, match="no such device is plugged in"):
        machine.real("usb:0403:6001")
    with pytest.raises(TransportError, match=r"2 devices match.*by-path/pci-usb-1-1, .*by-path/pci-usb-1-2"):
        machine.real("usb:1a86:7523")
    assert machine.real("usb:1a86:7523:A7").endswith("usb-A7")
