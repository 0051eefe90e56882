"""The second stream's file: what is dropped is counted exactly, what is sealed stays, and every start goes on."""

import hashlib
import shutil
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.protocol.batcher import build_body, chain_tail
from cloud_sync.upload_effects import SealedBatch
from edge_agent.ledger import telemetry
from edge_agent.ledger.outbox import KEEP_MS
from edge_agent.ledger.telemetry import SMALL_BUDGET_BYTES, TelemetryBrokenError, TelemetryStore
from payment_core.telemetry import DeviceWas, TelemetryDropped, decode_fact, encode_fact
from tests.support.telemetry_mutants import MUTANTS

NOW_MS = 1_794_000_000_000


def fact(number: int, *, name: str = "racing-07") -> tuple[int, bytes]:
    return NOW_MS + number, encode_fact(DeviceWas(1, NOW_MS + number, name, "online", number))


def sealed(store: TelemetryStore, records: list[bytes]) -> SealedBatch:
    place = store.place()
    data = bytes(108) + chain_tail(place.tail_hash, records) + build_body(records)
    return SealedBatch(
        batch_seq=place.last_seq + 1, first_record=place.last_record + 1, record_count=len(records),
        digest=hashlib.sha256(data).digest(), data=data,
    )  # fmt: skip


class Bench:
    """A store and what a test knows of it: which facts were added, and what the batches hold that were sealed."""

    def __init__(self, path, budget, kind=TelemetryStore):
        self.path, self.budget, self.kind = path, budget, kind
        self.store = kind(path, epoch=7, budget=budget)
        self.added = 0
        self.sealed: dict[int, tuple[bytes, list[bytes]]] = {}
        self.told: list[bytes] = []

    def add(self, count):
        self.store.add([fact(self.added + number, name="x" * (1 + number % 60)) for number in range(1, count + 1)])
        self.added += count

    def seal(self, _count=0):
        if self.store.place().last_seq - self.store.place().acked_seq < 8 and self.store.waits()[0]:
            records = self.store.next_records(NOW_MS)
            batch = sealed(self.store, records)
            self.store.keep_sealed(batch, NOW_MS)
            self.sealed[batch.batch_seq] = (batch.data, records)

    def receipt(self, count):
        place = self.store.place()
        if place.last_seq > place.acked_seq:
            through = min(place.acked_seq + 1 + count % 3, place.last_seq)
            self.store.take_receipt(through, later_ms=NOW_MS, earlier_ms=NOW_MS)
            self.told += [one for seq in range(place.acked_seq + 1, through + 1) for one in self.sealed[seq][1]]

    def restart(self, _count=0):
        self.store.close()
        self.store = self.kind(self.path, epoch=99, budget=self.budget)

    def shrink(self, count):
        self.budget = (0, 300, 900, 5_000)[count % 4]
        self.store.set_budget(self.budget)

    def anew(self, _count=0):
        self.store.begin_epoch(self.store.place().epoch + 1)
        self.sealed.clear()

    def check(self):
        place = self.store.place()
        waiting = self.store.kept(place.acked_seq, 9)
        assert [batch.batch_seq for batch in waiting] == list(range(place.acked_seq + 1, place.last_seq + 1))
        assert all(batch.data == self.sealed[batch.batch_seq][0] for batch in waiting)
        held = [record for batch in waiting for record in self.sealed[batch.batch_seq][1]]
        held += [row[0] for row in self.rows("SELECT record FROM waiting WHERE batch_seq IS NULL")]
        dropped = self.rows("SELECT value FROM meta WHERE key = 'dropped'")[0][0]
        facts = [decode_fact(record) for record in (*self.told, *held)]
        dropped += sum(one.count for one in facts if isinstance(one, TelemetryDropped))
        seen = [one.since_ms for one in facts if isinstance(one, DeviceWas)]
        assert len(set(seen)) == len(seen), "a fact is told twice"
        assert len(seen) + dropped == self.added, "what was dropped is counted exactly"
        other = self.kind(self.path, epoch=1, budget=2**40)
        counted = other.used_bytes
        other.close()
        assert self.store.used_bytes == counted
        if self.rows("SELECT 1 FROM waiting WHERE batch_seq IS NULL"):
            assert self.store.used_bytes <= self.budget

    def rows(self, sql):
        other = sqlite3.connect(self.path)
        found = other.execute(sql).fetchall()
        other.close()
        return found


STEPS = ("add", "add", "seal", "receipt", "restart", "shrink", "anew")
ways = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), max_size=25)


def walk(folder, budget, way, kind=TelemetryStore):
    folder.mkdir()
    bench = Bench(folder / "telemetry.sqlite3", budget, kind)
    try:
        for step, count in way:
            getattr(bench, step)(count)
            bench.check()
    finally:
        bench.store.close()
        shutil.rmtree(folder)


