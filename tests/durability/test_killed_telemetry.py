"""Telemetry killed at each system call of keeping, dropping, sealing and shrinking: what was dropped stays counted."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from edge_agent.ledger.telemetry import TelemetryStore
from payment_core.telemetry import DeviceWas, TelemetryDropped, decode_fact
from tests.support.sizes import count
from tests.support.straced import require_strace, run_straced
from tests.support.telemetry_child import FACTS, FILE

pytestmark = pytest.mark.slow
PLACES = 240
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "write", "unlink")


def run(folder, inject=""):
    folder.mkdir()
    return run_straced(folder, "tests.support.telemetry_child", str(folder), inject=inject, calls=CALLS)


def broken_after(folder, done):
    """Return what is not as the process said before it died."""
    TelemetryStore(folder / FILE, epoch=9).close()
    with closing(sqlite3.connect(folder / FILE)) as file:
        facts = [decode_fact(record) for (record,) in file.execute("SELECT record FROM waiting ORDER BY id")]
        gone = file.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()[0]
        batches = dict(file.execute("SELECT batch_seq, hex(hash) FROM batches"))
    seen = [fact.since_ms for fact in facts if isinstance(fact, DeviceWas)]
    gone += sum(fact.count for fact in facts if isinstance(fact, TelemetryDropped))
    added = max(map(int, done.told("added")), default=0)
    broken = [] if len(seen) + gone in {added, added + FACTS} else [f"{len(seen)} kept, {gone} dropped of {added}"]
    broken += [] if len(set(seen)) == len(seen) else ["a fact is there twice"]
    sealed = (line.split() for line in done.told("sealed"))
    return broken + [f"batch {seq} is gone" for seq, name in sealed if batches.get(int(seq)) != name.upper()]


def test_killed_at_each_system_call_nothing_is_dropped_silently_and_no_sealed_batch_is_lost(tmp_path):
    require_strace()
    whole = run(tmp_path / "whole")
    assert whole.said[-1] == "done", whole
    assert broken_after(tmp_path / "whole", whole) == []
    every = [(name, n) for name in CALLS for n in range(whole.before[name] + 1, whole.calls[name] + 1)]
    assert {name for name, _n in every} >= {"pwrite64", "fdatasync", "ftruncate"}
    wanted = min(len(every), count(PLACES))
    chosen = [every[number * len(every) // wanted] for number in range(wanted)]

    def kill(place):
        name, n = place
        folder = tmp_path / f"{name}-{n}"
        done = run(folder, inject=f"{name}:signal=KILL:when={n}")
        broken = broken_after(folder, done)
        shutil.rmtree(folder)
        return [f"{name} {n}: {what}" for what in broken]

    with ThreadPoolExecutor(2) as two:
        assert [broken for found in two.map(kill, chosen) for broken in found] == []
