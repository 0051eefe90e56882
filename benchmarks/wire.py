"""`venuehub bench wire`: each codec beside a plain scan of the same bytes, and ports beside a flooded one."""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from benchmarks.codecs import CODECS, Line
from benchmarks.report import PAIRS, Report, Row, finished, interleaved, judge
from device_profiles.loading import load_catalog
from device_profiles.matching import Device
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.interface import INBOX_LIMIT, OUTBOX_LIMIT, Inbox, Outbox, Wish

READ_BYTES = 4_096
WHOLE_BYTES = 1 << 19
SINGLE_BYTES = 1 << 15
BITS_PER_BYTE = 10
LEAST = 0.02
QUIET_PORTS = 3
EVENTS = 500
EVERY_S = 0.003
SETTLE_S = 0.6
LEAST_MS = 2.0
"""What is quicker says nothing on a pseudo-terminal: so long may the kernel let a ready process wait."""
FLOODED = "cctalk-coin-acceptor"
QUIET = "gm65-serial"
FLOOD = 10
"""Times the line rate."""
WRITER = """
import os, random, sys, time
fd, rate = int(sys.argv[1]), int(sys.argv[2])
dice, began, sent = random.Random(4), time.monotonic(), 0
while True:
    due = int((time.monotonic() - began) * rate) - sent
    if due > 0:
        try:
            sent += os.write(fd, dice.randbytes(min(due, 1024)))
        except BlockingIOError:
            sent += due
    time.sleep(0.002)
"""


def run() -> Report:
    """Measure every codec, then the flood."""
    rows = [row for name, line in CODECS.items() for row in _codec_rows(name, line)]
    return finished([*rows, asyncio.run(_flood_row())])


def _codec_rows(name: str, line: Line) -> list[Row]:
    """Return three rows: whole reads, single bytes, and single bytes beside the line's own rate (bytes per second)."""
    assert all(line.make().feed(frame) for frame in line.frames), f"{name}: a frame of the bench is no frame"
    whole = _pieces(line, WHOLE_BYTES, READ_BYTES)
    single = _pieces(line, SINGLE_BYTES, 1)
    of_whole = interleaved(lambda: _scanned(line, whole), lambda: _decoded(line, whole))
    of_single = interleaved(lambda: _scanned(line, single), lambda: _decoded(line, single))
    rate = line.baud / BITS_PER_BYTE
    return [
        judge(f"{name} whole", "B/s", of_whole, at_least=LEAST),
        judge(f"{name} single", "B/s", of_single, at_least=LEAST),
        judge(f"{name} line", "B/s", [(rate, ours) for _limit, ours in of_single], at_least=1),
    ]


def _pieces(line: Line, size: int, piece: int) -> list[bytes]:
    """Return a stream of whole frames, cut into pieces."""
    block = b"".join(line.frames)
    stream = block * (size // len(block))
    return [stream[at : at + piece] for at in range(0, len(stream), piece)]


def _scanned(line: Line, pieces: list[bytes]) -> float:
    """Return bytes per second of looking for the start in each piece, one after the other."""
    begun = time.thread_time()
    for piece in pieces:
        at = piece.find(line.start)
        while at >= 0:
            at = piece.find(line.start, at + 1)
    return _rate(pieces, begun)


def _decoded(line: Line, pieces: list[bytes]) -> float:
    codec = line.make()
    begun = time.thread_time()
    for piece in pieces:
        codec.feed(piece)
    return _rate(pieces, begun)


def _rate(pieces: list[bytes], begun: float) -> float:
    return sum(map(len, pieces)) / (time.thread_time() - begun)


async def _flood_row() -> Row:
    """Return the p99 of codes that scanners read, with a babbling port beside them and without."""
    pairs = []
    for _pair in range(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            quiet = await _p99_s(Path(folder), flooded=False)
            noisy = await _p99_s(Path(folder), flooded=True)
        pairs.append((max(LEAST_MS, quiet * 1_000), max(LEAST_MS, noisy * 1_000)))
    return judge("flood p99", "ms", pairs, at_most=2)


async def _p99_s(folder: Path, *, flooded: bool) -> float:
    """Return the 99th percentile of the time from a code on the wire to its event."""
    outbox: Outbox = asyncio.Queue(OUTBOX_LIMIT)
    with contextlib.ExitStack() as stack:
        masters = [stack.enter_context(_terminal(folder / f"quiet-{number}")) for number in range(QUIET_PORTS)]
        babbling = stack.enter_context(_terminal(folder / "babbling"))
        tasks = [
            *[asyncio.create_task(_drive(QUIET, folder / f"quiet-{number}", outbox)) for number in range(QUIET_PORTS)],
            asyncio.create_task(_drive(FLOODED, folder / "babbling", asyncio.Queue())),
        ]
        serial = load_catalog()[FLOODED].transport.serial
        assert serial is not None
        if flooded:
            rate = str(FLOOD * serial.baud // BITS_PER_BYTE)
            stack.enter_context(_writing(babbling, rate))
        await asyncio.sleep(SETTLE_S)
        took = await _took(masters, outbox)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(took)[len(took) * 99 // 100]


async def _took(masters: list[int], outbox: Outbox) -> list[float]:
    """Let a thread write codes, as lines do, and take the time of each event."""
    sent: dict[str, float] = {}

    def write() -> None:
        dice = random.Random(4)  # noqa: S311 - seeded, so that both arms have the same pauses
        for number in range(EVENTS):
            text = f"code {number:08d}"
            sent[text] = time.perf_counter()
            os.write(masters[number % len(masters)], f"{text}\r".encode())
            time.sleep(EVERY_S * dice.uniform(0.5, 1.5))

    thread = threading.Thread(target=write)
    thread.start()
    took = []
    async with asyncio.timeout(30):
        while len(took) < EVENTS:
            said = await outbox.get()
            if isinstance(said, Wish):
                took.append(time.perf_counter() - sent[said.body.text])  # type: ignore[union-attr]
    thread.join()
    return took


async def _drive(profile: str, port: Path, outbox: Outbox) -> None:
    page = load_catalog()[profile]
    driver = await open_driver(Device(id="bench", profile=profile, port=str(port)), page, last_counter=None)
    inbox: Inbox = asyncio.Queue(INBOX_LIMIT)
    await driver.run(inbox, outbox)


@contextlib.contextmanager
def _writing(master: int, rate: str) -> Iterator[None]:
    """Let another process write garbage at `rate` bytes per second."""
    command = [sys.executable, "-c", WRITER, str(master), rate]
    child = subprocess.Popen(command, pass_fds=[master])  # noqa: S603 - our own program
    try:
        yield
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def _terminal(link: Path) -> Iterator[int]:
    """Make a raw pseudo-terminal under a name; give its other end."""
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    link.unlink(missing_ok=True)
    link.symlink_to(os.ttyname(slave))
    try:
        yield master
    finally:
        os.close(slave)
        os.close(master)
