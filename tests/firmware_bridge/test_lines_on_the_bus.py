"""A real bridge, a broker and devices on lines, each a process: killed while tickets come, nothing is resumed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from payment_core.bus import device_topic, encode
from payment_core.commands import Dispense, SetLine, make_command
from payment_core.events import CoinInserted, CreditDelivered, Event, PrizeOut, event_body
from tests.firmware_bridge.test_app import HUB, LINE, Hub, Venue, open_hub, run

pytestmark = pytest.mark.slow
PLACES = {LINE: "ticket-dl1275", "mech": "pulse-coin-mech", "claw": "prize-sensor", "lock": "door-lock"}


class LinesHub(Hub):
    """A hub that keeps the bodies of value events by their device and number."""

    def take(self, device: str, event: Event) -> None:
        body = event_body(event)
        if isinstance(body, CreditDelivered):
            self.delivered[body.id] = body.credits
            self.events.append(event)
        self.facts[device, event.epoch, event.seq] = body

    def said_by(self, device: str) -> list[object]:
        return [body for (name, _, _), body in sorted(self.facts.items()) if name == device]


class LinesVenue(Venue):
    """The venue of the bridge's own test, with four devices on lines."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        devices = "".join(
            f'[[device]]\nid = "{name}"\nprofile = "{profile}"\nsocket = "{folder}/{name}.sock"\n'
            for name, profile in PLACES.items()
        )
        (folder / "bridge.toml").write_text(
            f'bridge = "hall"\nhub = "{HUB}"\nstate_dir = "{folder}/state"\n[broker]\nport = {self.port}\n{devices}'
        )

    def start_devices(self) -> None:
        for name, profile in PLACES.items():
            command = [sys.executable, "-m", "venuehub", "device", "emulate", profile, "--link", f"{name}.sock"]
            with (self.folder / f"{name}.log").open("a") as log:
                self.processes[name] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, cwd=self.folder
                )

    async def status(self, name: str) -> dict[str, int]:
        reader, writer = await asyncio.open_unix_connection(self.folder / f"{name}.sock")
        writer.write(b'{"ask":"status"}\n')
        while "status" not in (frame := json.loads(await reader.readline())):
            pass
        writer.close()
        await writer.wait_closed()
        return frame["status"]


@pytest.fixture
def venue(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    venue = LinesVenue(tmp_path)
    venue.start_devices()
    for name in ("broker", "bridge"):
        venue.start(name)
    yield venue
    for name in list(venue.processes):
        venue.end(name)


async def send(hub: Hub, device: str, body: Dispense | SetLine, number: int, *, boot_id: str) -> str:
    command_id = f"00000000-0000-7000-8000-{number:012d}"
    seq = number if isinstance(body, Dispense) else 0
    command = make_command(body, command_id=command_id, seq=seq, boot_id=boot_id, ttl_ms=5_000)
    await hub.link.publish(device_topic(HUB, device, "command"), encode(command))
    return command_id


def test_tickets_coins_prizes_and_a_lock_on_the_bus_and_a_bridge_that_is_killed_while_tickets_come(venue):
    async def story() -> None:
        async with open_hub(venue) as hub:
            hub.__class__, hub.facts = LinesHub, {}
            boot_id = await hub.online()
            await hub.until(lambda: all(hub.states.get(name) == "online" for name in PLACES))
            assert hub.births[LINE].capabilities == ("Dispense",)
            assert hub.births["lock"].capabilities == ()
            venue.tell("mech", "coin 1")
            venue.tell("claw", "press prize 60ms")
            first = await send(hub, LINE, Dispense(3), 1, boot_id=boot_id)
            opened = await send(hub, "lock", SetLine("lock", on=True, for_ms=100), 90, boot_id=boot_id)
            await hub.until(lambda: first in hub.delivered and opened in hub.results)
            await hub.until(lambda: hub.said_by("mech") and hub.said_by("claw"))
            assert hub.said_by("mech") == [CoinInserted(1, 0)]
            assert hub.said_by("claw") == [PrizeOut(1)]
            assert hub.delivered[first] == (await venue.status(LINE))["tickets_out"] == 3
            await hub.book()
            second = await send(hub, LINE, Dispense(50), 2, boot_id=boot_id)
            while (await venue.status(LINE))["tickets_out"] < 6:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
            venue.end("bridge")
            while (await venue.status(LINE))["running"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            left = (await venue.status(LINE))["tickets_out"]
            assert (await venue.status("mech"))["accepting"] is False
            venue.start("bridge")
            boot_id = await hub.online()
            await send(hub, LINE, Dispense(50), 2, boot_id=boot_id)
            await hub.until(lambda: second in hub.results)
            assert hub.results[second].outcome == "unknown"
            third = await send(hub, LINE, Dispense(1), 3, boot_id=boot_id)
            await hub.until(lambda: third in hub.delivered)
            assert (await venue.status(LINE))["tickets_out"] == left + hub.delivered[third]
            assert left < 50

    run(story)
