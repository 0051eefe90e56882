"""What a hub brings of one that stands in another venue by now: it is told so, once for each, and brings it no more."""

import msgspec
import pytest

from back_office.ingest.hub_books import HubBooks
from cloud_sync import receive_carried, receiver
from cloud_sync.downlink import Accepted, Downlink
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.envelope import batch_hash
from cloud_sync.protocol.topics import hub_topic
from tests.back_office.world import HUB, OTHER_HUB, TENANT
from tests.support.second_hubs import SecondHubs

pytestmark = pytest.mark.long


@pytest.fixture
def venue(tmp_path, monkeypatch):
    """A venue whose hub A the office's books have in another one."""
    plainly = HubBooks.hub

    def moved(books, hub_id):
        record = plainly(books, hub_id)
        return msgspec.structs.replace(record, venue_id=bytes(16)) if hub_id == HUB else record

    venue = SecondHubs(tmp_path)
    venue.both_offline()
    for _ in range(3):
        venue.a.post.sell(2)
        venue.a.post.alone()
    venue.pass_s(3)
    venue.kill(venue.a)
    venue.pass_s(61)
    monkeypatch.setattr(HubBooks, "hub", moved)
    yield venue
    venue.close()


def brings(venue):
    """Let B find the office again; return how many batches it brings in a minute, and why each lies there."""
    brought = []
    venue.b.post.passes = lambda leaf: leaf != "carried" or not brought.append(leaf)
    venue.b.go_on()
    venue.pass_s(61)
    refused = venue.b.round._store._connection.execute("SELECT why FROM carried").fetchall()
    return len(brought), [why for (why,) in refused]


def test_each_is_brought_once_and_kept(venue):
    assert brings(venue) == (3, ["venue"] * 3)


def test_a_build_that_says_nothing_of_it_is_caught(venue, monkeypatch):
    monkeypatch.setattr(receiver.receive_carried, "word_of_refusal", lambda *_: None)
    with pytest.raises(AssertionError):
        test_each_is_brought_once_and_kept(venue)


def test_the_word_names_the_batch_and_of_what_is_no_batch_there_is_none(venue):
    data = venue.b.carried()[-1]
    topic = hub_topic(OTHER_HUB, "up", receive_carried.CARRIED)
    handled = venue.office.worker.on_message(topic, data)
    assert [refusal.reason for refusal in handled.refusals] == ["venue"]
    (letter,) = handled.letters
    carrier = venue.b.post.identity
    downlink = Downlink(
        hub_id=OTHER_HUB, tenant_id=TENANT, opener=carrier.opener, trust=carrier.trust, versions={}
    )  # fmt: skip
    (word,) = downlink.on_message(letter.topic, letter.payload)
    assert isinstance(word, Accepted)
    assert word.body == CarriedTaken(HUB, 1, 0, batch_hash(data), "venue")
    assert venue.office.worker.on_message(topic, b"EHB1").letters == ()
