"""What the LAN brings of sealed batches: to whoever keeps them, never to the till; and how they leave again."""

import pytest

from cloud_sync.letters import post_message
from cloud_sync.mqtt_link import Inbound
from cloud_sync.protocol.envelope import MAX_BATCH_BYTES
from cloud_sync.protocol.messages import Message
from cloud_sync.protocol.peers import PeerHere, PeerKept
from cloud_sync.sealing import HpkeSealer, receive_public
from edge_agent.lan.carrying import TellKept
from edge_agent.lan.handing import HandOver, SayHere
from edge_agent.links import peer_link
from edge_agent.links.peer_link import BATCHES_BEHIND, PeerLink
from payment_core.bus import peer_topic
from payment_core.identifiers import uuid_text
from tests.edge_agent.links.test_peer_link import identity_of, settings_of, trust_of

US, OTHER, STRANGER = 1, 2, 3


class Ear:
    """A link that is not connected, and what came out of it."""

    def __init__(self):
        self.offered, self.batches, self.said = [], [], []
        self.link = PeerLink(settings_of(1, US), identity_of(US), trust=trust_of(US, OTHER), offer=self.offered.append)
        self.link.on_batch = lambda hub_id, data: self.batches.append((hub_id, data))
        self.link.on_carrier = lambda hub_id, body: self.said.append((hub_id, body))

    def hear(self, sender, leaf, payload, *, retained=False):
        name = uuid_text(identity_of(sender).hub_id)
        topic = peer_topic(uuid_text(identity_of(US).hub_id), name, leaf)
        self.link._hear(Inbound(topic, payload, retained))


@pytest.fixture
def ear():
    return Ear()


def letter(sender, body, number=1):
    us, them = identity_of(US), identity_of(sender)
    message = Message(sender=them.hub_id, to=us.hub_id, number=number, body=body)
    return post_message(message, signer=them.signer, sealer=HpkeSealer(receive_public(us.receive_private)))


def test_a_neighbours_batch_goes_to_who_keeps_it_and_nobody_elses_does(ear):
    ear.hear(OTHER, "batch", b"sealed")
    ear.hear(STRANGER, "batch", b"sealed")
    ear.hear(OTHER, "batch", bytes(MAX_BATCH_BYTES + 1))
    ear.hear(OTHER, "batch", b"sealed", retained=True)
    assert (ear.batches, ear.offered) == ([(identity_of(OTHER).hub_id, b"sealed")], [])


@pytest.mark.parametrize("body", [PeerHere(1, 7, room=True), PeerKept(1, 8)])
def test_what_a_neighbour_says_about_batches_is_nothing_for_the_till(ear, body):
    ear.hear(OTHER, "ask", letter(OTHER, body))
    ear.hear(STRANGER, "ask", letter(STRANGER, body))
    ear.hear(OTHER, "ask", letter(STRANGER, body))
    assert (ear.said, ear.offered) == ([(identity_of(OTHER).hub_id, body)], [])


def heard_of_numbers(ear, *numbers):
    """Return which of a neighbour's words with these numbers were heard, in the order they came."""
    for number in numbers:
        ear.hear(OTHER, "ask", letter(OTHER, PeerHere(1, number, room=True), number))
    return [body.acked_seq for _hub, body in ear.said]


def test_what_is_played_again_makes_nobody_there(ear):
    assert heard_of_numbers(ear, 0, 5, 5, 4, 6, 5) == [5, 6]


def test_a_build_that_takes_any_number_is_caught(ear, monkeypatch):
    class Forgetful(dict):
        def get(self, *_of):
            return -1

    monkeypatch.setattr(ear.link, "_said_by", Forgetful())
    with pytest.raises(AssertionError):
        test_what_is_played_again_makes_nobody_there(ear)


def test_what_a_hub_says_about_batches_is_numbered(ear):
    them, here = identity_of(OTHER).hub_id, PeerHere(1, 7, room=True)
    ear.link._set_up(up=True)
    for effect in (SayHere(them, here), TellKept(them, PeerKept(1, 8)), SayHere(them, here)):
        ear.link.say(effect)
    numbers = [ear.link._outbound.get_nowait().number for _effect in range(3)]
    assert 0 < numbers[0] < numbers[1] < numbers[2]


def test_a_batch_leaves_as_it_was_sealed_and_not_behind_many_letters(ear):
    them = identity_of(OTHER).hub_id
    ear.link._set_up(up=True)
    ear.link.say(HandOver(them, b"as signed"))
    topic, payload = ear.link._seal(ear.link._outbound.get_nowait())
    assert (topic.rsplit("/", 1)[1], payload) == ("batch", b"as signed")
    for number in range(BATCHES_BEHIND + 5):
        ear.link.say(TellKept(them, PeerKept(1, number)))
    ear.link.say(HandOver(them, b"too late"))
    waiting = [ear.link._outbound.get_nowait() for _ in range(ear.link._outbound.qsize())]
    assert len(waiting) == BATCHES_BEHIND + 5
    assert not any(isinstance(one, HandOver) for one in waiting)


def test_a_build_that_does_not_know_them_is_caught(ear, monkeypatch):
    monkeypatch.setattr(peer_link, "CarryBody", tuple)
    with pytest.raises(AssertionError):
        test_what_a_neighbour_says_about_batches_is_nothing_for_the_till(ear, PeerKept(1, 8))
