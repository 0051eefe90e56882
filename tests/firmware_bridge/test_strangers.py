"""BUS-1 over a broker: two acceptors change places, and nothing that they say reaches the bus until they are right."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_sync.mqtt_link import MqttLink, MqttSettings
from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from payment_core.bus import Birth, DeviceState, decode, parse_topic
from payment_core.events import Event
from tests.support.on_a_pty import on_a_pty
from tests.support.waiting import eventually
from venuehub.demo.brokers import free_port

HUB = "0198a000-0000-7000-8000-000000000001"
LEFT, RIGHT = "left", "right"
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
QUARANTINE_LOOKS_S = 1.5

pytestmark = pytest.mark.slow


class Seen:
    """What came over the bus."""

    def __init__(self, link: MqttLink) -> None:
        self.link = link
        self.states: dict[str, DeviceState] = {}
        self.serials: dict[str, str] = {}
        self.events: Counter[str] = Counter()

    async def listen(self) -> None:
        async for message in self.link.messages():
            address = parse_topic(message.topic)
            assert address is not None
            match decode(address.leaf, message.payload):
                case DeviceState() as state:
                    self.states[address.name] = state
                case Birth() as birth:
                    self.serials[address.name] = birth.serial
                case Event() as event:
                    self.events[f"{address.name} {event.kind} {event.seq}"] += 1
                case _:
                    pass

    async def until_both(self, state: str) -> None:
        await until(lambda: all(name in self.states and self.states[name].state == state for name in (LEFT, RIGHT)))


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def until(look: Callable[[], bool], deadline_s: float = 20) -> None:
    async with asyncio.timeout(deadline_s):
        while not look():  # noqa: ASYNC110 - a look at what came over the bus
            await asyncio.sleep(0.02)


def settings(folder: Path, port: int) -> Path:
    file = folder / "bridge.toml"
    text = f'bridge = "hall"\nhub = "{HUB}"\nstate_dir = "{folder}/state"\n[broker]\nport = {port}\n'
    for name in (LEFT, RIGHT):
        text += f'[[device]]\nid = "{name}"\nprofile = "cctalk-coin-acceptor"\nport = "{folder}/port-{name}"\n'
    file.write_text(text)
    return file


def plug(folder: Path, left: Path, right: Path) -> None:
    """Put the terminals of two simulators behind the ports of bridge.toml."""
    for name, target in ((LEFT, left), (RIGHT, right)):
        fresh = folder / f"fresh-{name}"
        fresh.symlink_to(target.readlink())
        fresh.replace(folder / f"port-{name}")


def test_two_acceptors_that_change_places_sell_nothing(tmp_path):
    port = free_port()
    (tmp_path / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    command = [sys.executable, "-m", "firmware_bridge.app", "--config", str(settings(tmp_path, port))]

    async def story(first, second) -> None:
        async with MqttLink(MqttSettings(host="127.0.0.1", port=port)) as link:
            await link.subscribe(f"vd/1/{HUB}/dev/+/+")
            seen = Seen(link)
            listening = asyncio.ensure_future(seen.listen())
            with running(*command) as bridge:
                await seen.until_both("online")
                known = tmp_path / "state" / "identities.json"
                await asyncio.to_thread(
                    eventually, lambda: known.exists() and json.loads(known.read_text()) == {LEFT: "1", RIGHT: "2"}
                )
                plug(tmp_path, second.link, first.link)
                bridge.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(bridge.wait, 20) == 0
            assert seen.serials[LEFT] == "1"
            with running(*command) as bridge:
                await seen.until_both("quarantined")
                assert seen.states[LEFT].reason.startswith("serial 2 is there, and 1 is known")
                first.say("lose 1")
                second.say("lose 1")
                await asyncio.sleep(QUARANTINE_LOOKS_S)
                assert not seen.events
                assert seen.states[LEFT].errors > 1
                plug(tmp_path, first.link, second.link)
                await seen.until_both("online")
                await until(lambda: len(seen.events) == 2)  # the next goes out when these are booked
                assert set(seen.events) == {"left CoinInserted 1", "right CoinInserted 1"}
                bridge.send_signal(signal.SIGTERM)
                await asyncio.to_thread(bridge.wait, 20)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    with (
        running(BROKER, "-c", str(tmp_path / "m.conf")),
        on_a_pty(CctalkAcceptorSimulator(serial=1), tmp_path / "one") as first,
        on_a_pty(CctalkAcceptorSimulator(serial=2), tmp_path / "two") as second,
    ):
        plug(tmp_path, first.link, second.link)
        asyncio.run(asyncio.wait_for(story(first, second), 90))
