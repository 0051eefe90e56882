"""What has a receipt stays thirty days behind it, however old it was when it came and whatever a clock says."""

import pytest

from edge_agent.ledger import outbox
from edge_agent.ledger.entries import check_chain, read_tail
from edge_agent.ledger.outbox import DAY_MS, KEPT_DAYS, SealedBatch
from edge_agent.messages import BatchSealed, ReceiptTaken
from payment_core.journal import TimeQuality
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
    gone = prune_old(store, now_ms=START_MS + day * DAY_MS, office_ms=START_MS + day * DAY_MS)
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
    monkeypatch.setattr(outbox, "_receipted_long_ago", lambda _store, _today: 2**53)
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
    for day in (0, 400):
        now_ms = START_MS + day * DAY_MS
        assert outbox.prune_old(hall.store, now_ms=now_ms, office_ms=now_ms) == 0
    hall.store.commit()
    assert first(hall) == 1


def wrong_for_a_day(hall, own_days, office_days):
    """A hub back after forty days has its receipts; with the second, one clock or the other is so many days away."""
    hall.pass_ms(40 * DAY_MS)
    true_ms = hall.wall_ms
    for day in (0, 1, 2, KEPT_DAYS):
        is_wrong = day == 1
        hall.quality = TimeQuality.HELD if is_wrong else TimeQuality.SYNCED  # HELD: any battery clock, at a start
        hall.wall_ms = true_ms + (day + own_days * is_wrong) * DAY_MS
        take(hall, true_ms + (day + office_days * is_wrong) * DAY_MS)
        kept = hall.store.rows("SELECT min(batch_seq) FROM batches")[0][0], first(hall)
        assert kept == (1, 1), f"day {day}"


def take(hall, office_ms):
    """Let the till take a receipt for all there is, and a coin more."""
    hall.step(hall.coin())
    cursor, tail = outbox.read_cursor(hall.store), read_tail(hall.store)
    sealed = BatchSealed(cursor.batch_seq + 1, cursor.seq + 1, tail.seq - cursor.seq, bytes(32), b"sealed")
    hall.step(sealed, ReceiptTaken(sealed.batch_seq, tail.seq, (), office_ms))


NEVER = -(START_MS // DAY_MS) - 40
"""To a clock that has just lost its battery."""


@pytest.mark.parametrize(("own_days", "office_days"), [(365, 0), (NEVER, 0), (0, 365), (0, NEVER)])
def test_no_clock_alone_throws_away_what_stays_thirty_days(hall, own_days, office_days):
    wrong_for_a_day(hall, own_days, office_days)


def test_what_both_clocks_call_old_goes_and_the_chain_holds(hall):
    wrong_for_a_day(hall, 365, 0)
    hall.pass_ms(3 * DAY_MS)
    take(hall, hall.wall_ms)
    assert first(hall) > 1
    assert check_chain(hall.store).ok


@pytest.mark.parametrize(("own_days", "office_days"), [(365, 0), (0, 365)])
def test_a_build_that_believes_one_clock_is_caught(hall, monkeypatch, own_days, office_days):
    real = outbox.prune_old

    def one_clock(store, *, now_ms, office_ms):
        believed = now_ms if own_days else office_ms
        return real(store, now_ms=believed, office_ms=believed)

    monkeypatch.setattr(outbox, "prune_old", one_clock)
    with pytest.raises(AssertionError, match="day 1"):
        wrong_for_a_day(hall, own_days, office_days)


def test_a_build_that_notes_by_the_earlier_clock_is_caught(hall, monkeypatch):
    real, behind = outbox._note_receipt, iter([0, 365])
    monkeypatch.setattr(outbox, "_note_receipt", lambda store, today: real(store, today - next(behind, 0)))
    with pytest.raises(AssertionError, match="day 2"):
        wrong_for_a_day(hall, 0, -365)
