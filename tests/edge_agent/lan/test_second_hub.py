"""What a hub seals without its office lies on a neighbour's disk too, and comes up though its own box is gone."""

import msgspec
import pytest

from cloud_sync import receive_carried
from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import parse_envelope
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.received import Refusal
from edge_agent.lan import carrying
from edge_agent.lan.carrying import Carrying, TellKept
from edge_agent.lan.handing import HandOver
from edge_agent.links.second_hub import BatchOf
from tests.back_office.world import HUB, OTHER_HUB
from tests.support.second_hubs import SecondHubs

pytestmark = pytest.mark.long


@pytest.fixture
def venue(tmp_path):
    venue = SecondHubs(tmp_path)
    yield venue
    venue.close()


def sell_alone(venue, batches=3):
    """Sell at hub A without an office until so many batches of it are sealed, and let B have them."""
    for _ in range(batches):
        venue.a.post.sell(2)
        assert venue.a.round.carrier == OTHER_HUB
        venue.a.post.alone()
    venue.pass_s(3)
    return venue.a.post.batches()


def dies_and_is_brought(venue):
    """A sells without an office and its box dies; B finds the office again. Return what A had sealed."""
    venue.both_offline()
    sealed = sell_alone(venue)
    venue.kill(venue.a)
    venue.pass_s(61)
    venue.b.go_on()
    venue.pass_s(3)
    return sealed


def test_a_box_that_dies_loses_nothing_that_its_neighbour_had(venue):
    sealed = dies_and_is_brought(venue)
    assert len(sealed) == 3
    assert venue.booked(HUB) == sealed  # the very bytes that it had sealed, and each once
    assert venue.office.prove().ok
    assert venue.b.carried() == []
    assert venue.office.frozen() == ""


def test_nothing_is_sealed_alone_where_nobody_keeps_it(venue):
    venue.both_offline()
    venue.lan = lambda _sender, _said: False
    venue.pass_s(70)
    assert venue.a.round.carrier is None


def test_what_comes_both_ways_is_one_batch_and_the_carrier_lets_go_by_the_receipt(venue):
    venue.both_offline()
    sealed = sell_alone(venue)
    assert len(venue.b.carried()) >= 3
    venue.lan = lambda _sender, _said: False  # they do not hear each other: B takes A for silent
    venue.pass_s(61)
    for hub in (venue.a, venue.b):
        hub.go_on()
    venue.pass_s(12)
    assert venue.booked(HUB) == sealed
    assert venue.b.carried() == []
    assert venue.a.post.reader.upload_facts().acked_batch == len(sealed)
    assert (venue.office.frozen(), venue.office.frozen(OTHER_HUB)) == ("", "")
    assert venue.office.prove().ok


def test_the_owner_that_is_heard_again_says_what_the_office_has(venue):
    venue.both_offline()
    sell_alone(venue)
    venue.a.go_on()
    venue.pass_s(25)
    assert venue.b.carried() == []
    assert not venue.b.online


@pytest.mark.parametrize("lost", ["carried", "command"])
def test_what_the_office_did_not_answer_is_brought_again(venue, lost):
    venue.b.post.passes = lambda leaf: leaf != lost
    sealed = dies_and_is_brought(venue)
    assert len(venue.b.carried()) >= 3
    venue.b.post.passes = lambda _leaf: True
    venue.pass_s(12)
    assert (venue.booked(HUB), venue.b.carried()) == (sealed, [])


def test_a_build_that_lets_go_when_the_broker_has_it_is_caught(venue, monkeypatch):
    bring = Carrying._bring

    def forgets(self, now_ms, owner):
        letters = bring(self, now_ms, owner)
        for batch in self._store.waiting(owner, most=carrying.AT_ONCE):
            self._store.let_go(owner, batch.epoch, through_seq=batch.batch_seq)
        return letters

    monkeypatch.setattr(Carrying, "_bring", forgets)
    with pytest.raises(AssertionError):
        test_what_the_office_did_not_answer_is_brought_again(venue, "carried")


def test_a_restart_of_either_forgets_nothing(venue):
    venue.both_offline()
    sealed = sell_alone(venue)
    venue.b.restart()
    venue.a.restart()
    venue.pass_s(25)
    assert len(venue.b.carried()) >= 3
    venue.kill(venue.a)
    venue.pass_s(61)
    venue.b.go_on()
    venue.pass_s(3)
    assert venue.booked(HUB) == sealed


def test_what_the_lan_loses_is_handed_over_again(venue):
    venue.both_offline()
    lost = {"left": 3}

    def drops(_sender, said):
        if isinstance(said, HandOver | TellKept) and lost["left"]:
            lost["left"] -= 1
            return False
        return True

    venue.lan = drops
    sealed = sell_alone(venue)
    venue.pass_s(12)
    assert set(sealed) <= {*venue.b.carried(), *venue.booked(HUB)}


def forged(venue):
    """Return a batch in A's name that A did not sign: somebody on the LAN changed one bit."""
    data = bytearray(venue.a.post.batches()[-1])
    data[-100] ^= 1
    return bytes(data)


def test_only_what_its_owner_signed_is_kept(venue):
    venue.both_offline()
    sell_alone(venue)
    before = venue.b.carried()
    venue.b.heard.append(BatchOf(HUB, forged(venue)))
    venue.b.heard.append(BatchOf(bytes(16), venue.a.post.batches()[-1]))  # a sender that is no neighbour
    venue.b.heard.append(BatchOf(HUB, b"EHB1"))
    assert not any(isinstance(said, TellKept) for said in venue.b.round.step(venue.b.heard))
    assert venue.b.carried() == before


