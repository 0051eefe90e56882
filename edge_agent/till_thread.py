"""The till's thread: one bounded queue in, effects out. What has arrived since the last step goes into one commit."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from edge_agent.ledger.store import PAGE_BYTES, WAL_LIMIT_BYTES, SqliteStore
from edge_agent.ledger.tail_mark import TailMark
from edge_agent.links.full_queue import FullQueue, refusal
from edge_agent.messages import BatchStored, Effect, Input, JournalGrew, Moment
from edge_agent.start.closed_door import ClosedDoor
from edge_agent.till import Till

STEP_LIMIT: Final = 128
"""Facts in one commit."""
OUTSTANDING_S: Final = 0.05
"""How often the till steps while somebody owes it an answer."""
IDLE_S: Final = 1.0
FRAME_BYTES: Final = PAGE_BYTES + 24
FRAMES_PER_FACT: Final = 6.0
"""What a fact adds to the WAL at most."""
IDLE_CHECKPOINT_BYTES: Final = 3 * 1024 * 1024
BUSY_CHECKPOINT_BYTES: Final = WAL_LIMIT_BYTES
_MARGIN: Final = 1.25


class CheckpointPlan:
    """Knows when a checkpoint is due without asking the disk: by facts, and by what facts have cost so far.

    A checkpoint writes every page that changed once more, scattered: the fewer, the longer an SD card lives.
    """

    def __init__(self) -> None:
        self._facts = 0
        self._frames_per_fact = FRAMES_PER_FACT

    def note(self, facts: int) -> None:
        """So many facts were written."""
        self._facts += facts

    def due(self, *, idle: bool) -> bool:
        """Say whether it is time; an idle till does it earlier."""
        written = self._facts * self._frames_per_fact * FRAME_BYTES
        return written >= (IDLE_CHECKPOINT_BYTES if idle else BUSY_CHECKPOINT_BYTES)

    def done(self, frames: int) -> None:
        """Learn from the frames that the WAL really had."""
        if self._facts:
            self._frames_per_fact = min(FRAMES_PER_FACT, max(1.0, frames / self._facts) * _MARGIN)
        self._facts = 0


class TillThread:
    """Runs a till. `failed(error)` is called in the till's thread, `deliver(effects)` also in that of whoever offers.

    `mark`: where to note how far the ledger has come. `door`: closed, so only what is under way is finished.
    """

    def __init__(
        self,
        till: Till,
        store: SqliteStore,
        *,
        clock: Callable[[], Moment],
        deliver: Callable[[list[Effect]], None],
        failed: Callable[[Exception], None],
        mark: TailMark | None = None,
        door: ClosedDoor | None = None,
    ) -> None:
        self._full = FullQueue()
        self._till = till
        self._store = store
        self._clock = clock
        self._deliver = deliver
        self._failed = failed
        self._mark = mark
        self._door = door
        self._queue: deque[Input] = deque()
        self._wake = threading.Event()
        self._stop = False
        self._as_it_is = False
        self._plan = CheckpointPlan()
        self._thread = threading.Thread(target=self._run, name="till", daemon=True)

    def start(self) -> None:
        """Start the thread; its first step reconciles."""
        self._thread.start()

    def offer_together(self, facts: Sequence[Input]) -> None:
        """Queue facts that belong together, so that no step sees a part of them alone."""
        if self._door is not None:
            facts = [fact for fact in facts if self._door.admits(fact)]
        waiting = len(self._queue)
        if not all(self._full.admits(fact, waiting) for fact in facts):
            return
        self._queue.extend(facts)
        self._wake.set()

    def offer(self, fact: Input) -> bool:
        """Queue a fact from any thread; False: the queue is full, and it was dropped."""
        if self._door is not None and not self._door.admits(fact):
            self._deliver(self._door.answer(fact))
            return True
        if not self._full.admits(fact, len(self._queue)):
            if answer := refusal(fact):
                self._deliver(answer)
            return False
        self._queue.append(fact)
        if not self._wake.is_set():
            self._wake.set()
        return True

    def stop(self, *, as_it_is: bool = False) -> None:
        """Finish the step under way and end; what is queued is not lost, for nobody was told it was taken.

        `as_it_is`: the ledger is damaged, leave the file without a further checkpoint.
        """
        self._as_it_is = as_it_is
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            self._step([])
            if self._door is not None:
                self._deliver(self._door.say())
            while not self._stop:
                self._wait()
                self._wake.clear()
                self._step(self._take())
                self._checkpoint()
        except Exception as error:  # noqa: BLE001 - the supervisor of the till: any fault ends the process
            self._failed(error)
        else:  # after a fault the file stays as it is: closing it would write, and nobody knows what to
            self._end()

    def _end(self) -> None:
        if self._as_it_is:
            self._store.abandon()
        else:
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
        self._plan.note(len(facts))
        if self._mark is not None:
            self._note(self._mark, effects)
        if effects:
            self._deliver(effects)

    def _note(self, mark: TailMark, effects: list[Effect]) -> None:
        sealed = any(isinstance(effect, BatchStored) for effect in effects)
        if sealed or any(isinstance(effect, JournalGrew) for effect in effects):
            mark.note(self._store, sealed=sealed)

    def _checkpoint(self) -> None:
        if self._plan.due(idle=not self._queue):
            self._plan.done(self._store.checkpoint())
