"""Many hubs together bury no alarm: behind so many within an hour one alarm counts, and a freeze is always told."""

import msgspec
import pytest

from back_office import worker
from back_office.ingest.verdicts import judge
from back_office.ledger.findings import Finding
from back_office.store import alarm_budget, papers, places
from back_office.store.alarm_budget import BUDGET_MS, MORE
from cloud_sync.protocol.topics import hub_topic
from tests.back_office.world import HUB, TENANT

MOST = 5


@pytest.fixture
def venue(office, monkeypatch):
    """An office with a venue of eight hubs more, and room for few alarms."""
    monkeypatch.setattr(alarm_budget, "ALARMS_OF_TENANT", MOST)
    office.fleet = [office.enroll(bytes([number + 1] * 16), f"box-{number}") for number in range(8)]
    return office


def all_say(office, state):
    for pen in office.fleet:
        said = msgspec.json.encode({"state": state, "why": f"since {office.now_ms}"})
        office.worker.on_message(hub_topic(pen.identity.hub_id, "up", "state"), said)


def alarms(office):
    with office.store.reading() as tx:
        return papers.alarms(tx, TENANT)


def test_a_venue_of_hubs_that_all_raise_alarms_buries_none_of_others_and_is_counted(venue):
    all_say(venue, "closed")
    assert [alarm.kind for alarm in alarms(venue)] == [MORE, *["closed"] * MOST]
    assert alarms(venue)[0].subject_id == TENANT
    assert alarms(venue)[0].text == (
        "3 more that hubs raised are not told one by one: there were 5 alarms within an hour; the last was "
        f"closed about hub {'08' * 16}: since {venue.now_ms}"
    )
    all_say(venue, "safe_mode")
    assert len(alarms(venue)) == MOST + 1
    assert alarms(venue)[0].text.startswith("11 more ")
    venue.now_ms += BUDGET_MS
    all_say(venue, "closed")
    assert [alarm.kind for alarm in alarms(venue)[: MOST + 1]] == [MORE, *["closed"] * MOST]
    assert alarms(venue)[0].text.startswith("3 more ")


def test_a_build_that_tells_them_all_is_caught(venue, monkeypatch):
    monkeypatch.setattr(worker.alarm_budget, "raise_within", papers.raise_alarm)
    with pytest.raises(AssertionError):
        test_a_venue_of_hubs_that_all_raise_alarms_buries_none_of_others_and_is_counted(venue)


def test_what_is_found_of_batches_is_counted_too_and_a_freeze_is_told(venue):
    all_say(venue, "closed")
    with venue.store.writing() as tx:
        for kind in ("late", "overclaim"):
            hub = places.hub(tx, TENANT, HUB)
            judge(tx, TENANT, hub, [Finding(kind, f"a {kind}")], venue.now_ms, frozenset())
    assert [alarm.kind for alarm in alarms(venue)[:2]] == ["overclaim", MORE]
    assert alarms(venue)[1].text.startswith("4 more ")
    assert venue.frozen() == "overclaim"
