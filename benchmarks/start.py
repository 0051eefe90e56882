"""`venuehub bench start`: from a new process to its first authorization, with a full ledger and with an empty one."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.hall import PEPPER, UNIT, furniture, now, uid_of
from benchmarks.report import Report, finished, interleaved, judge
from edge_agent.ledger.entries import append_entries, read_tail
from edge_agent.ledger.store import SqliteStore
from edge_agent.messages import Born, DeviceIs, FromDevice, LeaseArrived, ListArrived, Send
from edge_agent.opening import Opened, Place, open_ledger
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState
from payment_core.credential import ListRow
from payment_core.events import CredentialPresented, make_event
from payment_core.identifiers import credential_id
from payment_core.journal import Actor, Declined, Header, Tender, TimeQuality

MEMBERS = 100_000
ENTRIES = 1_000_000
LANES = 64
AT_ONCE = 10_000


def run(*, members: int = MEMBERS, entries: int = ENTRIES) -> Report:
    """Measure a start with a full ledger as a ratio to one with an empty ledger, in processes of their own."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        empty, full = Path(name) / "empty", Path(name) / "full"
        _furnish(empty, members=0, entries=0)
        _furnish(full, members=members, entries=entries)
        pairs = interleaved(_started(empty), _started(full))
    return finished([judge("first_authorization", "ms", pairs, at_most=1.3)])


def _furnish(folder: Path, *, members: int, entries: int) -> None:
    """Make a ledger as a hub of these sizes would have it; the furniture's own cards come on top."""
    place = Place(folder)
    place.make()
    opened = open_ledger(place, epoch=1)
    assert isinstance(opened, Opened)
    store = opened.store
    till = Till(store, hub_id=bytes(16), venue_id=bytes(16), pepper=PEPPER, dice=os.urandom)
    till.step(now(), furniture(LANES, 2 * LANES))
    for start in range(0, members, AT_ONCE):
        rows = tuple(_member(number) for number in range(start, min(start + AT_ONCE, members)))
        held = 1 + start // AT_ONCE
        till.step(now(), [ListArrived(held + 1, full=False, base_version=held, rows=rows)])
        till.step(now(), [LeaseArrived(row.account_id, UNIT, 1, 5_000) for row in rows])
        store.checkpoint()
    for _page in range(entries // AT_ONCE):
        _append(store)
    opened.mark.note(store)
    store.checkpoint()
    store.close()


def _member(number: int) -> ListRow:
    raw = (1 << 40 | number).to_bytes(7, "big")
    return ListRow(credential_id(pepper=PEPPER, kind="ntag21x", raw_id=raw), os.urandom(16), "C", "active", 1)


def _append(store: SqliteStore) -> None:
    """Append a page of entries of the size of a tap's; declined ones, so that no lease must follow."""
    tail = read_tail(store)
    wall_ms = time.time_ns() // 1_000_000
    made = [
        Declined(
            1,
            Header(
                seq, wall_ms, bytes(16), 1, TimeQuality.SYNCED, 20_261_122, Actor.GUEST, Tender.PURSE, bytes(16),
                "hall", "racer-1", "lane-1", seq.to_bytes(16, "big"), 1, bytes(8), None, "pppppppppx--", 1,
            ),
            "not_enough", bytes(16), bytes(16), "C", "reader-1", 1, seq,
        )
        for seq in range(tail.seq + 1, tail.seq + 1 + AT_ONCE)
    ]  # fmt: skip
    store.execute("BEGIN IMMEDIATE")
    append_entries(store, tail, made)
    store.commit()
    store.checkpoint()


def _started(folder: Path) -> Callable[[], float]:
    """Return a measure: milliseconds from the start of a process until its first tap is authorized and synced."""
    words = [sys.executable, "-c", "from benchmarks import start; start.first_authorization()", str(folder)]

    def measure() -> float:
        begin = time.time_ns()
        done = subprocess.run(words, capture_output=True, check=True, cwd=Path(__file__).parents[1])  # noqa: S603
        return (int(json.loads(done.stdout)["at_ns"]) - begin) / 1e6

    return measure


def first_authorization() -> None:
    """Open the ledger named by the first argument as the agent does, and authorize one tap."""
    opened = open_ledger(Place(Path(sys.argv[1])), epoch=1)
    assert isinstance(opened, Opened)
    till = Till(opened.store, hub_id=bytes(16), venue_id=bytes(16), pepper=PEPPER, dice=os.urandom)
    till.step(now(), [])
    moment = now()
    tap = make_event(CredentialPresented("ntag21x", uid_of(0), "C"), seq=1, epoch=moment.boottime_ms, age_ms=1)
    effects = till.step(
        moment,
        [
            Born("line-0", Birth("p", 1, "boot", "b")),
            DeviceIs("line-0", DeviceState("online", 0)),
            FromDevice("reader-0", tap, moment.boottime_ms),
        ],
    )
    at_ns = time.time_ns()
    assert any(isinstance(effect, Send) for effect in effects), "the tap was declined"
    opened.mark.note(opened.store)
    opened.store.close()
    print(json.dumps({"at_ns": at_ns}))
