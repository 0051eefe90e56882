"""A scanned code from a simulated scanner through a real bridge and broker: heard once, and kept nowhere."""

import asyncio
import contextlib
import shutil
import subprocess
import sys

import pytest

from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings
from payment_core.bus import DeviceState, decode, device_topic, parse_topic
from payment_core.events import CodeScanned, Event, event_body
from tests.support.waiting import eventually
from venuehub.demo.brokers import free_port

pytestmark = pytest.mark.slow
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
PAYER = "134567890123456789"


@pytest.fixture
def venue(tmp_path):
    """Return a folder in which broker, scanner and bridge run, and the broker's port."""
    port = free_port()
    (tmp_path / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    (tmp_path / "bridge.toml").write_text(
        f'bridge = "hall"\nhub = "hub-1"\nstate_dir = "{tmp_path}/state"\n[broker]\nport = {port}\n'
        f'[[device]]\nid = "scanner-1"\nprofile = "gm65-serial"\nport = "{tmp_path}/scanner"\n'
    )
    python = [sys.executable, "-m"]
    emulate = ["venuehub", "device", "emulate", "gm65-serial", "--link", f"{tmp_path}/scanner"]
    processes = {}

    def start(name, *command):
        with (tmp_path / f"{name}.log").open("w") as log:
            processes[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)

    start("broker", BROKER, "-c", str(tmp_path / "m.conf"))
    start("scanner", *python, *emulate, "--status", f"{tmp_path}/status.json")
    eventually((tmp_path / "scanner").exists)
    start("bridge", *python, "firmware_bridge.app", "--config", str(tmp_path / "bridge.toml"))
    yield tmp_path, port, processes
    for process in reversed(processes.values()):
        process.terminate()
        process.communicate(timeout=20)


async def connected(port):
    """Return a link that listens to the scanner."""
    async with asyncio.timeout(20):
        while True:
            try:
                link = await MqttLink(MqttSettings(host="127.0.0.1", port=port)).__aenter__()
            except BrokerUnavailableError:
                await asyncio.sleep(0.05)
                continue
            await link.subscribe(device_topic("hub-1", "scanner-1", "+"))
            return link


async def heard(link, wanted):
    """Return the next message that is wanted."""
    async with asyncio.timeout(20):
        async for message in link.messages():
            content = decode(parse_topic(message.topic).leaf, message.payload)
            if wanted(content):
                return content
    pytest.fail("the broker went away")


async def retained(port):
    """Return all that a newcomer is told, once the device's birth is among it, and within a moment."""
    link, told = await connected(port), b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20) as patience:
            async for message in link.messages():
                told += message.payload
                if b"gm65-serial" in told:
                    patience.reschedule(asyncio.get_running_loop().time() + 0.5)
    await link.__aexit__(None, None, None)
    return told


def test_a_payer_code_is_heard_once_and_stands_in_no_log_no_file_and_no_retained_message(venue):
    folder, port, processes = venue

    async def story():
        link = await connected(port)
        await heard(link, lambda content: isinstance(content, DeviceState) and content.state == "online")
        processes["scanner"].stdin.write(f"show {PAYER}\n")
        processes["scanner"].stdin.flush()
        event = await heard(link, lambda content: isinstance(content, Event))
        assert event_body(event) == CodeScanned(PAYER)
        await link.__aexit__(None, None, None)
        later = await retained(port)
        assert b"gm65-serial" in later
        assert PAYER[2:14].encode() not in later

    asyncio.run(story())
    kept = [file for file in folder.rglob("*") if file.is_file()]
    assert {"bridge.log", "scanner.log"} <= {file.name for file in kept}
    assert [file for file in kept if PAYER[2:14].encode() in file.read_bytes()] == []
