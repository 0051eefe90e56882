"""Other people's software on the simulated PN532: each reads a card as a sale's tap does.

adafruit-circuitpython-pn532 comes with the test set; its board libraries are stood in for, since a serial port is all
it uses here. pn532pi needs a C compiler to be installed and libnfc is a Debian package: where they are missing their
tests are skipped, and docs/wire/pn532.md says what they were tried with.
"""

import contextlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.wire import ndef_file
from tests.support.on_a_pty import RunningSimulator, on_a_pty

pytestmark = pytest.mark.slow

NTAG213 = "ntag213:04A1B2C3D4E580"
FELICA = "felica:0114B34D0000AA01"
TIMEOUT_S = 20


@contextlib.contextmanager
def port(tmp_path: Path, card: str) -> Iterator[tuple[serial.Serial, RunningSimulator]]:
    """Open the port of a reader with a card in its field."""
    with (
        on_a_pty(Pn532Simulator(card=card), tmp_path / "reader") as running,
        serial.Serial(str(running.link), 115_200, timeout=0.3) as opened,
    ):
        yield opened, running


@pytest.fixture
def adafruit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import Adafruit's class without a board below it."""
    boards: dict[str, dict[str, object]] = {
        "micropython": {"const": int},
        "digitalio": {"Direction": object, "DigitalInOut": object},
        "busio": {"UART": object},
        "circuitpython_typing": {"ReadableBuffer": bytes},
    }
    for name, contents in boards.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    return importlib.import_module("adafruit_pn532.uart").PN532_UART


def test_adafruit_reads_and_writes_an_ntag(tmp_path: Path, adafruit: Any) -> None:
    with port(tmp_path, NTAG213) as (opened, running):
        reader = adafruit(opened)
        assert reader.firmware_version == (0x32, 1, 6, 7)
        reader.SAM_configuration()
        assert bytes(reader.read_passive_target(timeout=TIMEOUT_S)) == bytes.fromhex("04A1B2C3D4E580")
        area = b"".join(bytes(reader.ntag2xx_read_block(page)) for page in range(4, 12))
        assert ndef_file.first_uri(area[2 : 2 + area[1]]) == "https://card.example/hello"
        assert reader.ntag2xx_write_block(20, b"till")
        assert bytes(reader.ntag2xx_read_block(20)) == b"till"
        assert running.status()["noise_bytes"] == 0


def test_adafruit_opens_a_sector_of_a_classic(tmp_path: Path, adafruit: Any) -> None:
    with port(tmp_path, "classic1k:DEADBEEF") as (opened, _running):
        reader = adafruit(opened)
        uid = bytes(reader.read_passive_target(timeout=TIMEOUT_S))
        assert uid == bytes.fromhex("DEADBEEF")
        assert reader.mifare_classic_authenticate_block(uid, 4, 0x60, b"\xff" * 6)
        assert reader.mifare_classic_write_block(4, bytes(range(16)))
        assert bytes(reader.mifare_classic_read_block(4)) == bytes(range(16))
        assert not reader.mifare_classic_authenticate_block(uid, 8, 0x60, bytes(6))


@pytest.fixture
def pn532pi(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import pn532pi; its other buses are not wanted, and its 10 ms for an ACK are a promise of hardware."""
    if importlib.util.find_spec("pn532pi") is None:
        pytest.skip("program: pn532pi is not installed (it needs a C compiler)")
    for name in ("spidev", "quick2wire"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    hsu = importlib.import_module("pn532pi.interfaces.pn532hsu")
    monkeypatch.setattr(hsu, "PN532_ACK_WAIT_TIME", 5_000)
    chip = importlib.import_module("pn532pi.nfc.pn532").Pn532

    def on(opened: serial.Serial) -> Any:
        line = hsu.Pn532Hsu.__new__(hsu.Pn532Hsu)  # its own way in knows two ports of a Raspberry Pi by number
        line.command, line._serial = 0, opened
        reader = chip(line)
        line.wakeup()
        return reader

    return on


def test_pn532pi_reads_a_tap(tmp_path: Path, pn532pi: Any) -> None:
    with port(tmp_path, NTAG213) as (opened, _running):
        reader = pn532pi(opened)
        assert reader.getFirmwareVersion() == 0x32010607
        assert reader.SAMConfig()
        assert reader.readPassiveTargetID(0, TIMEOUT_S * 1_000) == (True, bytearray.fromhex("04A1B2C3D4E580"))
        good, page = reader.mifareultralight_ReadPage(4)
        assert (good, bytes(page)) == (True, bytes.fromhex("0317D101"))


def test_pn532pi_polls_a_felica(tmp_path: Path, pn532pi: Any) -> None:
    with port(tmp_path, FELICA) as (opened, _running):
        reader = pn532pi(opened)
        assert reader.SAMConfig()
        found, idm, pmm, system = reader.felica_Polling(0xFFFF, 1, TIMEOUT_S * 1_000)
        assert (found, idm.hex(), system) == (1, "0114b34d0000aa01", 0x88B4)
        assert pmm.hex().startswith("00f0000002060300")  # it leaves the system code on it
        assert reader.felica_RequestResponse() == (1, 0)


def libnfc(program: str, link: Path, *arguments: str) -> str:
    """Run one of libnfc's programs on a reader; return what it says."""
    if shutil.which(program) is None:
        pytest.skip(f"program: {program} is not installed (Debian: libnfc-bin)")
    environment = {**os.environ, "LIBNFC_DEVICE": f"pn532_uart:{link}"}
    ended = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (NTAG213, "UID (NFCID1): 04  a1  b2  c3  d4  e5  80"),
        ("ntag424:04DE5F1EACC040:" + "00" * 16, "ATS: 77  77  71  02  80"),
        ("classic4k:DEADBEEF", "SAK (SEL_RES): 18"),
        (FELICA, "ID (NFCID2): 01  14  b3  4d  00  00  aa  01"),
    ],
)
def test_libnfc_lists_a_card(tmp_path: Path, card: str, says: str) -> None:
    with on_a_pty(Pn532Simulator(card=card), tmp_path / "reader") as running:
        assert says in libnfc("nfc-list", running.link)


def test_libnfc_reads_an_ultralight(tmp_path: Path) -> None:
    with on_a_pty(Pn532Simulator(card="ultralight_ev1:04A1B2C3D4E580"), tmp_path / "reader") as running:
        said = libnfc("nfc-mfultralight", running.link, "r", str(tmp_path / "dump"))
        assert (tmp_path / "dump").read_bytes().startswith(bytes.fromhex("04A1B29FC3D4E580")), said
