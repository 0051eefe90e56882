"""A till that cannot keep up: each kind of fact has its rule, and what is dropped is counted."""

import pytest

from edge_agent.links import full_queue
from edge_agent.links.full_queue import FullQueue
from edge_agent.messages import DeviceIs, LeaseArrived, ListArrived, OfficeLink, ReceiptTaken
from edge_agent.peer_messages import FromPeer, LanLink
from edge_agent.staff_messages import PinRefused, Reply, StaffActed
from edge_agent.till_thread import TillThread
from payment_core.bus import DeviceState
from payment_core.desk import DeskReply, Look
from payment_core.identifiers import uuid_text
from tests.support.hall import Hall

ACT = StaffActed(bytes(16), "desk-1", "chen", Look("open"))
PEER = FromPeer(bytes(16), 1, None)
DEVICE = DeviceIs("coin-1", DeviceState("online", 1))
LEASE = LeaseArrived(bytes(16), "CNY", 1, 100)


@pytest.mark.parametrize("fact", [ACT, PEER, LEASE, ListArrived(2, False, 1, ())])
def test_what_others_say_leaves_half_of_the_queue_to_devices(fact):
    full = FullQueue()
    assert full.admits(fact, full_queue.OTHERS_LIMIT - 1)
    assert not full.admits(fact, full_queue.OTHERS_LIMIT)
    assert dict(full.dropped) == {type(fact).__name__: 1}
    assert full.admits(DEVICE, full_queue.QUEUE_LIMIT - 1)
    assert not full.admits(DEVICE, full_queue.QUEUE_LIMIT)


@pytest.mark.parametrize("fact", [ReceiptTaken(1, 1), OfficeLink(True), LanLink(True), PinRefused("desk-1", "chen")])
def test_what_comes_one_at_a_time_or_guards_a_pin_is_never_dropped(fact):
    assert FullQueue().admits(fact, 10 * full_queue.QUEUE_LIMIT)


def test_a_flood_is_logged_in_a_few_lines(capsys):
    full = FullQueue()
    for _fact in range(1_000):
        full.admits(PEER, full_queue.QUEUE_LIMIT)
    assert full.dropped["FromPeer"] == 1_000
    assert len(capsys.readouterr().err.splitlines()) == 10


def test_staff_are_told_busy_and_grants_that_belong_together_stay_together(tmp_path, monkeypatch):
    monkeypatch.setattr(full_queue, "OTHERS_LIMIT", 3)
    hall, delivered = Hall(tmp_path / "ledger.db"), []
    thread = TillThread(
        hall.till, hall.store, clock=hall.moment, deliver=delivered.extend, failed=delivered.append
    )
    for _fact in range(3):
        thread.offer(DEVICE)
    thread.offer_together([LEASE, LEASE])
    assert not thread.offer(ACT)
    thread.offer(PEER)
    assert delivered == [Reply("desk-1", DeskReply(uuid_text(bytes(16)), "refused", "busy"))]
    assert len(thread._queue) == 3
    assert dict(thread._full.dropped) == {"LeaseArrived": 1, "StaffActed": 1, "FromPeer": 1}
    hall.store.close()
