"""A real bridge, broker and hopper, each a process: killed in mid-payout, what fell out is what was answered, once."""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from payment_core.bus import device_topic, encode
from payment_core.commands import Dispense, make_command
from tests.firmware_bridge.test_app import HUB, LINE, Hub, Venue, open_hub, run
from tests.support.sizes import count
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


class HopperVenue(Venue):
    """The venue of the bridge's own test, with a hopper in the place of the machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "bridge.toml").write_text(
            f'bridge = "hall"\nhub = "{HUB}"\nstate_dir = "{folder}/state"\n[broker]\nport = {self.port}\n'
            f'[[device]]\nid = "{LINE}"\nprofile = "cctalk-hopper-serial"\nport = "{folder}/hopper"\naddress = 3\n'
        )

    def start_hopper(self) -> None:
        words = ["device", "emulate", "cctalk-hopper-serial", "--link", "hopper", "--status", "hopper.json"]
        with (self.folder / "hopper.log").open("a") as log:
            self.processes["hopper"] = subprocess.Popen(
                [sys.executable, "-m", "venuehub", *words],
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, cwd=self.folder,
            )  # fmt: skip

    def dispensed(self) -> int:
        return int(json.loads((self.folder / "hopper.json").read_text())["coins_dispensed"])


@pytest.fixture
def venue(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    venue = HopperVenue(tmp_path)
    venue.start_hopper()
    for name in ("broker", "bridge"):
        venue.start(name)
    yield venue
    for name in list(venue.processes):
        venue.end(name)


async def dispense(hub: Hub, number: int, *, boot_id: str, coins: int) -> str:
    command_id = f"00000000-0000-7000-8000-{number:012d}"
    command = make_command(Dispense(coins), command_id=command_id, seq=number, boot_id=boot_id, ttl_ms=2_000)
    await hub.link.publish(device_topic(HUB, LINE, "command"), encode(command))
    return command_id


def certain(hub: Hub, wish: str) -> bool:
    """Say whether the hub knows how a command ended."""
    return wish in hub.delivered or (wish in hub.results and hub.results[wish].outcome in {"failed", "refused"})


def given(hub: Hub, wish: str) -> int:
    return hub.delivered.get(wish) or hub.results[wish].amount or 0 if certain(hub, wish) else 0


def test_killed_in_mid_payout_every_command_is_settled_once_and_to_the_coin(venue):
    dice = random.Random(11)
    rounds = max(3, count(20))

    async def story() -> None:
        async with open_hub(venue) as hub:
            asked: dict[str, tuple[int, str]] = {}
            for number in range(1, rounds + 1):
                boot_id = await hub.online()
                wish = await dispense(hub, number, boot_id=boot_id, coins=3)
                asked[wish] = number, boot_id
                await asyncio.sleep(dice.uniform(0.0, 0.8))  # the moment of the kill is the point
                venue.end("bridge")
                venue.start("bridge")
            await hub.online()
            assert "Dispense" in hub.births[LINE].capabilities
            for wish, (number, boot_id) in asked.items():
                if not certain(hub, wish):  # the bridge died before it heard of it, or before it could say its end
                    await dispense(hub, number, boot_id=boot_id, coins=3)
            await hub.until(lambda: all(certain(hub, wish) for wish in asked))
            assert {given(hub, wish) for wish in asked} <= {0, 3}
            paid = sum(given(hub, wish) for wish in asked)
            await asyncio.to_thread(eventually, lambda: venue.dispensed() >= paid)
            await asyncio.sleep(0.6)  # the hopper's status file is written twice a second
            assert venue.dispensed() == paid

    run(story)