def test_a_build_that_checks_no_signature_is_caught(venue, monkeypatch):
    monkeypatch.setattr(carrying.sealing, "authenticate", lambda data, **_: parse_envelope(data))
    with pytest.raises(AssertionError):
        test_only_what_its_owner_signed_is_kept(venue)


def brought(venue, carrier, data):
    return venue.office.worker.on_message(hub_topic(carrier.hub_id, "up", "carried"), data)


def elsewhere(venue):
    """Move hub B to another venue, as the office's books have it."""
    hub = venue.office.worker._receiver._office
    of = type(hub).hub

    def moved(self, hub_id):
        record = of(self, hub_id)
        return record if hub_id != OTHER_HUB else msgspec.structs.replace(record, venue_id=bytes(16))

    return type(hub), moved


def test_the_office_takes_what_is_carried_from_the_same_venue_only(venue, monkeypatch):
    venue.both_offline()
    venue.a.post.sell(2)
    venue.a.post.alone()
    data, had = venue.a.post.batches()[-1], len(venue.booked(HUB))
    monkeypatch.setattr(elsewhere(venue)[0], "hub", elsewhere(venue)[1])
    assert brought(venue, venue.b, data).refusals == (Refusal(hub_topic(OTHER_HUB, "up", "carried"), "venue"),)
    assert len(venue.booked(HUB)) == had
    assert brought(venue, venue.a, data).refusals[0].reason == "venue"  # nor one's own, which has its own way


def test_a_build_that_takes_them_of_another_venue_is_caught(venue, monkeypatch):
    def anybody(office, _carrier, data):
        header = parse_envelope(data).header
        return office.hub(header.hub_id), header

    monkeypatch.setattr(receive_carried, "owner_of", anybody)
    with pytest.raises(AssertionError):
        test_the_office_takes_what_is_carried_from_the_same_venue_only(venue, monkeypatch)


def test_a_fork_is_a_fork_whoever_brings_it(venue):
    venue.both_offline()
    sell_alone(venue, 1)
    venue.a.post.passes = venue.b.post.passes = lambda _leaf: True
    pen = venue.office.hub  # the same keys, another journal: a disk that was put back and sold on
    pen.batch_seq, pen.batch_hash, pen._sealed = len(venue.booked(HUB)), bytes(32), 0
    other = pen.seal()
    venue.b.heard.append(BatchOf(HUB, other))
    venue.kill(venue.a)
    venue.pass_s(61)
    venue.b.go_on()
    venue.pass_s(3)
    assert venue.office.frozen() == "fork"
    assert venue.office.frozen(OTHER_HUB) == ""


def test_another_worker_s_hub_gets_it_as_its_own(venue):
    venue.both_offline()
    sealed = sell_alone(venue, 1)
    booked = venue.booked(HUB)
    receiver = venue.office.worker._receiver
    receiver._holds = lambda hub_id: hub_id != HUB
    letters = brought(venue, venue.b, sealed[-1]).letters
    assert letters == (Publish(hub_topic(HUB, "up", "batch"), sealed[-1]),)
    assert venue.booked(HUB) == booked
    venue.office.worker.on_message(letters[0].topic, letters[0].payload)
    assert venue.booked(HUB) == sealed
    (word,) = brought(venue, venue.b, sealed[-1]).letters
    assert word.topic == hub_topic(OTHER_HUB, "down", "command")


def brought_beside_a_replay(venue):
    """Have A die while somebody plays one of its batches again and again; return how many the office has."""
    venue.both_offline()
    sealed = sell_alone(venue)
    venue.kill(venue.a)
    venue.b.go_on()
    for _second in range(65):
        venue.b.heard.append(BatchOf(HUB, sealed[0]))
        venue.pass_s(1)
    return len(venue.booked(HUB)), len(sealed)


def test_a_dead_hubs_batch_that_is_played_again_keeps_its_carrier_from_nothing(venue):
    booked, sealed = brought_beside_a_replay(venue)
    assert booked == sealed == 3


def test_a_build_to_which_a_batch_says_that_its_owner_is_there_is_caught(venue, monkeypatch):
    take = Carrying.on_batch

    def on_batch(self, hub_id, data, *, wall_ms):
        self._heard_ms[hub_id] = venue.ms
        return take(self, hub_id, data, wall_ms=wall_ms)

    monkeypatch.setattr(Carrying, "on_batch", on_batch)
    with pytest.raises(AssertionError):
        test_a_dead_hubs_batch_that_is_played_again_keeps_its_carrier_from_nothing(venue)


def letters_behind_a_hole(venue, seconds):
    """The LAN loses A's first batch and A's box dies: count the letters with which B brings the other two."""
    first, brought = [], 0

    def loses_the_first(_sender, said):
        if isinstance(said, HandOver):
            first.append(parse_envelope(said.sealed).header.batch_seq)
        return not (isinstance(said, HandOver) and first[-1] == min(first))

    venue.lan = loses_the_first
    dies_and_is_brought(venue)
    on_tick = venue.b.round._carrying.on_tick

    def counted(now_ms):
        nonlocal brought
        letters = on_tick(now_ms)
        brought += len(letters)
        return letters

    venue.b.round._carrying.on_tick = counted
    venue.pass_s(seconds)
    assert len(venue.b.carried()) == 2
    return brought


def test_behind_a_hole_batches_are_brought_ever_more_seldom(venue):
    assert letters_behind_a_hole(venue, 100) <= 2 * 3


def test_a_build_that_brings_what_was_not_booked_at_once_is_caught(venue, monkeypatch):
    on_taken = Carrying.on_taken

    def forgets(carrying, taken):
        on_taken(carrying, taken)
        carrying._under_way.get(taken.hub_id, {}).pop(taken.digest, None)

    monkeypatch.setattr(Carrying, "on_taken", forgets)
    assert letters_behind_a_hole(venue, 100) > 2 * 3
