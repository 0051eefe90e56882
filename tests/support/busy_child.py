"""A till in its own thread on a real ledger, with many lanes that play at once; says how long taps took, as JSON.

    python -m tests.support.busy_child FOLDER SALES [alone]    ->    {"sales", "p50_ms", "p99_ms", "max_ms"}

`alone`: a broken build, in which each fact has a commit of its own.
"""

import json
import os
import queue
import random
import sys
import time
from pathlib import Path

import msgspec

from edge_agent import till_thread
from edge_agent.ledger.migrations import migrate
from edge_agent.ledger.store import SqliteStore
from edge_agent.messages import Effect, Input, Moment, Send, Show
from edge_agent.till_thread import TillThread
from payment_core.money import MAX_MINOR
from tests.support.hall import Hall

LANES = 50
MONEY = 1_000_000_000
THINK_S = 0.25
"""How long a lane stays idle between two plays, on average: about 170 taps a second over all lanes."""


class Hour:
    """A busy hour: every lane taps, plays, thinks, taps again."""

    def __init__(self, path: Path) -> None:
        store = SqliteStore(path)
        migrate(store, str(path))
        risk = {"repeat_after_ms": 0, "lease_cap": MAX_MINOR}
        self.hall = Hall(path, open_store=lambda _path: store, lanes=LANES, risk=risk)
        for lane in range(1, LANES + 1):
            self.hall.enroll(f"card-{lane}", MONEY)
        self.dice = random.Random(3)
        self.effects: queue.Queue[list[Effect]] = queue.Queue()
        self.thread = TillThread(
            self.hall.till, store, clock=self.moment, deliver=self.effects.put, failed=self.failed
        )
        self.began_ms = self.hall.boottime_ms
        self.tapped_s: dict[int, float] = {}
        self.due: list[tuple[float, int]] = []
        self.took_ms: list[float] = []

    def failed(self, error: Exception) -> None:
        os.write(2, f"failed: {error}".encode())
        os._exit(1)

    def moment(self) -> Moment:
        boottime_ms = self.began_ms + int(time.monotonic() * 1_000)
        return msgspec.structs.replace(self.hall.moment(), boottime_ms=boottime_ms, wall_ms=boottime_ms + 10**12)

    def think(self) -> float:
        return time.monotonic() + self.dice.expovariate(1 / THINK_S)

    def offer(self, fact: Input) -> None:
        received_ms = self.began_ms + int(time.monotonic() * 1_000)
        known = {"received_ms": received_ms} if hasattr(fact, "received_ms") else {}
        self.thread.offer(msgspec.structs.replace(fact, **known))

    def play(self, sales: int) -> None:
        self.thread.start()
        self.due += [(self.think(), lane) for lane in range(1, LANES + 1)]
        while len(self.took_ms) < sales:
            self.due.sort()
            while self.due and self.due[0][0] <= time.monotonic():
                _at, lane = self.due.pop(0)
                self.tapped_s[lane] = time.monotonic()
                self.offer(self.hall.tap(f"card-{lane}", lane))
            wait_s = max(self.due[0][0] - time.monotonic(), 0.0) if self.due else 1.0
            try:
                self.take(self.effects.get(timeout=wait_s))
            except queue.Empty:
                continue
        self.thread.stop()

    def take(self, effects: list[Effect]) -> None:
        now_s = time.monotonic()
        for effect in effects:
            if isinstance(effect, Show) and effect.view.state == "held":
                lane = int(effect.lane.partition("-")[2])
                self.took_ms.append((now_s - self.tapped_s.pop(lane)) * 1_000)
            elif isinstance(effect, Show) and effect.view.state == "declined":
                os.write(2, f"{effect.lane} was declined: {effect.view.reason}\n".encode())
                os._exit(1)
            elif isinstance(effect, Show) and effect.view.state == "approved":
                self.due.append((self.think(), int(effect.lane.partition("-")[2])))
            elif isinstance(effect, Send) and effect.command.ttl_ms:
                self.offer(self.hall.delivered(effect.command, lane=int(effect.device.partition("-")[2])))


def main(folder: Path, sales: int) -> None:
    hour = Hour(folder / "ledger.sqlite3")
    hour.play(sales)
    took = sorted(hour.took_ms)
    figures = {"p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100], "max_ms": took[-1]}
    told = {"sales": len(took), **{name: round(value, 1) for name, value in figures.items()}}
    os.write(1, f"{json.dumps(told)}\n".encode())


if __name__ == "__main__":
    if sys.argv[3:] == ["alone"]:
        till_thread.STEP_LIMIT = 1
    main(Path(sys.argv[1]), int(sys.argv[2]))
