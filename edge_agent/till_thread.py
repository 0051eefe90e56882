"""The till's thread: one bounded queue in, effects out. What has arrived since the last step goes into one commit."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from edge_agent.ledger.store import SqliteStore
from edge_agent.messages import Answered, Effect, FromDevice, Input, Moment
from edge_agent.till import Till

QUEUE_LIMIT: Final = 4_096
"""Device facts beyond it are dropped: a wish would be stale, a value event is resent, a result is asked for again."""
STEP_LIMIT: Final = 128
"""Facts in one commit."""
OUTSTANDING_S: Final = 0.05
"""How often the till steps while somebody owes it an answer."""
IDLE_S: Final = 1.0
WAL_BYTES_PER_FACT: Final = 6 * 1_048
"""What a fact adds to the WAL at most, to know when a checkpoint is due without asking the disk."""
IDLE_CHECKPOINT_BYTES: Final = 1024 * 1024
BUSY_CHECKPOINT_BYTES: Final = 4 * 1024 * 1024


class TillThread:
    """Runs a till. `deliver(effects)` and `failed(error)` are called in the till's thread."""

    def __init__(
        self,
        till: Till,
        store: SqliteStore,
        *,
        clock: Callable[[], Moment],
        deliver: Callable[[list[Effect]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.dropped = 0
        """Facts that did not fit into the queue."""
        self._till = till
        self._store = store
        self._clock = clock
        self._deliver = deliver
        self._failed = failed
        self._queue: deque[Input] = deque()
        self._wake = threading.Event()
        self._stop = False
        self._wal_bytes = 0
        self._thread = threading.Thread(target=self._run, name="till", daemon=True)

    def start(self) -> None:
        """Start the thread; its first step reconciles."""
        self._thread.start()

    def offer(self, fact: Input) -> None:
        """Queue a fact from any thread."""
        if len(self._queue) >= QUEUE_LIMIT and isinstance(fact, FromDevice | Answered):
            self.dropped += 1
            return
        self._queue.append(fact)
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Finish the step under way and end; what is queued is not lost, for nobody was told it was taken."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            self._step([])
            while not self._stop:
                self._wait()
                self._wake.clear()
                self._step(self._take())
                self._checkpoint()
        except Exception as error:  # noqa: BLE001 - the supervisor of the till: any fault ends the process
            self._failed(error)
        finally:
            self._store.close()

    def _wait(self) -> None:
        if not self._queue:
            self._wake.wait(OUTSTANDING_S if self._till.outstanding else IDLE_S)

    def _take(self) -> list[Input]:
        facts: list[Input] = []
        while self._queue and len(facts) < STEP_LIMIT:
            facts.append(self._queue.popleft())
        return facts

    def _step(self, facts: list[Input]) -> None:
        effects = self._till.step(self._clock(), facts)
        self._wal_bytes += WAL_BYTES_PER_FACT * len(facts)
        if effects:
            self._deliver(effects)

    def _checkpoint(self) -> None:
        due = IDLE_CHECKPOINT_BYTES if not self._queue else BUSY_CHECKPOINT_BYTES
        if self._wal_bytes >= due:
            self._store.checkpoint()
            self._wal_bytes = 0
