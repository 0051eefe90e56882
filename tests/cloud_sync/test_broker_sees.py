"""What a broker reads of a hub's journal: the headers of its batches, and nothing that an entry says."""

import base64
import random

import pytest

from cloud_sync import receiver as receiver_module
from cloud_sync.protocol.envelope import SEAL_OVERHEAD_BYTES, parse_envelope
from cloud_sync.protocol.messages import TAKES_COMPRESSED
from cloud_sync.sealing import HpkeSealer
from payment_core.journal import BroughtIn, CredentialBlocked, Part, Source, encode_entry
from tests.cloud_sync.world import (
    HUB,
    MemoryHub,
    MemoryOffice,
    entry_header,
    exchange,
    hub_identity,
    hub_record,
    make_receiver,
)

ACCOUNT, CARD, UNIT, STAFF, NOTE = (
    b"account-canary-1",
    b"card-canary-2",
    "canary-unit",
    "canary-ann",
    "canary-he-lost-it",
)
CANARIES = (ACCOUNT, CARD, UNIT.encode(), STAFF.encode(), NOTE.encode())


def entries(seq):
    yield BroughtIn(
        1, entry_header(seq), ACCOUNT, (Part(UNIT, 500, 1),), Source.DRAWER, "drawer", bytes(16), staff=STAFF
    )
    yield CredentialBlocked(1, entry_header(seq + 1), CARD, ACCOUNT, "lost", STAFF, NOTE)


def read_by_a_broker(monkeypatch, takes):
    """Return every byte that passes between a hub and an office, the batches' headers, what was booked, the journal."""
    monkeypatch.setattr(receiver_module, "OFFICE_TAKES", takes)
    office = MemoryOffice(hub_record(hub_identity()))
    hub, receiver, passed = MemoryHub(hub_identity(), random.Random(1)), make_receiver(office), []
    take, hear = receiver.on_message, hub.hear

    def on_message(now_ms, topic, payload):
        passed.append((topic, payload))
        return take(now_ms, topic, payload)

    def hears(now_ms, topic, payload):
        passed.append((topic, payload))
        hear(now_ms, topic, payload)

    monkeypatch.setattr(receiver, "on_message", on_message)
    monkeypatch.setattr(hub, "hear", hears)
    hub.journal += [encode_entry(entry) for entry in entries(2)]
    hub.start()
    hub.connect(0)
    for now_ms in range(3):
        exchange(hub, receiver, now_ms)
        hub.tick(now_ms)
    headers = [parse_envelope(payload).header for topic, payload in passed if topic.endswith("/batch")]
    return b"".join(topic.encode() + payload for topic, payload in passed), headers, office.booked.get(HUB), hub.journal


@pytest.mark.parametrize("takes", [0, TAKES_COMPRESSED])
def test_a_broker_reads_no_word_of_an_entry(monkeypatch, takes):
    seen, headers, booked, journal = read_by_a_broker(monkeypatch, takes)
    forms = [form for word in CANARIES for form in (word, word.hex().encode(), base64.b64encode(word)[:-4])]
    assert [form for form in forms if form in seen] == []
    assert {header.compressed for header in headers} == {bool(takes)}
    assert booked == journal


@pytest.mark.parametrize("takes", [0, TAKES_COMPRESSED])
def test_a_build_that_only_signs_is_caught(monkeypatch, takes):
    monkeypatch.setattr(HpkeSealer, "seal", lambda self, text, _info: bytes(SEAL_OVERHEAD_BYTES[self.suite]) + text)
    with pytest.raises(AssertionError):
        test_a_broker_reads_no_word_of_an_entry(monkeypatch, takes)
