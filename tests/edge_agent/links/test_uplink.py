"""What the office writes reaches the till as it was signed."""

import asyncio
import hashlib

import pytest

from cloud_sync.identity import OfficeKeys
from cloud_sync.letters import Publish, post_message
from cloud_sync.mqtt_link import BrokerUnavailableError, Inbound, MqttLink, MqttSettings
from cloud_sync.protocol import retry
from cloud_sync.protocol.messages import (
    CloseOrder,
    CredentialList,
    Document,
    DocumentVersion,
    Elsewhere,
    Grant,
    Lease,
    Message,
    Recall,
    Trust,
)
from cloud_sync.protocol.peers import PeerKey
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.sealing import HpkeSealer
from cloud_sync.signing import Ed25519Signer
from cloud_sync.upload_effects import MoveCursor
from cloud_sync.upload_window import WINDOW_BATCHES
from edge_agent.ledger import outbox
from edge_agent.ledger.reader import LedgerReader
from edge_agent.links import redial as redial_room
from edge_agent.links import uplink as uplink_room
from edge_agent.links.uplink import GREET_AGAIN_MS, Uplink
from edge_agent.links.upload_start import kept_trust
from edge_agent.messages import (
    AskLease,
    CloseOrdered,
    DocumentArrived,
    FoundElsewhere,
    ListArrived,
    Recalled,
    ReceiptTaken,
)
from provisioning.identity import enroll_hub, pinned
from tests.support.hall import HUB_ID, START_MS, VENUE_ID, Hall, logged, prices_document

TENANT = bytes.fromhex("0198a000000070008000000000000009")
KEYS = OfficeKeys(
    tenant_id=TENANT,
    trust_seed=bytes([1]) * 32,
    sign_seed=bytes([2]) * 32,
    receive_privates=(bytes([3]) * 32,),
    pepper=bytes([4]) * 32,
)


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.sqlite3")
    yield made
    made.store.close()


def start(hall, offered, offer=lambda offered, fact: not offered.append(fact)):
    """Return an uplink that hands what it takes to a list, as a process that has just started."""
    identity = enroll_hub(KEYS, hub_id=HUB_ID, venue_id=VENUE_ID, epoch=1, broker_host="127.0.0.1", broker_port=1883)
    settings = MqttSettings(host="127.0.0.1", port=1883, client_id="hub")
    reader = LedgerReader(hall.path)
    uplink = Uplink(
        settings, identity, reader, offer=lambda fact: offer(offered, fact), offer_together=offered.extend,
        clock=hall.moment,
    )  # fmt: skip
    return uplink, reader, pinned(identity)


def letter(content, version, at_ms, hub, *, name="prices"):
    body = Document(name, version, hashlib.sha256(content).digest(), content, at_ms)
    message = Message(sender=TENANT, to=HUB_ID, number=version, body=body)
    payload = post_message(message, signer=KEYS.signer, sealer=HpkeSealer(hub.receive_public))
    return Inbound(hub_topic(HUB_ID, "down", f"document/{name}"), payload, retained=True)


def test_a_documents_moment_reaches_the_till_and_it_is_taken_once_also_by_the_next_process(hall):
    content, at_ms = prices_document([{"price": [[300, "CNY"]]}], 2), START_MS + 3_600_000
    offered = []
    uplink, reader, hub = start(hall, offered)
    for _ in range(2):
        uplink._hear(letter(content, 2, at_ms, hub))
    assert offered == [DocumentArrived("prices", 2, content, at_ms)]
    assert logged(hall.step(*offered)) == ["document.waits"]
    reader.close()

    again = []
    uplink, reader, hub = start(hall, again)
    uplink._hear(letter(content, 2, at_ms, hub))
    assert again == []
    reader.close()


