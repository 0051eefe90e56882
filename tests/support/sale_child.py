"""A process that opens a ledger as the hub does and sells; each line it prints is something a machine outside has seen.

    python -m tests.support.sale_child FOLDER RUN SALES [MUTANT]    ->    `ready`, `gave ID`, `acked SEQ`, `done`

Everything runs in one thread, so that the nth call of the disk is the nth call of the process. FOLDER was furnished by
`furnish`; RUN keeps the ids and event numbers of several runs on one ledger apart. SALES 0: until killed.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent import till_thread
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.store import LedgerError
from edge_agent.messages import Effect
from edge_agent.start.opening import Opened, Place, after_fault, open_ledger
from edge_agent.till_thread import TillThread
from tests.support.hall import Hall, commands
from tests.support.mutants import MUTANTS, EarlyTill

till_thread.BUSY_CHECKPOINT_BYTES = 96 * 1024  # here there is always a next fact
"""A checkpoint every few sales, so that what breaks disks breaks checkpoints too."""
CARD = "card-7"
MONEY = 100_000_000
EPOCH = 1


def furnish(folder: Path) -> None:
    """Make a ledger with a member who has money, closed in good order."""
    place = Place(folder)
    place.make()
    opened = open_ledger(place, epoch=EPOCH)
    assert isinstance(opened, Opened)
    hall = Hall(place.ledger, open_store=lambda _path: opened.store)
    hall.enroll(CARD, MONEY)
    opened.mark.note(opened.store)
    opened.mark.close()
    hall.store.close()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


class Session:
    """A till in its thread's own loop, and a machine that drops a coin for each command the first time it hears it."""

    def __init__(self, folder: Path, run: int, sales: int, mutant: str) -> None:
        self.place, self.run, self.left = Place(folder), run, sales or -1
        opened = open_ledger(self.place, epoch=EPOCH)
        if not isinstance(opened, Opened):
            say(f"shut {opened.fault}")
            os._exit(3)
        self.store = opened.store
        if mutant and MUTANTS[mutant].synchronous != "FULL":
            self.store.rows(f"PRAGMA synchronous={MUTANTS[mutant].synchronous}")
        till = MUTANTS[mutant].till if mutant else MUTANTS["synchronous-normal"].till
        self.hall = Hall(self.place.ledger, open_store=lambda _path: opened.store, till=till, seed=run)
        self.hall.wall_ms += run * 3_600_000
        self.hall.boottime_ms += run * 3_600_000
        self.hall._seqs = dict.fromkeys(("wishes of reader-1", "coin-1", "acceptor-1"), run * 1_000_000)
        self.thread = TillThread(
            self.hall.till, self.store, clock=self.hall.moment, deliver=self.take, failed=self.failed, mark=opened.mark
        )
        self.given: set[str] = set()
        if isinstance(self.hall.till, EarlyTill):
            self.hall.till.early = self.give

    def failed(self, error: Exception) -> None:
        """Do what the hub does: nothing more, but for a note."""
        after_fault(self.place, error)
        os._exit(1)

    def take(self, effects: list[Effect]) -> None:
        """Act on what was committed, then offer what comes next."""
        self.give(effects)
        for command in commands(effects):
            self.thread.offer(self.hall.delivered(command))
        say(f"acked {read_tail(self.store).seq}")
        if not commands(effects):
            self.next()

    def give(self, effects: Sequence[Effect]) -> None:
        """Be the machine: a coin for each command that is new."""
        for command in commands(effects):
            if command.ttl_ms and command.id not in self.given:
                self.given.add(command.id)
                say(f"gave {command.id}")

    def next(self) -> None:
        """Tap once more, or end."""
        self.left -= 1
        if self.left == -1:
            self.thread._stop = True
            return
        self.hall.pass_ms(1_000)
        self.thread.offer(self.hall.tap(CARD))

    def go(self) -> None:
        """Sell."""
        say("ready")
        self.next()
        self.thread._run()
        say("done")


def main(folder: Path, run: int, sales: int, mutant: str = "") -> None:
    """Open, sell, end."""
    try:
        session = Session(folder, run, sales, mutant)
    except LedgerError as error:
        say(f"refused {type(error).__name__}")
        os._exit(1)
    session.go()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
