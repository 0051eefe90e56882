"""DUR-1: whatever a power cut leaves of the ledger's files, every acknowledged step is there, whole."""

import hashlib
import itertools
import tempfile
from pathlib import Path

import pytest

from edge_agent.ledger.entries import check_chain
from edge_agent.ledger.migrations import MIGRATIONS
from edge_agent.ledger.store import LedgerError, SqliteStore
from edge_agent.messages import BatchSealed, ReceiptTaken
from tests.support.hall import Hall, the_command
from tests.support.ledger_truth import faults_of
from tests.support.mutants import MUTANTS
from tests.support.recording_vfs import ApswStore, Op, RecordingVfs, power_cuts
from tests.support.sizes import count

STATES = 10_000
TABLES = (
    "meta", "entries", "authorizations", "leases", "coin_credit", "device_marks", "list", "token_counters", "documents",
    "since_receipt", "batches",
)  # fmt: skip
_names = itertools.count()


def contents(store) -> str:
    """Return a digest of every row of every table."""
    return hashlib.sha256(repr([store.rows(f"SELECT * FROM {table}") for table in TABLES]).encode()).hexdigest()  # noqa: S608


def record_session(folder: Path, *, synchronous: str = "FULL") -> tuple[list[Op], list[str]]:
    """Run taps, coins, ends, batches, receipts, checkpoints; return the disk's journal and the state after each."""
    vfs = RecordingVfs(f"recording-{next(_names)}")
    hall = Hall(folder / "ledger.db", open_store=lambda path: ApswStore(path, vfs.name, synchronous=synchronous))
    states: list[str] = []

    def acked(*facts, ms=0):
        effects = hall.wait(ms, *facts)
        vfs.ops.append(Op("ack"))
        states.append(contents(hall.store))
        return effects

    vfs.ops.append(Op("ack"))
    states.append(contents(hall.store))
    acked(hall.member("card-7"), hall.member("card-8"), hall.lease("card-7", 2_000), hall.lease("card-8", 300))
    command = the_command(acked(hall.tap("card-7")))
    acked(hall.delivered(command))
    acked(hall.coin(2))
    acked(hall.tap("card-8", 1), hall.coin(2))
    acked(BatchSealed(1, 1, 4, bytes(32), b"s" * 900))
    hall.store.checkpoint()
    acked(hall.tap("card-7", 2), ms=1_000)
    acked(ms=10_000)
    acked(ReceiptTaken(1, 4))
    acked(hall.lost(2, 3))
    hall.store.checkpoint()
    command = the_command(acked(hall.tap("card-7")))
    acked(hall.answer(command, "failed"))
    hall.step(hall.tap("card-8", 2))
    vfs.ops.append(Op("ack"))
    states.append(contents(hall.store))
    acked(ms=300)
    acked(BatchSealed(2, 5, 6, bytes(32), b"t" * 700))
    hall.store.checkpoint()
    acked(hall.tap("card-99"), ms=1_000)
    ops = list(vfs.ops)
    hall.store.close()
    return ops, states


def what_survives(folder: Path, files: dict[str, bytes]) -> str | None:
    """Open what is left with the product's plug; return the digest of its contents, None before there are tables."""
    for name, image in files.items():
        (folder / name).write_bytes(image)
    store = SqliteStore(folder / "ledger.db")
    try:
        if store.rows("PRAGMA user_version")[0][0] < len(MIGRATIONS):
            return None
        found = contents(store)
        assert check_chain(store).ok
        assert store.rows("PRAGMA quick_check") == [("ok",)]
        return found
    finally:
        store.close()
        for left in folder.iterdir():
            left.unlink()


def enumerate_cuts(folder: Path, ops: list[Op], states: list[str], *, subsets: int) -> tuple[int, list[str]]:
    """Return how many states were looked at, and every loss: contents that no acknowledged step had, or older ones."""
    seen: dict[bytes, str | None] = {}
    looked_at, losses = 0, []
    places = {digest: place for place, digest in enumerate(states)}
    for acked, how, files in power_cuts(ops, seed=1, subsets=subsets):
        looked_at += 1
        key = hashlib.sha256(repr(sorted(files.items())).encode()).digest()
        if key not in seen:
            try:
                seen[key] = what_survives(folder, files)
            except (LedgerError, AssertionError) as error:
                seen[key] = f"unreadable: {error}"
        found = seen[key]
        if acked == 0:  # nothing was promised yet: only that what is there can be opened or made again
            if found is not None and found.startswith("unreadable"):
                losses.append(f"{how}: {found}")
            continue
        place = places.get(found or "")
        if place is None or place + 1 < acked:
            losses.append(f"{how} after {acked} acknowledged steps: {found if place is None else f'only {place + 1}'}")
    return looked_at, losses


@pytest.fixture
def ram():
    """A folder in memory: thousands of small files are written, and no disk is under test here."""
    base = Path("/dev/shm")  # noqa: S108 - memory, not a place to keep things
    with tempfile.TemporaryDirectory(dir=base if base.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.long
def test_no_power_cut_loses_an_acknowledged_step(tmp_path, ram):
    ops, states = record_session(tmp_path)
    cuts = sum(1 for _ in power_cuts(ops, seed=1, subsets=0))
    wanted = count(STATES)
    subsets = max(0, -(-(wanted - cuts) // max(cuts // 3, 1)))
    looked_at, losses = enumerate_cuts(ram, ops, states, subsets=subsets)
    assert losses == []
    assert looked_at >= wanted


@pytest.mark.long
@pytest.mark.parametrize("mutant", ["synchronous-normal", "synchronous-off"])
def test_the_enumeration_catches_a_build_that_does_not_sync(tmp_path, ram, mutant):
    ops, states = record_session(tmp_path, synchronous=MUTANTS[mutant].synchronous)
    _looked_at, losses = enumerate_cuts(ram, ops, states, subsets=0)
    assert losses
    assert any("only" in loss or "None" in loss for loss in losses)


def test_a_session_says_what_it_did(tmp_path):
    ops, states = record_session(tmp_path)
    kinds = {op.kind for op in ops}
    assert {"write", "sync", "ack"} <= kinds
    assert len(states) == sum(op.kind == "ack" for op in ops) == 17
    store = SqliteStore(tmp_path / "ledger.db")
    assert contents(store) == states[-1]
    assert faults_of(store) == []
    store.close()
