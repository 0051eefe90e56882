"""Workers caught in the middle of a batch: its entries are written in a transaction that nobody has committed yet."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from venuehub.demo.processes import Child
from venuehub.scale.postgres import Server

MID_BATCH: Final = "in the middle of a batch"
BETWEEN: Final = "between batches"
ENTRIES: Final = "entries"
"""What a worker writes for every batch, and for nothing else."""
AT_WORK: Final = frozenset({"INSERT", "UPDATE", "idle in transaction", "SELECT", "BIND", "PARSE"})
"""What a backend may do in a batch: while all are idle, nobody has to be held still for a look."""
CATCH_S: Final = 25.0
"""How long one is waited for; leases that have to run out first, and hubs that reconnect, are less than that."""
LOOK_S: Final = 0.002


class Caught(msgspec.Struct, frozen=True):
    """A worker in the middle of a batch, by its name, and the process id of its backend."""

    worker: str
    backend: int


@contextlib.asynccontextmanager
async def caught(
    server: Server, workers: Mapping[str, Child], *, seconds: float = CATCH_S
) -> AsyncIterator[Caught | None]:
    """Hold the workers of a database still in the moment when one is in the middle of a batch.

    Inside, nobody of them can commit; who still lives goes on behind it. None: nobody was within `seconds`.
    `workers` are called by PostgreSQL what they are called here, as `named` starts them.
    """
    until = time.monotonic() + seconds
    while True:
        if AT_WORK.intersection(server.backends().values()):
            with _still(workers.values()):
                held = await asyncio.to_thread(server.writers_of, ENTRIES)
                for name in workers:
                    if name in held:
                        yield Caught(name, held[name])
                        return
        if time.monotonic() > until:
            yield None
            return
        await asyncio.sleep(LOOK_S)


def named(name: str, command: list[str]) -> list[str]:
    """Return the command of a program whose connections bear a name at its PostgreSQL."""
    return ["env", f"PGAPPNAME={name}", *command]


@contextlib.contextmanager
def _still(workers: Iterable[Child]) -> Iterator[None]:
    """Let processes stop where they are, and then go on."""
    stopped = [worker.pid for worker in workers if worker.running]
    _send(stopped, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(stopped, signal.SIGCONT)


def _send(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)
