"""A fingerprint driver on a simulated module, and the ways in which tests wait for both."""

import asyncio

from device_profiles.schema import Biometric
from firmware_bridge.drivers import fingerprint, zfm_line
from firmware_bridge.drivers.fingerprint import Fingerprint
from firmware_bridge.drivers.interface import Condition
from firmware_bridge.simulators.zfm import ZfmSimulator
from firmware_bridge.transports.serial_port import open_serial
from tests.support.driving import Driving, driving, happens
from tests.support.on_a_pty import RunningSimulator, on_a_pty

R503 = Biometric(media="finger", pages=200, threshold=50, light="ring")
R307 = Biometric(media="finger", pages=200, threshold=50, serial="notepad", quick_search=True)
LI = (b"VH000001" + b"\x00\x07").hex().upper()
AN = (b"VH000001" + b"\x00\x08").hex().upper()


def make_quick(monkeypatch) -> None:
    """Let a driver look and wait at the pace of a simulator."""
    monkeypatch.setattr(fingerprint, "LOOK_EVERY_S", 0.005)
    monkeypatch.setattr(fingerprint, "ENROLL_S", 5.0)
    monkeypatch.setattr(zfm_line, "ANSWER_TIMEOUT_S", 0.15)
    monkeypatch.setattr(zfm_line, "GAP_S", 0.04)


def story(tmp_path, told, *, model="r503", biometric=R503):
    """Run a story with a driver on a simulated module; return the simulator."""
    simulator = ZfmSimulator(model)

    async def run() -> None:
        with on_a_pty(simulator, tmp_path / "finger") as running:
            async with driving(Fingerprint(open_serial(str(running.link), baud=57600), biometric)) as host:
                await told(host, running)

    asyncio.run(run())
    return simulator


async def until(running: RunningSimulator, **wanted) -> None:
    """Wait for counters of the module."""
    await happens(lambda: all(running.status()[name] == value for name, value in wanted.items()))


async def online(host: Driving, running: RunningSimulator) -> Condition:
    """Wait until the driver serves and knows that the glass is empty."""
    condition = await host.condition("online")
    seen = running.status()["looks"]
    await happens(lambda: running.status()["looks"] >= seen + 3)
    return condition


async def relay(running: RunningSimulator, *lines: str) -> None:
    """Lift the finger, wait until that was seen, then go on."""
    running.say("lift")
    seen = running.status()["looks"]
    await happens(lambda: running.status()["looks"] >= seen + 4)
    running.say(*lines)


async def looks(running: RunningSimulator, count: int) -> None:
    """Wait until the driver has taken so many more images of a finger."""
    images = running.status()["images"]
    await happens(lambda: running.status()["images"] >= images + count)