def test_the_office_hears_that_new_caps_are_on_the_disk(hall, monkeypatch):
    told, offered = [], []
    uplink, reader, hub = start(hall, offered)
    monkeypatch.setattr(uplink._uploader, "on_hello_request", lambda _now, *, versions: told.append(versions) or [])
    uplink._hear(letter(b'{"version":3,"lease_cap":500}', 3, 0, hub, name="risk"))
    hall.step(*offered)
    uplink._tell_of_caps()
    assert told == []
    hall.pass_ms(GREET_AGAIN_MS)
    for _ in range(2):
        uplink._tell_of_caps()
    assert [DocumentVersion("risk", 3) in versions for versions in told] == [True]
    reader.close()


def trust_letter(version, sign_public, hub, *, peers=()):
    body = Trust(version, (sign_public,), KEYS.receive_public, 1, peers)
    message = Message(sender=TENANT, to=HUB_ID, number=version, body=body)
    payload = post_message(message, signer=KEYS.trust_signer)
    return Inbound(hub_topic(HUB_ID, "down", "document/trust"), payload, retained=True)


def test_keys_and_neighbours_of_a_trust_document_count_in_the_next_process_too(hall):
    rotated = Ed25519Signer(bytes([9]) * 32)
    peer = PeerKey(bytes(16), "hall 2", rotated.public, KEYS.receive_public)
    offered, told = [], []
    uplink, reader, hub = start(hall, offered)
    uplink._on_trust = told.append
    uplink._hear(trust_letter(2, rotated.public, hub, peers=(peer,)))
    assert [trust.peers for trust in told] == [(peer,)]
    hall.step(*offered)
    reader.close()
    offered.clear()
    uplink, reader, hub = start(hall, offered)
    assert kept_trust(reader) == told[0]
    content = prices_document([{"price": [[300, "CNY"]]}], 2)
    body = Document("prices", 2, hashlib.sha256(content).digest(), content, 0)
    message = Message(sender=TENANT, to=HUB_ID, number=2, body=body)
    for signer in (KEYS.signer, rotated):
        payload = post_message(message, signer=signer)
        uplink._hear(Inbound(hub_topic(HUB_ID, "down", "document/prices"), payload, retained=True))
    assert offered == [DocumentArrived("prices", 2, content)]
    reader.close()


def test_orders_of_the_office_reach_the_till(hall):
    offered = []
    uplink, reader, hub = start(hall, offered)
    for body in (Recall(bytes(16)), CloseOrder(1, "spare", "ada"), Elsewhere(bytes(16), coming=False)):
        message = Message(sender=TENANT, to=HUB_ID, number=0, body=body)
        payload = post_message(message, signer=KEYS.signer, sealer=HpkeSealer(hub.receive_public))
        uplink._hear(Inbound(hub_topic(HUB_ID, "down", "command"), payload, retained=False))
    assert offered == [Recalled(bytes(16)), CloseOrdered(1, "spare", "ada"), FoundElsewhere(bytes(16), coming=False)]
    reader.close()


@pytest.mark.parametrize(
    ("leaf", "body"),
    [("lease", Lease((Grant(bytes(16), "CNY", 1, 0),))), ("command", Elsewhere(bytes(16), coming=True))],
)
def test_an_account_is_asked_for_once_until_the_office_has_answered(hall, leaf, body):
    uplink, reader, hub = start(hall, [])
    uplink._link = MqttLink(uplink._settings)
    uplink.on_effect(AskLease(bytes(16)))
    uplink.on_effect(AskLease(bytes(16)))
    assert uplink._outbound.qsize() == 1
    answer = Message(sender=TENANT, to=HUB_ID, number=0, body=body)
    payload = post_message(answer, signer=KEYS.signer, sealer=HpkeSealer(hub.receive_public))
    uplink._hear(Inbound(hub_topic(HUB_ID, "down", leaf), payload, retained=False))
    uplink.on_effect(AskLease(bytes(16)))
    assert uplink._outbound.qsize() == 2, "a tap that waits is not answered with what was true before"
    reader.close()


