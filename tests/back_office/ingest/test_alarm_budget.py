"""No hubs bury others' alarms: behind so many within an hour one alarm counts; a hub's first and a freeze are told."""

import msgspec
import pytest

from back_office import worker
from back_office.ingest import hub_books
from back_office.ingest.verdicts import judge
from back_office.ledger.findings import Finding
from back_office.store import alarm_budget, chains, papers, places
from back_office.store.alarm_budget import ALARMS_OF_HUB, BUDGET_MS, MORE
from cloud_sync.protocol.topics import hub_topic
from tests.back_office.world import HUB, OTHER_HUB, TENANT

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
    assert [alarm.kind for alarm in alarms(venue)] == ["closed"] * 8, "the first of each"
    all_say(venue, "safe_mode")
    assert [alarm.kind for alarm in alarms(venue)] == [MORE, *["closed"] * 8]
    assert alarms(venue)[0].subject_id == TENANT
    assert alarms(venue)[0].text == (
        "8 more that hubs raised are not told one by one: there were 5 alarms within an hour; the last was "
        f"safe_mode about hub {'08' * 16}: since {venue.now_ms}"
    )
    all_say(venue, "no_new_money")
    assert len(alarms(venue)) == 9
    assert alarms(venue)[0].text.startswith("16 more ")
    venue.now_ms += BUDGET_MS
    all_say(venue, "closed")
    all_say(venue, "safe_mode")
    assert [alarm.kind for alarm in alarms(venue)[:9]] == [MORE, *["closed"] * 8]
    assert alarms(venue)[0].text.startswith("8 more ")


def test_a_build_that_tells_them_all_is_caught(venue, monkeypatch):
    monkeypatch.setattr(worker.alarm_budget, "raise_within", papers.raise_alarm)
    with pytest.raises(AssertionError):
        test_a_venue_of_hubs_that_all_raise_alarms_buries_none_of_others_and_is_counted(venue)


def test_what_is_found_of_batches_is_counted_too_and_a_freeze_is_told(venue):
    all_say(venue, "closed")
    with venue.store.writing() as tx:
        for kind in ("late", "odd_date", "overclaim"):
            hub = places.hub(tx, TENANT, HUB)
            judge(tx, TENANT, hub, [Finding(kind, f"a {kind}")], venue.now_ms, frozenset())
    assert [alarm.kind for alarm in alarms(venue)[:3]] == ["overclaim", MORE, "late"]
    assert alarms(venue)[1].text.startswith("1 more ")
    assert venue.frozen() == "overclaim"


def poisons(office, times):
    """Park batches of one hub; then its neighbour is in trouble. Return the kinds of what was told, newest first."""
    books = hub_books.HubBooks(office.store, TENANT, lambda: office.now_ms, on_hello=lambda *_: None)
    for number in range(times):
        books.park(HUB, "poison", b"%d" % number)
    neighbour = office.enroll(OTHER_HUB, "foyer")
    said = msgspec.json.encode({"state": "safe_mode", "why": "the disk is broken"})
    office.worker.on_message(hub_topic(neighbour.identity.hub_id, "up", "state"), said)
    with office.store.reading() as tx:
        assert sum(1 for _ in chains.evidence(tx, TENANT)) == times, "each is kept all the same"
    return [alarm.kind for alarm in alarms(office)]


def test_poison_of_one_hub_uses_up_no_more_than_its_own_and_hides_no_trouble_of_another(office):
    assert poisons(office, ALARMS_OF_HUB + 3) == ["safe_mode", *["parked"] * ALARMS_OF_HUB]
    assert alarms(office)[1].text.endswith("; more like it is not told for an hour")


def test_a_build_that_tells_of_each_batch_it_parks_is_caught(office, monkeypatch):
    monkeypatch.setattr(hub_books, "raise_of_hub", papers.raise_alarm)
    assert poisons(office, ALARMS_OF_HUB + 3).count("parked") == ALARMS_OF_HUB + 3


def told_beside(office, alarms_of_one):
    """Return whether a second alarm about another hub is told beside so many about one, of whatever kinds."""
    at_ms = office.now_ms
    with office.store.writing() as tx:
        for subject, times in ((HUB, alarms_of_one), (OTHER_HUB, 1)):
            for _ in range(times):
                papers.raise_alarm(tx, TENANT, papers.Alarm("forked", subject, "a fork", at_ms))
        return alarm_budget.raise_within(tx, TENANT, papers.Alarm("travel", OTHER_HUB, "a copy", at_ms))


def test_of_one_hub_only_so_many_count_for_all(office):
    assert told_beside(office, alarm_budget.ALARMS_OF_TENANT)


def test_a_build_that_counts_all_of_one_hub_is_caught(office, monkeypatch):
    monkeypatch.setattr(alarm_budget, "ALARMS_OF_HUB", alarm_budget.ALARMS_OF_TENANT)
    assert not told_beside(office, alarm_budget.ALARMS_OF_TENANT)
