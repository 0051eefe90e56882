"""The runs: which at the same time, which alone, and one of them from beginning to end in a process of its own."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.versus.faults import FAULTS, TOGETHER, Fault
from benchmarks.versus.gateway import Gateway
from benchmarks.versus.ours import Ours
from benchmarks.versus.rig import Rig, small_disk
from benchmarks.versus.table import machine

ARMS = ("ours", "gateway")


class Run(NamedTuple):
    """One arm goes through one fault once."""

    arm: str
    fault: str
    repeat: int


def planned(
    faults: Iterable[str], arms: Iterable[str], repeats: int, done: Collection[Run]
) -> Iterator[tuple[Run, ...]]:
    """Return what is to be run, repeat by repeat: the runs of a tuple at the same time, the tuples one by one."""
    asked = set(faults)
    shared = {name for line in TOGETHER for name in line}
    lines = [[(name, arm) for name in line for arm in arms] for line in TOGETHER]
    lines += [[(fault.name, arm)] for fault in FAULTS if fault.name not in shared for arm in arms]
    for repeat in range(repeats):
        for line in lines:
            runs = tuple(Run(arm, name, repeat) for name, arm in line if name in asked)
            if missing := tuple(run for run in runs if run not in done):
                yield missing


def run_once(run: Run, python: Path) -> dict[str, object]:
    """Return the run's row; nothing where this machine cannot run it."""
    fault = next(one for one in FAULTS if one.name == run.fault)
    if fault.disk_mb and os.geteuid():
        print(f"{fault.name}: needs root for a disk of its own, left out", file=sys.stderr)
        return {}
    with tempfile.TemporaryDirectory(prefix="venuehub-versus-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        state = folder / "state"
        with small_disk(state, fault.disk_mb) if fault.disk_mb else contextlib.nullcontext():
            rig: Rig = Ours(folder, state) if run.arm == "ours" else Gateway(folder, state, python)
            begun = time.monotonic()
            figures = asyncio.run(_story(rig, fault))
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {**run._asdict(), "took_s": round(time.monotonic() - begun, 1), "at": at, **machine(), **figures}


async def _story(rig: Rig, fault: Fault) -> dict[str, float]:
    try:
        await rig.set_up()
        if not fault.cold:
            await rig.start_far()
            await rig.start_edge()
            await rig.edge_ready()
        figures = await fault.act(rig)
        settled_s = await rig.settle()
        return {**figures, **rig.figures(), "settled_s": round(settled_s, 1)}
    finally:
        await rig.stop()