@pytest.mark.long
@settings(deadline=None)
@given(budget=st.integers(0, 3_000), way=ways)
def test_what_is_dropped_is_counted_whatever_happens_in_between(tmp_path_factory, budget, way):
    walk(tmp_path_factory.mktemp("way") / "at", budget, way)


MIXED = [("add", 9), ("seal", 1), ("add", 9), ("seal", 1), ("shrink", 1), ("add", 9), ("restart", 1), ("seal", 1)]
MIXED += [("receipt", 1), ("add", 9), ("anew", 1), ("shrink", 0), ("add", 5), ("shrink", 3), ("seal", 1), ("seal", 1)]


def test_one_way_through_all_steps(tmp_path):
    walk(tmp_path / "at", 1_500, MIXED)


def test_an_epoch_that_begins_anew_keeps_to_the_budget_too(tmp_path):
    way = [("add", 5), ("add", 5), ("add", 3), ("add", 4), ("add", 5), ("add", 7), ("seal", 6), ("anew", 6)]
    walk(tmp_path / "at", 106, way)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_build_that_drops_silently_or_drops_what_is_sealed_is_caught(tmp_path, name):
    with pytest.raises((AssertionError, TelemetryBrokenError)):
        walk(tmp_path / "at", 1_500, MIXED, MUTANTS[name])


def test_the_next_batch_begins_with_the_count_of_what_was_dropped(tmp_path):
    store = TelemetryStore(tmp_path / "t", epoch=7, budget=200)
    store.add([fact(number) for number in range(1, 11)])
    gone, *rest = map(decode_fact, store.next_records(NOW_MS + 99))
    assert gone == TelemetryDropped(1, NOW_MS + 99, 10 - len(rest), NOW_MS + 1, NOW_MS + 10 - len(rest))
    store.keep_sealed(sealed(store, store.next_records(NOW_MS + 99)), NOW_MS)
    assert store.waits() == (0, 0)
    assert store.place().last_record == 1 + len(rest)
    store.close()


def test_a_batch_with_a_receipt_stays_thirty_days_or_until_its_room_is_needed(tmp_path):
    bench = Bench(tmp_path / "t", 5_000)
    for _batch in range(3):
        bench.add(2)
        bench.seal()
        bench.receipt(0)
    assert [batch.batch_seq for batch in bench.store.kept(0, 9)] == [1, 2, 3]
    bench.store.set_budget(bench.store.used_bytes - 1)
    assert bench.store.kept(0, 9)[0].batch_seq > 1
    bench.add(2)
    bench.seal()
    held = [batch.batch_seq for batch in bench.store.kept(0, 9)]
    bench.store.take_receipt(4, later_ms=NOW_MS + 2 * KEEP_MS, earlier_ms=NOW_MS + KEEP_MS)
    assert [batch.batch_seq for batch in bench.store.kept(0, 9)] == held, "one clock alone"
    bench.add(2)
    bench.seal()
    bench.store.take_receipt(5, later_ms=NOW_MS + KEEP_MS + 1, earlier_ms=NOW_MS + KEEP_MS + 1)
    assert [batch.batch_seq for batch in bench.store.kept(0, 9)] == [4, 5], "thirty days behind its receipt"
    bench.store.close()


def test_a_smaller_budget_gives_its_space_back(tmp_path):
    store = TelemetryStore(tmp_path / "t", epoch=7)
    store.add([fact(number, name="y" * 64) for number in range(5_000)])
    before = (tmp_path / "t").stat().st_size + (tmp_path / "t-wal").stat().st_size
    store.set_budget(100_000)
    after = (tmp_path / "t").stat().st_size + (tmp_path / "t-wal").stat().st_size
    assert before > 500_000
    assert after < 200_000
    store.close()


def test_a_file_that_is_none_is_said_to_be_broken(tmp_path):
    (tmp_path / "t").write_bytes(b"no database at all" * 200)
    with pytest.raises(TelemetryBrokenError) as error:
        TelemetryStore(tmp_path / "t", epoch=7)
    assert not error.value.is_full


def test_a_full_disk_is_told_from_a_broken_file(tmp_path):
    store = TelemetryStore(tmp_path / "t", epoch=7)
    store._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(TelemetryBrokenError) as error:
        store.add([fact(number, name="z" * 60) for number in range(2_000)])
    assert error.value.is_full
    store.add([fact(1)])
    assert store.waits() == (1, NOW_MS + 1)
    store.close()


def test_budgets_are_what_the_documents_say():
    assert (telemetry.BUDGET_BYTES, SMALL_BUDGET_BYTES, telemetry.KEEP_MS) == (8 << 20, 1 << 20, 30 * 86_400_000)
