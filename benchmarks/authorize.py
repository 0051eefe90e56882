"""`venuehub bench authorize`: what an authorization costs in time and in bytes, against the disk's own limits."""

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.hall import Hall, now
from benchmarks.report import PAIRS, Report, Row, finished, interleaved, judge
from edge_agent.messages import Effect, Send
from edge_agent.till_thread import TillThread

DELAY_S = 0.005
SLOW_COUNT = 40
COUNT = 300
BYTES_COUNT = 320
LOG_BYTES = 8 << 20
RECORD_BYTES = 600
"""What HELD and COMMANDED have together."""


def run() -> Report:
    """Measure all rows."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        folder = Path(name)
        hall = Hall(folder)
        hall.warm_up()
        sync, bare = _sync_loop(folder), _bare_commits(folder)
        hall.store.delay_s = DELAY_S
        single = judge("single", "1/s", interleaved(bare, lambda: _rate(hall, 1, SLOW_COUNT)), at_least=0.85)
        wide = interleaved(lambda: _rate(hall, 1, SLOW_COUNT), lambda: _rate(hall, 64, 6 * 64))
        hall.store.delay_s = 0
        inline = judge("inline", "1/s", interleaved(sync, lambda: _rate(hall, 1, COUNT)), at_least=0.60)
        (folder / "arcade").mkdir()
        arcade = Hall(folder / "arcade", lanes=12)
        arcade.warm_up()
        alone, eight = (_bytes_row(arcade, *row) for row in (("bytes_alone", 1, 12_000), ("bytes_at_eight", 8, 4_500)))
        raw = [_rate(hall, 64, 10 * 64) for _pair in range(PAIRS)]
        threaded = _threaded(hall, sync)
    single_rates = [ours for _limit, ours in threaded]
    return finished([
        single,
        judge("sixty_four", "1/s", wide, at_least=16),
        inline,
        judge("threaded", "1/s", threaded, at_least=0.35),
        judge("sixty_four_raw", "1/s", list(zip(single_rates, raw, strict=True)), at_least=6),
        alone,
        eight,
    ])  # fmt: skip


def _rate(hall: Hall, at_once: int, count: int) -> float:
    """Return authorizations per second; what machines answer is booked afterwards, outside the time."""
    took = 0.0
    for _round in range(count // at_once):
        taps = [hall.tap() for _tap in range(at_once)]  # just before: a tap that is made too early is stale
        begin = time.perf_counter()
        hall.play(taps)
        took += time.perf_counter() - begin
    hall.settle()
    return count / took


def _sync_loop(folder: Path) -> Callable[[], float]:
    """Return a measure of a log that has its place: write a record, fdatasync, next."""
    log = os.open(folder / "log", os.O_RDWR | os.O_CREAT)
    os.write(log, bytes(LOG_BYTES))
    os.fsync(log)

    def measure() -> float:
        record = bytes(RECORD_BYTES)
        begin = time.perf_counter()
        for number in range(COUNT):
            os.pwrite(log, record, number * RECORD_BYTES)
            os.fdatasync(log)
        return COUNT / (time.perf_counter() - begin)

    return measure


def _bare_commits(folder: Path) -> Callable[[], float]:
    """Return a measure of one-row commits with the ledger's own settings, delayed like the ledger's."""
    database = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    for pragma in ("page_size=1024", "journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, record BLOB) STRICT")

    def measure() -> float:
        begin = time.perf_counter()
        for _number in range(SLOW_COUNT):
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO t(record) VALUES (?)", (b"r" * 100,))
            time.sleep(DELAY_S)
            database.execute("COMMIT")
        return SLOW_COUNT / (time.perf_counter() - begin)

    return measure


def _bytes_row(hall: Hall, name: str, at_once: int, most: int) -> Row:
    """Count write_bytes of /proc/self/io, what reaches the block layer; a CAPTURED is in the next tap's step."""
    pairs = []
    for _block in range(PAIRS):
        before = _written_bytes()
        for _round in range(BYTES_COUNT // at_once):
            captures, hall.captures = hall.captures, []
            taps = [hall.tap() for _tap in range(at_once)]
            sends = [effect for effect in hall.step([*captures, *taps]) if isinstance(effect, Send)]
            hall.captures = [hall.captured(send) for send in sends]
        pairs.append((float(most), (_written_bytes() - before) / BYTES_COUNT))
    hall.settle()
    return judge(name, "bytes", pairs, at_most=1)


def _written_bytes() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


class _OneGuest:
    """Taps, waits for the command, taps again: through the real thread and its queue."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self._sends: list[Send] = []
        self._there = threading.Event()
        self._fault: Exception | None = None
        self.thread = TillThread(hall.till, hall.store, clock=now, deliver=self._deliver, failed=self._failed)
        self.thread.start()

    def _deliver(self, effects: list[Effect]) -> None:
        sends = [effect for effect in effects if isinstance(effect, Send)]
        if sends:
            self._sends += sends
            self._there.set()

    def _failed(self, error: Exception) -> None:
        self._fault = error
        self._there.set()

    def rate(self) -> float:
        """Return authorizations per second, one at a time."""
        took = 0.0
        for _tap in range(COUNT):
            tap = self.hall.tap()
            self._there.clear()
            begin = time.perf_counter()
            self.thread.offer(tap)
            assert self._there.wait(5), "the till's thread does not answer"
            took += time.perf_counter() - begin
            assert self._fault is None, self._fault
        sends, self._sends = self._sends, []
        for send in sends:
            self.thread.offer(self.hall.captured(send))
        deadline = time.monotonic() + 10
        while self.hall.till.outstanding and time.monotonic() < deadline:
            time.sleep(0.005)
        return COUNT / took


def _threaded(hall: Hall, limit: Callable[[], float]) -> list[tuple[float, float]]:
    guest = _OneGuest(hall)
    try:
        return interleaved(limit, guest.rate)
    finally:
        guest.thread.stop()
