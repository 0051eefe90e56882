"""The file of neighbours' batches: synced, bounded, never changed, and its space given back."""

import sqlite3

import pytest

from cloud_sync.protocol.envelope import batch_hash
from edge_agent.ledger import carried
from edge_agent.ledger.carried import Carried, CarriedBrokenError, CarriedStore
from edge_agent.ledger.disk_order import LOW_BYTES

OWNER, OTHER = bytes([1]) * 16, bytes([2]) * 16
KILOBYTE = 1024


def batch(seq, *, owner=OWNER, epoch=1, fill=b"x", size=KILOBYTE):
    sealed = bytes([seq]) + fill * (size - 1)
    return Carried(owner, epoch, seq, batch_hash(sealed), seq * 10, sealed)


@pytest.fixture
def store(tmp_path):
    store = CarriedStore(tmp_path / "carried.sqlite3", budget=8 * KILOBYTE)
    yield store
    store.close()


def kept(store, owner=OWNER):
    return [one.batch_seq for one in store.waiting(owner, most=100)]


def test_what_is_kept_is_there_after_a_restart_in_order_and_once(tmp_path, store):
    for seq in (2, 1, 2, 3):
        assert store.keep(batch(seq), now_ms=seq)
    assert store.keep(batch(1, owner=OTHER), now_ms=5)
    again = CarriedStore(tmp_path / "carried.sqlite3")
    assert (kept(again), kept(again, OTHER), again.size) == ([1, 2, 3], [1], 4 * KILOBYTE)
    assert again.waiting(OWNER, most=1) == [batch(1)]
    assert set(again.owners()) == {OWNER, OTHER}
    again.close()


def test_it_is_on_the_disk_before_its_owner_is_told(tmp_path):
    """In SQLite's own words: a log in front, and 2 (FULL), which syncs it at each commit."""
    store = CarriedStore(tmp_path / "synced.sqlite3")
    asked = ("journal_mode", "synchronous")
    found = {name: store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked}
    store.close()
    assert found == {"journal_mode": "wal", "synchronous": 2}


@pytest.mark.parametrize(("word", "number"), [("OFF", 0), ("NORMAL", 1)])
def test_a_build_that_tells_its_owner_before_it_is_on_the_disk_is_caught(tmp_path, monkeypatch, word, number):
    rest = [pragma for pragma in carried._PRAGMAS if pragma[0] != "synchronous"]
    monkeypatch.setattr(carried, "_PRAGMAS", (*rest, ("synchronous", word, number)))
    with pytest.raises(AssertionError, match=f"'synchronous': {number}"):
        test_it_is_on_the_disk_before_its_owner_is_told(tmp_path)


def test_beyond_its_budget_nothing_is_taken_and_nothing_is_thrown_away(store):
    assert all(store.keep(batch(seq), now_ms=seq) for seq in range(1, 9))
    assert not store.has_room
    assert not store.keep(batch(9), now_ms=9)
    assert store.keep(batch(3), now_ms=9)
    assert kept(store) == [1, 2, 3, 4, 5, 6, 7, 8]
    store.let_go(OWNER, 1, through_seq=2)
    assert store.keep(batch(9), now_ms=9)


def test_what_the_office_does_not_take_goes_first_and_is_brought_again_when_asked(store):
    for seq in range(1, 9):
        store.keep(batch(seq), now_ms=seq)
    store.refused(batch(2), "fork")
    store.refused(batch(5), "frozen")
    assert kept(store) == [1, 3, 4, 6, 7, 8]
    assert store.keep(batch(9), now_ms=9)
    store.ask_again()
    assert kept(store) == [1, 3, 4, 5, 6, 7, 8, 9]


def test_it_is_let_go_by_number_and_by_record_of_its_own_epoch_only(store):
    for one in (batch(1), batch(2), batch(3), batch(1, epoch=2), batch(1, owner=OTHER)):
        store.keep(one, now_ms=1)
    store.let_go_records(OWNER, 1, through_record=19)
    assert kept(store) == [2, 3, 1]
    store.let_go(OWNER, 2, through_seq=1)
    store.let_go(OWNER, 3, through_seq=9)
    assert (kept(store), kept(store, OTHER)) == ([2, 3], [1])


def test_two_of_one_number_are_both_kept_for_the_office_to_judge(store):
    store.keep(batch(1), now_ms=1)
    store.keep(batch(1, fill=b"y"), now_ms=1)
    assert kept(store) == [1, 1]


def test_its_space_goes_back_to_the_disk(tmp_path):
    path = tmp_path / "carried.sqlite3"
    store = CarriedStore(path)
    for seq in range(1, 21):
        store.keep(batch(seq, size=64 * KILOBYTE), now_ms=seq)
    store.let_go(OWNER, 1, through_seq=20)
    used = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert (store.size, used < 128 * KILOBYTE) == (0, True)
    store.close()


def test_what_the_disk_changed_is_not_brought_and_nothing_else_is_lost(tmp_path, store):
    for seq in (1, 2):
        store.keep(batch(seq), now_ms=seq)
    with sqlite3.connect(tmp_path / "carried.sqlite3") as other:
        with pytest.raises(sqlite3.IntegrityError, match="never changes"):
            other.execute("UPDATE carried SET sealed = x'00' WHERE batch_seq = 1")
        other.execute("DROP TRIGGER carried_as_signed")
        other.execute("UPDATE carried SET sealed = x'00' WHERE batch_seq = 1")
    other.close()
    assert (kept(store), kept(store)) == ([2], [2])


def test_a_file_that_is_none_is_told_and_left_as_it_is(tmp_path):
    path = tmp_path / "carried.sqlite3"
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(CarriedBrokenError, match="what is in it is kept"):
        CarriedStore(path)
    assert path.read_bytes() == b"no database" * 1_000


def test_a_full_disk_keeps_nothing_and_says_so(store):
    store._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(CarriedBrokenError, match="full"):
        store.keep(batch(1, size=7 * KILOBYTE), now_ms=1)


def test_on_a_disk_that_fills_up_nothing_more_is_taken_and_nothing_let_go(store, monkeypatch):
    assert store.keep(batch(1), now_ms=1)
    monkeypatch.setattr(carried, "free_bytes", lambda _path: LOW_BYTES - 1)
    assert not store.has_room
    assert store.keep(batch(1), now_ms=2), "it is here"
    assert not store.keep(batch(2), now_ms=3)
    assert kept(store) == [1]
    monkeypatch.setattr(carried, "free_bytes", lambda _path: LOW_BYTES)
    assert (store.has_room, store.keep(batch(2), now_ms=4)) == (True, True)
