"""`venuehub bench start`: from a new process to its first authorization, with a full ledger and with an empty one."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.hall import PEPPER, UNIT, furniture, now, uid_of
from benchmarks.report import Report, finished, interleaved, judge
from edge_agent.ledger import authorizations
from edge_agent.ledger.authorizations import AuthorizationRow
from edge_agent.ledger.entries import append_entries, read_tail
from edge_agent.ledger.store import SqliteStore
from edge_agent.messages import Born, DeviceIs, DocumentArrived, FromDevice, LeaseArrived, ListArrived, Send
from edge_agent.start.opening import Opened, Place, open_ledger
from edge_agent.till import Till
from payment_core.authorization import State
from payment_core.bus import Birth, DeviceState
from payment_core.credential import ListRow
from payment_core.events import CredentialPresented, make_event
from payment_core.identifiers import credential_id, uuid7
from payment_core.journal import (
    Actor,
    Captured,
    Cause,
    Commanded,
    Entry,
    Header,
    Held,
    Part,
    Tender,
    TimeQuality,
)
from payment_core.policy import RiskDocument

MEMBERS = 100_000
ENTRIES = 1_000_000
LANES = 64
AT_ONCE = 10_000
PER_PLAY = 3
"""Entries of one play: held, commanded, captured."""
COST = 200
LEASE_CAP = 10**12
"""Every hub has one: the office writes it into each risk document."""
FACTS = 200
"""Bytes of what a decision looked at, about as many as a tap's."""


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
    till.step(now(), [DocumentArrived("risk", 2, msgspec.json.encode(RiskDocument(2, lease_cap=LEASE_CAP)))])
    accounts: list[bytes] = []
    for start in range(0, members, AT_ONCE):
        rows = tuple(_member(number) for number in range(start, min(start + AT_ONCE, members)))
        accounts += [row.account_id for row in rows]
        held = 1 + start // AT_ONCE
        till.step(now(), [ListArrived(held + 1, full=False, base_version=held, rows=rows)])
        till.step(now(), [LeaseArrived(row.account_id, UNIT, 1, 5_000) for row in rows])
        store.checkpoint()
    for first in range(0, entries // PER_PLAY, AT_ONCE):
        plays = range(first, min(first + AT_ONCE, entries // PER_PLAY))
        _append(store, [(accounts[number % members], number % LANES) for number in plays])
    opened.mark.note(store)
    store.checkpoint()
    store.close()


def _member(number: int) -> ListRow:
    raw = (1 << 40 | number).to_bytes(7, "big")
    return ListRow(credential_id(pepper=PEPPER, kind="ntag21x", raw_id=raw), os.urandom(16), "C", "active", 1)


def _append(store: SqliteStore, plays: Sequence[tuple[bytes, int]]) -> None:
    """Append plays of (account, lane) as a till leaves them: three entries, an authorization and a lease each."""
    tail, wall_ms = read_tail(store), time.time_ns() // 1_000_000
    made: list[Entry] = []
    rows: list[AuthorizationRow] = []
    for account, lane in plays:
        seq = tail.seq + len(made) + 1
        play_id = uuid7(unix_ms=wall_ms - ENTRIES + seq, dice=os.urandom(10))
        rows.append(AuthorizationRow(play_id, State.CAPTURED, f"reader-{lane}", 1, seq, wall_ms, seq, seq + 2))
        made += _play(rows[-1], account, lane)
    store.execute("BEGIN IMMEDIATE")
    append_entries(store, tail, made)
    for row in rows:
        authorizations.insert(store, row)
    spent = [(COST, account) for account, _lane in plays]
    store.executemany("UPDATE leases SET committed = committed + ? WHERE account_id = ?", spent)
    store.commit()
    store.checkpoint()


def _play(row: AuthorizationRow, account: bytes, lane: int) -> list[Entry]:
    """Return the entries of one play: held, commanded, captured."""
    parts = (Part(UNIT, COST, 1),)

    def header(number: int) -> Header:
        return Header(
            row.held_seq + number, row.at_ms, bytes(16), 1, TimeQuality.SYNCED, 20_261_122, Actor.GUEST, Tender.PURSE,
            bytes(16), "hall", f"racer-{lane}", f"lane-{lane}", row.id, 1, bytes(8), None, "pppppppppx--", 1,
        )  # fmt: skip

    held = Held(1, header(0), parts, account, bytes(16), "C", row.reader, 1, row.held_seq, row.at_ms, bytes(FACTS))
    told = Commanded(1, header(1), f"line-{lane}", row.held_seq, 1, "boot")
    return [held, told, Captured(1, header(2), parts, account, Cause.DEVICE)]


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
