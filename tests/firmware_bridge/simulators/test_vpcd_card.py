"""A simulated ACR122U behind vpcd: its messages over TCP, scripts, and the real PC/SC service where it is installed."""

import asyncio
import io
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.simulators.acr122u import Acr122u
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.script import script_lines
from firmware_bridge.simulators.vpcd_card import PORT, Acr122uSimulator, VpcdCard, message_of, run_vpcd, vpcd_address
from tests.support.waiting import eventually

NTAG213 = "ntag213:04A1B2C3D4E580"
DEADLINE_S = 20
SERVICE_S = 30


def test_vpcds_messages() -> None:
    reader = Acr122u(card=NTAG213, dice=bytes)
    assert message_of(reader, b"\x04") == reader.atr()
    assert message_of(reader, b"\x01") is None
    assert message_of(reader, bytes.fromhex("FFCA000000")) == bytes.fromhex("04A1B2C3D4E5809000")
    assert message_of(reader, b"\x00") is None
    assert message_of(reader, bytes.fromhex("FFCA000000")) == bytes.fromhex("6300")
    assert message_of(reader, b"\x02") is None
    assert message_of(reader, b"\x09") is None


def test_on_a_line_without_the_service() -> None:
    simulator = Acr122uSimulator()
    assert simulator.feed(bytes.fromhex("000104"), now_ms=0) == b"\0\0"
    assert simulator.command(["tap", "classic1k:DEADBEEF", "for", "1s"], now_ms=0) == 1_000
    assert simulator.feed(bytes.fromhex("0001"), now_ms=1) == b""
    assert simulator.feed(bytes.fromhex("04"), now_ms=2)[:3] == bytes.fromhex("00143B")
    assert simulator.feed(bytes.fromhex("0001010005FFCA000000"), now_ms=3) == bytes.fromhex("0006DEADBEEF9000")
    assert simulator.feed(bytes.fromhex("FFFF00"), now_ms=4) == b""  # nobody says so much
    assert simulator.tick(now_ms=1_000) == b""
    assert simulator.feed(bytes.fromhex("000104"), now_ms=1_001) == b"\0\0"


@pytest.mark.parametrize("link", ["reader", "tcp:", "tcp:host", "tcp:host:door"])
def test_the_link_is_where_vpcd_listens(link: str) -> None:
    with pytest.raises(ScriptError, match="where vpcd listens"):
        vpcd_address(Path(link))
    assert vpcd_address(Path("tcp:127.0.0.1:35963")) == ("127.0.0.1", 35_963)


def played(script: str) -> tuple[list[bytes], str]:
    """Run a script against a vpcd that asks each card for its UID; return what it heard, and the counters."""
    heard: list[bytes] = []
    output = io.StringIO()

    async def card_came(receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        for said in (b"\x01", bytes.fromhex("FFCA000000")):
            send.write(len(said).to_bytes(2, "big") + said)
        heard.append(await receive.readexactly(int.from_bytes(await receive.readexactly(2), "big")))
        assert await receive.read() == b""  # until the card leaves
        send.close()

    async def run() -> None:
        server = await asyncio.start_server(card_came, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link, typed = Path(f"tcp:127.0.0.1:{port}"), io.StringIO("# typed\nquit\n")
        async with server, asyncio.timeout(DEADLINE_S):
            lines = script_lines(script, source="a.script")
            await run_vpcd(Acr122u(dice=bytes), link, lines, typed=typed, output=output)

    asyncio.run(run())
    return heard, output.getvalue()


@pytest.mark.slow
def test_a_script_taps_cards() -> None:
    heard, counters = played(f"tap {NTAG213} for 100ms\npause 600ms\ntap felica:0114B34D0000AA01 for 100ms\n")
    assert heard == [bytes.fromhex("04A1B2C3D4E5809000"), bytes.fromhex("0114B34D0000AA019000")]
    assert '"insertions":2' in counters


def test_a_bad_line_is_named() -> None:
    with pytest.raises(ScriptError, match=r"a\.script:2: not a line for an ACR122U"):
        played("pause 1ms\ndance\n")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    link, lines = Path(f"tcp:127.0.0.1:{port}"), script_lines(f"put {NTAG213}\npause 5s\n", source="a")
    with pytest.raises(ConnectionError):
        asyncio.run(run_vpcd(Acr122u(), link, lines, typed=None, output=io.StringIO()))


@pytest.fixture
def service() -> Iterator[None]:
    """Run the PC/SC service with its virtual reader."""
    program = shutil.which("pcscd")
    if program is None or not Path("/etc/reader.conf.d/vpcd").exists():
        pytest.skip("program: pcscd and vsmartcard-vpcd are not installed (Debian packages)")
    pytest.importorskip("smartcard", reason="program: pyscard is not installed (it needs a C compiler)")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([program, "--foreground"], **quiet) as running:
        eventually(lambda: running.poll() is not None or _listens(PORT))
        if running.poll() is not None:
            pytest.skip("program: pcscd does not start here (it runs already, or not as root)")
        try:
            yield
        finally:
            running.terminate()


def _listens(port: int) -> bool:
    state = "0A"  # of a socket that listens, in the kernel's table; to connect would be a card
    table = Path("/proc/net/tcp").read_text(encoding="ascii") + Path("/proc/net/tcp6").read_text(encoding="ascii")
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == state for line in table.splitlines()[1:])


READ_A_TAP = """
import asyncio
from device_profiles.schema import Reader
from firmware_bridge.drivers.pcsc_reader import PcscReader, load_scard

async def main():
    inbox, outbox = asyncio.Queue(), asyncio.Queue()
    reader = Reader(media=(), removed_after_ms=200)
    driver = PcscReader(name="Virtual PCD 00 00", reader=reader, scard=load_scard())
    running = asyncio.create_task(driver.run(inbox, outbox))
    for _ in range(3):
        said = await outbox.get()
        print(getattr(said, "body", said), flush=True)
    running.cancel()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.usefixtures("service")
def test_the_real_service_with_its_virtual_reader() -> None:
    async def story() -> None:
        reader = Acr122u(dice=bytes)
        serving = asyncio.create_task(VpcdCard(reader, "127.0.0.1", PORT).serve())
        host = await asyncio.create_subprocess_exec(sys.executable, "-c", READ_A_TAP, stdout=asyncio.subprocess.PIPE)
        assert host.stdout is not None
        try:
            async with asyncio.timeout(SERVICE_S):
                assert b"state='online'" in await host.stdout.readline()
                reader.command(["put", "ntag424:04DE5F1EACC040:" + "00" * 16], now_ms=0)
                shown = await host.stdout.readline()
                assert b"media='ntag424'" in shown
                assert b"ctr=000001" in shown
                reader.command(["remove"], now_ms=0)
                assert b"CredentialRemoved(uid='04DE5F1EACC040')" in await host.stdout.readline()
        finally:
            serving.cancel()
            if host.returncode is None:
                host.kill()
            await host.wait()

    asyncio.run(story())
