"""A finger and a face through a real bridge and broker: what the hub asks, what it hears, and what is kept nowhere."""

import asyncio
import contextlib
import shutil
import subprocess
import sys

import pytest

from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings
from payment_core.bus import DeviceState, decode, device_topic, encode, parse_topic
from payment_core.commands import Enroll, Pages, Result, Verify, make_command
from payment_core.events import CredentialPresented, CredentialRemoved, Event, event_body
from tests.support.waiting import eventually
from venuehub.demo.brokers import free_port

pytestmark = pytest.mark.slow
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
CANARY = "canary5e1f"
FINGER = (b"VH000001" + b"\x00\x07").hex().upper()
FACE = (b"FM000001" + b"\x00\x03").hex().upper()


@pytest.fixture
def venue(tmp_path):
    """Return a folder in which a broker, both modules and a bridge run, the broker's port, and the processes."""
    port = free_port()
    (tmp_path / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    (tmp_path / "bridge.toml").write_text(
        f'bridge = "hall"\nhub = "hub-1"\nstate_dir = "{tmp_path}/state"\n[broker]\nport = {port}\n'
        f'[[device]]\nid = "finger"\nprofile = "r503"\nport = "{tmp_path}/finger"\n'
        f'[[device]]\nid = "face"\nprofile = "hlk-fm225"\nport = "{tmp_path}/face"\n'
    )
    python = [sys.executable, "-m"]
    processes = {}

    def start(name, *command):
        with (tmp_path / f"{name}.log").open("w") as log:
            processes[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)

    start("broker", BROKER, "-c", str(tmp_path / "m.conf"))
    for name, profile in (("finger", "r503"), ("face", "hlk-fm225")):
        start(name, *python, "venuehub", "device", "emulate", profile, "--link", f"{tmp_path}/{name}")
        eventually((tmp_path / name).exists)
    start("bridge", *python, "firmware_bridge.app", "--config", str(tmp_path / "bridge.toml"))
    yield tmp_path, port, processes
    for process in reversed(processes.values()):
        process.terminate()
        process.communicate(timeout=20)


class Hub:
    """A hub that keeps everything it was told, as bytes."""

    def __init__(self, link: MqttLink) -> None:
        self.link = link
        self.told = b""

    async def ask(self, device: str, body, command_id: str) -> None:
        """Send an uncounted command."""
        command = make_command(body, command_id=command_id, seq=0, boot_id="", ttl_ms=9_000)
        await self.link.publish(device_topic("hub-1", device, "command"), encode(command))

    async def hear(self, device: str, wanted):
        """Return the next message of a device that is wanted."""
        async with asyncio.timeout(20):
            async for message in self.link.messages():
                self.told += message.payload
                place = parse_topic(message.topic)
                content = decode(place.leaf, message.payload)
                if place.name == device and wanted(content):
                    return content
        pytest.fail("the broker went away")

    async def online(self, device: str) -> None:
        await self.hear(device, lambda content: isinstance(content, DeviceState) and content.state == "online")

    async def result(self, device: str, command_id: str) -> Result:
        return await self.hear(device, lambda content: isinstance(content, Result) and content.id == command_id)

    async def event(self, device: str):
        return event_body(await self.hear(device, lambda content: isinstance(content, Event)))


@contextlib.asynccontextmanager
async def hub_on(port: int):
    """Connect as the hub does."""
    async with asyncio.timeout(20):
        while True:
            try:
                link = await MqttLink(MqttSettings(host="127.0.0.1", port=port)).__aenter__()
                break
            except BrokerUnavailableError:
                await asyncio.sleep(0.05)
    await link.subscribe("#")
    try:
        yield Hub(link)
    finally:
        await link.__aexit__(None, None, None)


def tell(process: subprocess.Popen, *lines: str) -> None:
    """Give a simulator script lines."""
    process.stdin.write("".join(f"{line}\n" for line in lines))
    process.stdin.flush()


def test_what_a_module_knows_of_a_person_stays_in_it(venue):
    folder, port, processes = venue

    async def story() -> bytes:
        async with hub_on(port) as hub:
            await hub.online("finger")
            tell(processes["finger"], "stored li 7", f"finger {CANARY}", "leak", "pause 500ms", "lift", "pause 1s")
            await hub.ask("finger", Enroll(page=9, consent=" "), "e1")
            assert (await hub.result("finger", "e1")).reason == "no_consent"
            await hub.ask("finger", Verify(seconds=9), "v1")
            tell(processes["finger"], "finger li")
            assert await hub.event("finger") == CredentialPresented("finger", FINGER, "B", intent="v1")
            tell(processes["finger"], "lift")
            assert await hub.event("finger") == CredentialRemoved(FINGER)
            await hub.ask("finger", Pages(), "p1")
            pages = await hub.result("finger", "p1")
            assert (pages.outcome, pages.answers, pages.counters) == ("done", ("7",), {"capacity": 200})
            tell(processes["face"], "enrolled li 3", f"face {CANARY}", "leak", "face li", "leak")
            await hub.ask("face", Verify(seconds=9), "v2")
            assert await hub.event("face") == CredentialPresented("face", FACE, "B", intent="v2")
            assert (await hub.result("face", "v2")).outcome == "done"
            return hub.told

    told = asyncio.run(story())
    secrets = [CANARY.encode(), CANARY.encode().hex().encode(), CANARY.encode().hex().upper().encode()]
    kept = [file for file in folder.rglob("*") if file.is_file()]
    assert {"bridge.log", "values.log", "actuation.log"} <= {file.name for file in kept}
    assert [file for file in kept if any(secret in file.read_bytes() for secret in secrets)] == []
    assert not any(secret in told for secret in secrets)
