"""What has a receipt stays thirty days behind it, however old it was when the receipt came."""

import pytest

from edge_agent.ledger import outbox
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.outbox import DAY_MS, KEPT_DAYS, SealedBatch
from tests.support.hall import START_MS, Hall


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.sqlite3")
    made.enroll("anna", 1_000)
    yield made
    made.store.close()


def receipt(hall, day, *, prune_old=outbox.prune_old):
    """Let everything up to now have its receipt on a day; return how many entries went."""
    store = hall.store
    cursor, tail = outbox.read_cursor(store), read_tail(store)
    store.execute("BEGIN IMMEDIATE")
    if tail.seq > cursor.seq:
        sealed = SealedBatch(cursor.batch_seq + 1, cursor.seq + 1, tail.seq - cursor.seq, bytes(32), b"sealed")
        outbox.store_batch(store, sealed)
        assert outbox.take_receipt(store, cursor.batch_seq + 1, tail.seq)
    gone = prune_old(store, START_MS + day * DAY_MS)
    store.commit()
    return gone


def first(hall):
    return hall.store.rows("SELECT min(seq) FROM entries")[0][0]


def story(hall, prune_old=outbox.prune_old):
    """A hub that was away for forty days: when do its entries go?"""
    old = read_tail(hall.store).seq
    hall.pass_ms(40 * DAY_MS)
    hall.step(hall.coin())
    for day in range(40, 40 + KEPT_DAYS + 1):
        assert receipt(hall, day, prune_old=prune_old) == 0, f"day {day}"
    assert receipt(hall, 40 + KEPT_DAYS + 1, prune_old=prune_old) >= old


def test_the_newest_entry_stays_or_a_restart_would_begin_at_one(hall):
    story(hall)
    tail = read_tail(hall.store)
    assert first(hall) == tail.seq
    hall.restart()
    hall.step(hall.coin())
    assert read_tail(hall.store).seq > tail.seq


def test_entries_that_were_old_when_their_receipt_came_stay_thirty_days_behind_it(hall):
    story(hall)


def test_a_build_that_looks_at_the_entry_alone_is_caught(hall, monkeypatch):
    monkeypatch.setattr(outbox, "_receipted_long_ago", lambda _store, _now_ms: 2**53)
    with pytest.raises(AssertionError, match="day 40"):
        story(hall)


def test_notes_are_few_and_outlive_a_restart(hall):
    for day in range(100):
        receipt(hall, day)
    hall.restart()
    notes = outbox.msgspec.msgpack.decode(outbox.marks.read_bytes(hall.store, outbox._ACKED_DAYS))
    assert KEPT_DAYS < len(notes) <= KEPT_DAYS + 2
    assert receipt(hall, 100) >= 0


def test_what_has_no_receipt_stays_for_ever(hall):
    hall.store.execute("BEGIN IMMEDIATE")
    assert outbox.prune_old(hall.store, START_MS) == 0
    assert outbox.prune_old(hall.store, START_MS + 400 * DAY_MS) == 0
    hall.store.commit()
    assert first(hall) == 1
