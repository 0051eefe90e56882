"""A machine that was enrolled anew for the next epoch: its salvaged journal is booked, and leases come and go in it."""

import pytest

from back_office.fleet.founding import pin_hub
from payment_core.journal import EpochOpened
from provisioning.identity import enroll_hub, pinned
from tests.back_office.world import KEYS, OTHER_HUB, TENANT, VENUE, WALL_MS, HubPen


@pytest.fixture
def second(office):
    """Return the pen of a hub whose identity is for epoch 2."""
    identity = enroll_hub(
        KEYS, hub_id=OTHER_HUB, venue_id=VENUE, epoch=2, broker_host="127.0.0.1", broker_port=1883
    )
    pin_hub(office.store, TENANT, pinned(identity), venue_id=VENUE, name="hall-2", now_ms=WALL_MS)
    pen = HubPen(identity, epoch=2)
    pen.lots = office.lots
    return pen


def take(office, pen, data):
    return office.worker.on_message(pen.batch_topic, data)


def test_its_first_record_and_its_sales_are_booked(office, second):
    pen = HubPen(second.identity, epoch=2)
    pen.seq, pen.records, pen.lots = 0, [], office.lots
    pen.write(lambda header: EpochOpened(1, header, 2, 1, 41, bytes(32), "salvaged by ann", ("entries", "leases")))
    office.worker.on_message(*pen.hello())
    office.top_up(1_000)
    office.lease(hub_id=OTHER_HUB)
    assert take(office, pen, pen.batch()).refusals == ()
    pen.held(200)
    pen.captured(200)
    assert take(office, pen, pen.batch()).refusals == ()
    office.top_up(500, payment="p2")
    office.lease(hub_id=OTHER_HUB)
    pen.held(100, authorization=2, epoch=1)
    pen.captured(100, authorization=2)
    assert take(office, pen, pen.batch()).refusals == ()
    assert office.frozen(OTHER_HUB) == ""
    assert office.prove().ok
    assert office.alarms() == []


def test_what_it_says_in_the_epoch_of_the_old_hub_is_not_taken(office, second):
    old = HubPen(second.identity, epoch=1)
    office.worker.on_message(*second.hello())
    assert take(office, second, second.batch()).refusals == ()
    assert [refusal.reason for refusal in take(office, old, old.batch()).refusals] == ["old_epoch"]
