"""The bound an office shows is the one its desk and its hubs keep."""

import msgspec
import pytest

from back_office.fleet.bound import bound_of
from back_office.fleet.documents import keep_document
from back_office.store import papers, places
from back_office.store.papers import Document
from cloud_sync.protocol.messages import DocumentVersion
from payment_core.policy import LEASE_CAP, TOP_UP_CAP, Caps, RiskDocument
from tests.back_office.world import HUB, OTHER_HUB, TENANT, VENUE


def send(office, hub_id=HUB, **risk):
    with office.store.writing() as tx:
        kept = keep_document(tx, TENANT, hub_id, "risk", RiskDocument(0, **risk), now_ms=1)
    return msgspec.json.decode(kept.body, type=RiskDocument)


def fetches(office, *, version=1):
    """Let the hub say in its hello that it has a version of its risk document."""
    office.worker.on_message(*office.hub.hello(versions=(DocumentVersion("risk", version),)))


def shown(office):
    with office.store.reading() as tx:
        return bound_of(tx, TENANT, VENUE)


def test_the_lower_cap_stands_in_the_document_that_the_hub_gets(office):
    assert send(office, lease_cap=700).lease_cap == 700
    assert send(office, lease_cap=office.cap() + 1).lease_cap == office.cap()
    assert send(office).lease_cap == office.cap()


def test_a_hub_that_was_sent_no_cap_has_the_defaults(office):
    assert (shown(office).rollback_bound, shown(office).topup_bound) == (LEASE_CAP, TOP_UP_CAP)
    send(office, lease_cap=700)
    fetches(office)
    assert shown(office).rollback_bound == 700
    office.enroll(OTHER_HUB, "foyer")
    assert shown(office).rollback_bound == LEASE_CAP + 700
    assert [hub.lease for hub in shown(office).hubs] == [LEASE_CAP, 700]


def unfetched(office):
    """Send a hub caps that it does not have, as its hello says; return what is shown."""
    send(office, lease_cap=500, top_up_cap=100)
    office.worker.on_message(*office.hub.hello())
    return shown(office).rollback_bound, shown(office).topup_bound


def test_its_own_defaults_count_until_a_hub_says_that_it_has_a_document_and_again_where_it_has_lost_it(office):
    assert unfetched(office) == (LEASE_CAP, TOP_UP_CAP)
    fetches(office)
    assert (shown(office).rollback_bound, shown(office).topup_bound) == (500, 100)
    assert unfetched(office) == (LEASE_CAP, TOP_UP_CAP), "a disk from before the document"


def test_a_build_that_takes_what_was_sent_for_kept_is_caught(office, monkeypatch):
    monkeypatch.setattr(places.Hub, "risk_version", 1)
    assert unfetched(office) != (LEASE_CAP, TOP_UP_CAP)


def test_of_all_documents_that_a_hub_was_sent_the_highest_of_each_term_counts(office):
    send(office, lease_cap=900, floor_per_hub=10, doubt_cap_per_day=40)
    send(office, lease_cap=700, floor_per_hub=20, top_up_cap=5)
    send(office, lease_cap=800, floor_per_hub=15, top_up_cap=7)
    fetches(office, version=3)
    found = shown(office)
    assert (found.rollback_bound, found.floor_bound, found.doubt_bound, found.topup_bound) == (900, 20, 40, TOP_UP_CAP)


def test_the_desk_leases_what_floors_and_doubts_leave_of_the_cap(office):
    send(office, lease_cap=1_000, floor_per_hub=300, doubt_cap_per_day=200)
    office.top_up(5_000)
    assert office.lease() == 500
    assert office.lease() == 500
    send(office, lease_cap=400, floor_per_hub=300, doubt_cap_per_day=200)
    assert office.lease() == 500


@pytest.mark.parametrize(
    ("name", "broken", "proof"),
    [
        ("at_most", lambda caps, _venue_cap: caps, test_the_lower_cap_stands_in_the_document_that_the_hub_gets),
        (
            "leasable", lambda caps, taken=0: max(caps.lease_cap - taken, 0),
            test_the_desk_leases_what_floors_and_doubts_leave_of_the_cap,
        ),
    ],
    ids=["venue-cap-forgotten", "leases-alone-counted"],
)  # fmt: skip
def test_a_build_that_keeps_another_bound_than_it_shows_is_caught(office, monkeypatch, name, broken, proof):
    monkeypatch.setattr(Caps, name, broken)
    with pytest.raises(AssertionError):
        proof(office)


def test_the_desk_keeps_the_venues_cap_whatever_a_document_says(office):
    with office.store.writing() as tx:
        body = msgspec.json.encode(RiskDocument(1, lease_cap=10**12))
        papers.add_document(tx, TENANT, Document(HUB, "risk", 1, body, 1))
    office.top_up(office.cap() + 5)
    assert office.lease() == office.cap()
