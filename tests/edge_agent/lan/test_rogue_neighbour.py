"""A hub that was stolen stands in the venue still: what it hands over, and brings, costs the others nothing."""

import pytest

from back_office.store import chains, places
from back_office.store.transactions import Fence
from cloud_sync import receive_carried
from cloud_sync.protocol.envelope import Header, parse_envelope
from cloud_sync.protocol.topics import hub_topic, partition
from cloud_sync.received import Refusal
from cloud_sync.sealing import seal_batch
from edge_agent.lan import carrying
from edge_agent.ledger.carried import CarriedStore
from edge_agent.links.second_hub import BatchOf
from payment_core.records import TimeQuality
from tests.back_office.world import HUB, OTHER_HUB, TENANT
from tests.support.second_hubs import SecondHubs

pytestmark = pytest.mark.long


@pytest.fixture
def venue(tmp_path):
    venue = SecondHubs(tmp_path)
    yield venue
    venue.close()


def signed_by(identity, batch_seq, *, hub_id=None):
    """Return a batch as a thief with this hub's keys can make it: any numbers, in any hub's name."""
    sealer = identity.office_sealer
    header = Header(
        hub_id=hub_id or identity.hub_id, epoch=1, batch_seq=batch_seq, first_record=1, record_count=1, created_ms=1,
        time_quality=TimeQuality.SYNCED, recipient_key=sealer.key_id, signer_key=identity.signer.key_id,
        previous_batch_hash=bytes(32), journal_tail_hash=bytes(32), suite=sealer.suite,
    )  # fmt: skip
    return seal_batch(header, b"no records", sealer=sealer, signer=identity.signer)


def test_a_number_that_no_column_holds_ends_no_round(venue):
    venue.both_offline()
    venue.pass_s(3)
    for batch_seq in (2**63, 2**64 - 1):
        venue.b.round.step([BatchOf(HUB, signed_by(venue.a.post.identity, batch_seq))])
    assert venue.b.carried() == []
    assert venue.b.round.carrier == HUB


def test_a_build_that_keeps_any_number_is_caught(venue, monkeypatch):
    monkeypatch.setattr(carrying, "MAX_MINOR", 2**64)
    with pytest.raises(OverflowError):
        test_a_number_that_no_column_holds_ends_no_round(venue)


def test_what_its_owner_did_not_sign_goes_to_no_other_worker(venue):
    worker, topic = venue.office.worker, hub_topic(OTHER_HUB, "up", "carried")
    worker._receiver._holds = lambda hub_id: hub_id != HUB
    handled = worker.on_message(topic, signed_by(venue.b.post.identity, 7, hub_id=HUB))
    assert handled.refusals == (Refusal(topic, "signer"),)
    assert [letter.topic for letter in handled.letters] == [hub_topic(OTHER_HUB, "down", "command")]
    assert worker.presence.gaps == {}


def test_a_build_that_passes_on_what_its_owner_did_not_sign_is_caught(venue, monkeypatch):
    monkeypatch.setattr(receive_carried.sealing, "authenticate", lambda data, **_of: parse_envelope(data))
    with pytest.raises(AssertionError):
        test_what_its_owner_did_not_sign_goes_to_no_other_worker(venue)


def dies_with_batches(venue):
    """A's box dies behind a sale without an office, and B takes it for silent; return what A had sealed."""
    venue.both_offline()
    venue.a.post.sell(2)
    assert venue.a.round.carrier == OTHER_HUB
    venue.a.post.alone()
    venue.pass_s(3)
    sealed = venue.a.post.batches()
    venue.kill(venue.a)
    venue.pass_s(61)
    return sealed


def test_what_another_worker_fenced_is_brought_again_on_the_same_connection(venue):
    sealed = dies_with_batches(venue)
    books = venue.office.worker._receiver._office
    books._fences = lambda hub_id: (Fence(TENANT, partition(HUB), 0),) if hub_id == HUB else ()
    venue.b.go_on()
    venue.pass_s(12)
    assert len(venue.booked(HUB)) < len(sealed)
    books._fences = lambda _hub_id: ()
    venue.pass_s(25)
    assert (venue.booked(HUB), venue.b.carried()) == (sealed, [])


def test_a_build_that_calls_a_lost_fence_a_refusal_is_caught(venue, monkeypatch):
    monkeypatch.setattr(receive_carried, "_FOR_NOW", frozenset())
    with pytest.raises(AssertionError):
        test_what_another_worker_fenced_is_brought_again_on_the_same_connection(venue)


def lies_there(venue):
    """Return how many batches of the dead hub are on its neighbour's disk, taken by the office or not."""
    return venue.b.round._store._connection.execute("SELECT count(*) FROM carried").fetchone()[0]


def test_what_the_office_refuses_stays_with_its_carrier_until_it_is_taken(venue):
    sealed = dies_with_batches(venue)
    with venue.office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="lost")
    venue.b.go_on()
    venue.pass_s(45)
    assert (venue.booked(HUB), venue.b.carried(), lies_there(venue)) == ([], [], len(sealed))
    with venue.office.store.reading() as tx:
        kept = [one.sealed for one in chains.evidence(tx, TENANT)]
    assert sorted(kept) == sorted(sealed)  # whoever settles it has them, each once
    with venue.office.store.writing() as tx:
        places.reopen(tx, TENANT, HUB, allowed_epoch=1)
    venue.b.go_off()
    venue.b.go_on()
    venue.pass_s(12)
    assert (venue.booked(HUB), lies_there(venue), venue.office.frozen(OTHER_HUB)) == (sealed, 0, "")
    assert venue.office.prove().ok


def test_a_build_that_lets_go_of_what_is_refused_is_caught(venue, monkeypatch):
    def forget(self, batch, _why):
        self.let_go(batch.hub_id, batch.epoch, through_seq=batch.batch_seq)

    monkeypatch.setattr(CarriedStore, "refused", forget)
    with pytest.raises(AssertionError):
        test_what_the_office_refuses_stays_with_its_carrier_until_it_is_taken(venue)
