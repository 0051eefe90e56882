"""In new books a server counts its rows when the office asks, a few times at most; slow is not wrong."""

import structlog

from back_office.ingest import row_counts
from back_office.ingest.row_counts import LOOK_AFTER, RowCounts
from back_office.store.faults import StoreUnavailableError


def told(work):
    with structlog.testing.capture_logs() as lines:
        work()
    return [line["event"] for line in lines]


def test_a_server_counts_after_the_first_thousand_and_not_again_while_it_knows(office, database):
    counts = RowCounts(office.store)
    assert told(lambda: counts.booked(LOOK_AFTER[0] - 1)) == []
    assert told(lambda: counts.booked(1)) == (["books.rows_counted"] if database != "sqlite" else [])
    assert told(lambda: counts.booked(LOOK_AFTER[1])) == []


def test_a_worker_asks_so_often_and_goes_on_where_that_does_not_work(office, monkeypatch):
    asked = []

    def gone(_store):
        asked.append(1)
        message = "gone"
        raise StoreUnavailableError(message)

    monkeypatch.setattr(row_counts.Store, "look_at_tables", gone)
    counts = RowCounts(office.store)
    events = told(lambda: [counts.booked(LOOK_AFTER[-1]) for _ in range(9)])
    assert (len(asked), events) == (len(LOOK_AFTER), ["books.rows_not_counted"] * len(LOOK_AFTER))


def test_the_entries_of_a_batch_are_counted(office, monkeypatch):
    booked = []
    monkeypatch.setattr(RowCounts, "booked", lambda _counts, entries: booked.append(entries))
    office.worker.on_message(*office.hub.hello())
    office.take(office.hub.batch())
    assert sum(booked) == 1
