"""`venuehub bench footprint`: what the agent and a bridge take while nothing happens, and the agent when flooded."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import Processes, cpu_s, status
from benchmarks.report import Report, Row, finished, judge
from benchmarks.tap import Lanes
from cloud_sync.mqtt_link import MqttLink, MqttSettings

IDLE_S = 20.0
"""Of nothing but waiting."""
SETTLE_S = 4.0
READERS = 12
FLOOD_S = 8.0
FLOOD_RATE = 3_000
"""More than three times what one hub sustains on this kind of machine (bench tap)."""


def run() -> Report:
    """Measure all rows."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        processes = Processes(Path(name))
        try:
            return finished(_measure(processes))
        finally:
            processes.stop()


def _measure(processes: Processes) -> list[Row]:
    port = processes.broker()
    hub, agent = processes.agent(port, lanes=1, cards=40)
    readers = [_reader(processes, number) for number in range(READERS)]
    bridge = _bridge(processes, port, hub, readers)
    time.sleep(SETTLE_S)
    before = cpu_s(agent.pid), cpu_s(bridge)
    time.sleep(IDLE_S)
    after = cpu_s(agent.pid), cpu_s(bridge)
    said = (processes.folder / f"{len(processes.started) - 1}.log").read_text(encoding="utf-8")
    assert "driver.ended" not in said, f"the bridge does not reach its readers: {said[-300:]}"
    idle = [(end - begin) / IDLE_S * 100 for begin, end in zip(before, after, strict=True)]
    rows = [
        _row("agent_resident", "MiB", 48, status(agent.pid, "VmRSS") / 1024),
        _row("agent_threads", "", 5, status(agent.pid, "Threads")),
        _row("agent_idle", "% CPU", 0.5, idle[0]),
        _row("bridge_idle", "% CPU", 5, idle[1]),
    ]
    asyncio.run(_flood(port, hub))
    return [*rows, _row("agent_flooded", "MiB", 64, status(agent.pid, "VmHWM") / 1024)]


def _row(name: str, unit: str, limit: float, ours: float) -> Row:
    return judge(name, unit, [(limit, ours)], at_most=1)


def _reader(processes: Processes, number: int) -> Path:
    link = processes.folder / f"reader-{number}"
    processes.start(sys.executable, "-m", "venuehub", "device", "emulate", "pn532-uart", "--link", str(link))
    return link


def _bridge(processes: Processes, port: int, hub: str, readers: list[Path]) -> int:
    file = processes.folder / "bridge.toml"
    state = processes.folder / "bridge"
    text = f'bridge = "bridge-1"\nhub = "{hub}"\nstate_dir = "{state}"\n[broker]\nport = {port}\n'
    for number, link in enumerate(readers):
        text += f'[[device]]\nid = "reader-{number}"\nprofile = "{PROFILE}"\nport = "{link}"\n'
    file.write_text(text, encoding="ascii")
    deadline = time.monotonic() + 30
    while not all(link.exists() for link in readers) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes.start(sys.executable, "-m", "firmware_bridge.app", "--config", str(file)).pid


PROFILE = "pn532-uart"


async def _flood(port: int, hub: str) -> None:
    """Tap far faster than the hub can authorize."""
    async with MqttLink(MqttSettings(host="127.0.0.1", port=port, client_id="flood")) as link:
        lanes = Lanes(link, hub, lanes=1, cards=40)
        begin = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - begin) < FLOOD_S:
            while sent < passed * FLOOD_RATE:
                await lanes.tap()
                sent += 1
            await asyncio.sleep(0.005)
