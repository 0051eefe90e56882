"""What both arms have in common: a source of numbered events, a line to the far side, and a count of what arrived."""

import asyncio
import contextlib
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path

from benchmarks.processes import cpu_s, status
from venuehub.demo.brokers import find_mosquitto, free_port
from venuehub.demo.processes import Child
from venuehub.demo.relay import Relay
from venuehub.demo.waiting import eventually

DEVICES = 8
READY_S = 60.0
SETTLE_S = 60.0
"""How long the last event may take to arrive when the fault is over."""
STILL_S = 3.0
"""How long nothing may come any more before the count is taken: what comes twice, comes late."""
POLL_S = 0.02


class Rig(ABC):
    """One system under test, from its devices to its far side.

    An event is sent once its source was told that it is safe: by the broker of the venue where nobody else says so.
    """

    name = ""

    def __init__(self, folder: Path, state: Path) -> None:
        """Take a folder for everything, and one for what the edge keeps on its disk."""
        self.folder = folder
        self.state = state
        self.far_port = free_port()
        self.venue_port = free_port()
        self.line = Relay(self.far_port)
        self.edge: Child
        self.sent_at: dict[int, float] = {}
        self.first_at: dict[int, float] = {}
        self.same_ms = False
        self._children: list[Child] = []

    # ---- what an arm is made of ----

    @abstractmethod
    async def set_up(self) -> None:
        """Start all but the edge and what is behind the line."""

    @abstractmethod
    async def start_far(self) -> None:
        """Start what is behind the line."""

    @abstractmethod
    async def start_edge(self) -> None:
        """Start the edge; it may not be able to reach its far side."""

    @abstractmethod
    async def edge_ready(self) -> None:
        """Wait until the edge takes events."""

    @abstractmethod
    async def send(self, number: int) -> None:
        """Let a device say event `number`, without waiting for what becomes of it."""

    @abstractmethod
    def unsafe(self) -> int:
        """Return how many events their source still keeps."""

    @abstractmethod
    def arrived(self) -> Counter[int]:
        """Return which events have had an effect at the far side, and how often each."""

    # ---- what a fault does with it ----

    async def feed(self, count: int, *, per_second: float) -> None:
        """Send the next `count` events at an even rate, behind all that were sent before."""
        first, begun = len(self.sent_at), time.perf_counter()
        for number in range(first, first + count):
            wait = begun + (number - first) / per_second - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self.sent_at[number] = time.perf_counter()
            await self.send(number)

    async def kill_edge(self) -> None:
        """Kill -9 the edge; it is started again as its supervisor would."""
        pid = self.edge.pid
        self.edge.kill()
        await eventually(lambda: self.edge.pid != pid and self.edge.running, seconds=READY_S)

    async def settle(self) -> float:
        """Wait until all is there, or nothing has come for long; return the seconds until the last came."""
        begun = last = time.monotonic()
        had = -1
        while time.monotonic() < begun + SETTLE_S:
            there = self.arrived()
            if (now := there.total()) != had:
                had, last = now, time.monotonic()
            whole = len(there) == len(self.sent_at) and not self.unsafe()
            if whole and time.monotonic() > last + STILL_S:
                break
            await asyncio.sleep(0.1)
        return last - begun

    def figures(self) -> dict[str, int]:
        """Return how many events were sent, lost and doubled."""
        there = self.arrived()
        kept = self.unsafe()
        return {
            "sent": len(self.sent_at),
            "lost": len(self.sent_at) - len(there),
            "doubled": sum(times - 1 for times in there.values()),
            "kept_by_devices": kept,
        }

    # ---- processes ----

    async def child(self, name: str, command: list[str], *, restart: bool = False) -> Child:
        """Start a process; what it says goes into the folder."""
        child = Child(name, command, log=self.folder / f"{name}.log", restart=restart)
        self._children.append(child)
        await child.start()
        return child

    async def broker(self, name: str, port: int, *lines: str) -> Child:
        """Start mosquitto on a port of loopback."""
        mosquitto = find_mosquitto()
        assert mosquitto is not None, "mosquitto is not installed: apt-get install mosquitto"
        config = self.folder / f"{name}.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n"
            f"max_inflight_messages 0\nmax_queued_messages 0\n{user}" + "".join(f"{line}\n" for line in lines)
        )
        child = await self.child(name, [mosquitto, "-c", str(config)])
        await until_port(port)
        return child

    async def stop(self) -> None:
        """End everything, the brokers last."""
        for child in reversed(self._children):
            await child.stop()
        await self.line.stop()

    def edge_cpu_s(self) -> float:
        """Return the processor time of the edge so far."""
        return cpu_s(self.edge.pid)

    def edge_status(self, key: str) -> int:
        """Return a number of the edge's /proc/PID/status."""
        return status(self.edge.pid, key)

    def edge_written(self) -> int:
        """Return the bytes that the edge has had written to its disk so far."""
        lines = Path(f"/proc/{self.edge.pid}/io").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


async def until_port(port: int) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(POLL_S)
    message = f"nobody listens on port {port}"
    raise TimeoutError(message)


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int):  # noqa: ANN201 - a context
    """Mount a file system of so many MB on a folder; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder], check=True)  # noqa: S603, S607
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # noqa: S603, S607


@contextlib.contextmanager
def filled(folder: Path):  # noqa: ANN201 - a context
    """Write a file until not a block more fits, and remove it at the end."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out:
        for size in (65_536, 4_096, 512):
            with contextlib.suppress(OSError):
                while out.write(bytes(size)) == size:
                    pass
    try:
        yield
    finally:
        file.unlink()
