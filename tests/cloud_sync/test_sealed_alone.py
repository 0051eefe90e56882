"""Sealing without an office, because a neighbour keeps what is sealed: rarely, and the office gets the same bytes."""

from tests.cloud_sync.test_uploader import pair, run_dry
from tests.cloud_sync.world import HUB, moment


def test_without_an_office_rows_are_sealed_for_a_neighbour_when_they_are_many_or_a_minute_old():
    hub, office, receiver = pair()
    hub.commit(5)
    assert hub.uploader.on_alone(moment(59_000)) == []
    hub.run(60_001, hub.uploader.on_alone(moment(60_001)))
    assert list(hub.batches) == [1]
    assert hub.uploader.on_alone(moment(60_002)) == []
    hub.commit(100)
    for now_ms in (61_000, 62_000):
        hub.run(now_ms, hub.uploader.on_alone(moment(now_ms)))
    assert (list(hub.batches), hub.outgoing) == ([1, 2], [])
    kept = [batch.data for batch in hub.batches.values()]
    hub.connect(70_000)
    run_dry(hub, receiver, 70_000)
    assert office.booked[HUB] == hub.journal
    assert [batch.data for batch in hub.batches.values()] == kept
