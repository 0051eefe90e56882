"""What is on its way to a hub that nobody hears counts where it may lie, and a person is told when it is too much."""

import pytest

from back_office.fleet.documents import keep_document
from back_office.store import lots, papers
from cloud_sync.protocol.messages import DocumentVersion
from payment_core.policy import RiskDocument
from tests.back_office.world import HUB, OTHER_GUEST, OTHER_HUB, TENANT

CAP = 500


@pytest.fixture
def venue(office):
    """The office, with two hubs of X_h 500; the other one is never heard but for its hello."""
    office.other = office.enroll(OTHER_HUB, "foyer")
    for pen in (office.hub, office.other):
        office.worker.on_message(*pen.hello())
    with office.store.writing() as tx:
        for hub_id in (HUB, OTHER_HUB):
            keep_document(tx, TENANT, hub_id, "risk", RiskDocument(0, lease_cap=CAP), now_ms=1)
    for pen in (office.hub, office.other):
        office.worker.on_message(*pen.hello(versions=(DocumentVersion("risk", 1),)))
    office.top_up(2_000, payment="p1")
    return office


def passes(office, amount):
    """Let the hall pass money on to the hub that nobody hears; the office hears of it from the hall."""
    office.lease()
    office.hub.passed(office.other, amount)
    office.take(office.hub.batch())


def kinds(office):
    with office.store.reading() as tx:
        return [(alarm.kind, alarm.subject_id) for alarm in papers.alarms(tx, TENANT)]


def test_what_is_on_its_way_to_a_hub_counts_as_lying_there(venue):
    passes(venue, 300)
    venue.top_up(1_000, account=OTHER_GUEST, payment="p2")
    assert venue.lease(account=OTHER_GUEST, hub_id=OTHER_HUB) == CAP - 300
    assert venue.prove().faults == []


def test_a_build_that_forgets_what_is_on_its_way_is_caught(venue, monkeypatch):
    passes(venue, 300)
    monkeypatch.setattr(lots, "on_its_way", lambda *_place, **_unit: 0)
    venue.top_up(1_000, account=OTHER_GUEST, payment="p2")
    assert venue.lease(account=OTHER_GUEST, hub_id=OTHER_HUB) > CAP - 300


def test_more_on_its_way_than_may_lie_there_is_alarmed_once_and_freezes_nobody(venue):
    passes(venue, CAP)
    assert kinds(venue) == []
    for _ in range(2):
        passes(venue, 400)
        assert kinds(venue) == [("taker_beyond", OTHER_HUB)]
    assert not venue.frozen(OTHER_HUB)


def test_what_was_taken_is_not_on_its_way(venue):
    venue.lease()
    entry, voucher = venue.hub.passed(venue.other, 300)
    venue.take(venue.hub.batch())
    venue.other.taken(venue.hub, entry.header.seq, 300, voucher)
    venue.take(venue.other.batch(), venue.other)
    with venue.store.reading() as tx:
        assert lots.on_its_way(tx, TENANT, OTHER_HUB, unit="CNY") == 0