@pytest.mark.parametrize("full", [True, False])
def test_a_list_that_found_no_room_is_not_in_effect_and_is_asked_for_again(hall, full):
    """A dropped list may hold a block."""
    room, offered = [False, False, True], []
    uplink, reader, hub = start(hall, offered, lambda offered, fact: room.pop(0) and not offered.append(fact))
    uplink._link = MqttLink(uplink._settings)
    uplink._uploader.on_connected(uplink._now())

    def hear(number):
        update = CredentialList(1, full, 0, ())
        message = Message(sender=TENANT, to=HUB_ID, number=number, body=update)
        payload = post_message(message, signer=KEYS.signer, sealer=HpkeSealer(hub.receive_public))
        uplink._hear(Inbound(hub_topic(HUB_ID, "down", "list"), payload, retained=False))

    for number, asked in ((1, 1), (2, 0), (3, 0), (4, 0)):  # one question is open at a time, and ends when a list fits
        hear(number)
        assert uplink._outbound.qsize() == asked
        while not uplink._outbound.empty():
            uplink._outbound.get_nowait()
    assert [type(fact) for fact in offered] == [ListArrived]
    reader.close()


def test_letters_for_a_slow_broker_are_bounded_and_none_waits_for_a_link_that_is_gone(hall, monkeypatch):
    monkeypatch.setattr(uplink_room, "OUTBOUND_LIMIT", 4)
    uplink, reader, _hub = start(hall, [])
    for number in range(9):
        uplink._publish(Publish(f"t/{number}", b""))
    assert uplink._outbound.empty()
    uplink._link = MqttLink(uplink._settings)
    for number in range(9):
        uplink._publish(Publish(f"t/{number}", b""))
    assert [uplink._outbound.get_nowait().topic for _ in range(4)] == [f"t/{number}" for number in range(4)]
    assert uplink._outbound.empty()
    reader.close()


def waits_of(hall, monkeypatch, *, connects):
    """How long an uplink waits between connects that all fail at once, in seconds."""
    waits = []

    class EndedError(Exception):
        pass

    async def note(wait_s):
        waits.append(wait_s)
        if len(waits) == connects:
            raise EndedError

    def refuse(_settings):
        raise BrokerUnavailableError("127.0.0.1:1", "nobody there")

    monkeypatch.setattr(uplink_room, "pause", note)
    uplink, reader, _hub = start(hall, [])
    uplink.dial = refuse
    with pytest.raises(EndedError):
        asyncio.run(uplink.run())
    reader.close()
    return waits


def test_an_office_that_is_away_is_met_twice_a_second_at_most_and_ever_more_rarely(hall, monkeypatch):
    waits = waits_of(hall, monkeypatch, connects=40)
    assert min(waits) >= 0.5
    assert max(waits) <= 60
    assert sum(waits[-10:]) > 60


def test_a_build_without_the_floor_is_caught(hall, monkeypatch):
    monkeypatch.setattr(retry, "FLOOR_MS", 0)
    monkeypatch.setattr(redial_room.random, "random", lambda: 0.1)
    assert min(waits_of(hall, monkeypatch, connects=3)) < 0.5


def test_of_a_ledger_with_many_sealed_batches_the_window_is_loaded(hall):
    for number in range(1, 31):
        batch = outbox.SealedBatch(number, number, 1, bytes([number]) * 32, bytes(200))
        hall.store.execute("BEGIN IMMEDIATE")
        outbox.store_batch(hall.store, batch)
        hall.store.commit()
    uplink, reader, _hub = start(hall, [])
    state = uplink._uploader.state
    assert [batch.batch_seq for batch in state.waiting] == list(range(1, WINDOW_BATCHES + 1))
    assert (state.last_seq, state.last_record, state.last_hash) == (30, 30, bytes([30]) * 32)
    reader.close()


def test_the_till_hears_what_a_receipt_says_of_the_time(hall):
    offered = []
    uplink, reader, _hub = start(hall, offered)
    uplink._do([MoveCursor(1, 2, 5, START_MS)])
    assert offered == [ReceiptTaken(2, 5, (), START_MS)]
    reader.close()
