"""A bridge's two logs at work, in one thread; each line it prints is something that happened outside.

    python -m tests.support.bridge_child FOLDER BOOT ROUNDS [acts-first]    ->    `ready`, `acted N`, `told SEQ`, `done`

`acts-first`: a broken build, which acts before it writes down that it will.
"""

import os
import sys
from pathlib import Path

from firmware_bridge.actuation_log import Act, ActuationLog
from firmware_bridge.value_log import Fact, ValueLog
from payment_core.commands import Command, PulseCredit, make_command
from payment_core.events import CoinInserted

LINE, ACCEPTOR = "racer-2", "acceptor-2"
EPOCH = 7


def command(number: int, *, boot: str, ttl_ms: int = 1_000) -> Command:
    """Return the command of a number; its seq is the number."""
    text = f"00000000-0000-7000-8000-{number:012d}"
    return make_command(PulseCredit(1), command_id=text, seq=number, boot_id=boot, ttl_ms=ttl_ms)


def open_logs(folder: Path, boot: str) -> tuple[ActuationLog, ValueLog]:
    """Open both, as the bridge does at its start."""
    return ActuationLog(folder / "actuation.log", boot_id=boot), ValueLog(folder / "values.log", fresh_epoch=EPOCH)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def work(folder: Path, boot: str, rounds: int, *, acts_first: bool) -> None:
    """Take commands and coins in turn."""
    actuations, values = open_logs(folder, boot)
    say("ready")
    for number in range(1, rounds + 1):
        wish = command(number, boot=boot)
        if acts_first:
            say(f"acted {number}")
        assert actuations.admit(wish, device=LINE, arrived_ms=0, now_ms=0) == Act()
        actuations.sync()
        if not acts_first:
            say(f"acted {number}")
        actuations.finish(wish.id, device=LINE, outcome="done", amount=1)
        (kept,) = values.append([Fact(ACCEPTOR, CoinInserted(3, number % 256), 1_000 + number, number % 256)])
        actuations.sync()
        values.sync()
        say(f"told {kept.seq}")
    say("done")


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), acts_first=sys.argv[4:] == ["acts-first"])
    except OSError:
        os._exit(1)
