"""A process that steps a till as fast as it can until it is killed; each line it prints was acknowledged before.

    python -m tests.support.till_child LEDGER RUN    ->    lines `seq command-id|-`
"""

import os
import sys
from pathlib import Path

from edge_agent.ledger.entries import read_tail
from tests.support.hall import Hall, commands


def main(path: Path, run: int) -> None:
    """Play for ever; `run` keeps the numbers of events apart over restarts."""
    hall = Hall(path, seed=run)
    hall._seqs = {"wishes of reader-1": run * 1_000_000, "coin-1": run * 1_000_000}
    hall.step(*(hall.answer(command, "done") for command in commands(hall.effects)))
    hall.step(hall.member("card-7"), hall.lease("card-7", run * 1_000_000))
    coin = 0
    while True:
        told = commands(hall.wait(1_000, hall.tap("card-7")))
        _say(hall, told[0].id if told else "-")
        coin += 1
        hall.step(hall.coin(2, seq=coin, epoch=run))
        _say(hall, "-")
        if told:
            hall.step(hall.delivered(told[0]))
            _say(hall, "-")


def _say(hall: Hall, what: str) -> None:
    os.write(1, f"{read_tail(hall.store).seq} {what}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
