"""A hub that greets again under the same nonce understands an office that takes longer than its patience."""

import random

from cloud_sync import uploader as uploader_module
from tests.cloud_sync.world import MemoryHub, MemoryOffice, exchange, hub_identity, hub_record, make_receiver


def pair():
    identity = hub_identity()
    office = MemoryOffice(hub_record(identity))
    return MemoryHub(identity, random.Random(1)), make_receiver(office)


def greeted_late(hub, receiver):
    """Greet, resend the hello, and let only the answer to the first one arrive."""
    hub.connect(0)
    first = hub.outgoing.pop()
    hub.tick(3_000)
    hub.outgoing[:] = [first]
    exchange(hub, receiver, 3_100)
    return hub.uploader._greeted


def test_an_answer_that_comes_behind_a_resent_hello_is_one():
    hub, receiver = pair()
    assert greeted_late(hub, receiver)


def test_mutant_whose_resent_hello_makes_the_first_ones_answer_void_is_found(monkeypatch):
    real = uploader_module.Uploader._hello
    monkeypatch.setattr(uploader_module.Uploader, "_hello", lambda self, now, **_: real(self, now))
    hub, receiver = pair()
    assert not greeted_late(hub, receiver)
