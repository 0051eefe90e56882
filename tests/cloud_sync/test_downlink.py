"""What a hub takes from the office, and what it throws away."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.downlink import Accepted, Downlink, ListMismatch, MessageRejected
from cloud_sync.letters import post_message
from cloud_sync.protocol.messages import (
    CloseOrder,
    CredentialList,
    Document,
    Elsewhere,
    Grant,
    Hello,
    Lease,
    Message,
    Recall,
    Trust,
)
from cloud_sync.protocol.peers import PeerKey
from cloud_sync.sealing import HpkeSealer, receive_public
from cloud_sync.signing import Ed25519Signer
from tests.cloud_sync.world import HUB, OFFICE, OTHER_HUB, TENANT, hub_identity

IDENTITY = hub_identity()
TO_HUB = HpkeSealer(receive_public(IDENTITY.receive_private))
NEW_KEY = Ed25519Signer(bytes([77]) * 32)
CONTENT = b"{}"
LEASE = Lease((Grant(bytes(16), "CNY", 1, 500),))
PRICES = Document("prices", 7, hashlib.sha256(CONTENT).digest(), CONTENT, 0)


def ear(**versions):
    return Downlink(
        hub_id=HUB, tenant_id=TENANT, opener=IDENTITY.opener, trust=IDENTITY.trust, versions=versions
    )


def letter(body, *, signer=OFFICE.signer, sender=TENANT, to=HUB, sealer=TO_HUB):
    return post_message(Message(sender=sender, to=to, number=3, body=body), signer=signer, sealer=sealer)


def test_a_lease_arrives():
    assert ear().on_message("t", letter(LEASE)) == [Accepted(3, LEASE)]


def test_a_document_for_the_whole_tenant_arrives():
    assert ear().on_message("t", letter(PRICES, to=TENANT)) == [Accepted(3, PRICES)]


@pytest.mark.parametrize(
    ("have", "events"), [(6, [Accepted(3, PRICES)]), (7, []), (8, [MessageRejected("t", "stale")])]
)
def test_versions_rise(have, events):
    assert ear(prices=have).on_message("t", letter(PRICES)) == events


def test_a_version_in_effect_is_not_handed_over_again():
    downlink = ear()
    assert downlink.on_message("t", letter(PRICES)) == [Accepted(3, PRICES)]
    downlink.in_effect("prices", 7)
    assert downlink.on_message("t", letter(PRICES)) == []


def test_content_that_is_not_its_hash_is_refused():
    wrong = msgspec.structs.replace(PRICES, content=b"[]")
    assert ear().on_message("t", letter(wrong)) == [MessageRejected("t", "content")]


def test_a_differential_list_that_does_not_fit_asks_for_the_full_one():
    update = CredentialList(5, full=False, base_version=4, rows=())
    assert ear(list=3).on_message("t", letter(update)) == [ListMismatch(3, 4)]
    assert ear(list=4).on_message("t", letter(update)) == [Accepted(3, update)]
    assert ear(list=6).on_message("t", letter(update)) == [MessageRejected("t", "stale")]


def test_what_never_reached_the_till_is_handed_over_again():
    update = CredentialList(5, full=False, base_version=4, rows=())
    downlink = ear(list=4)
    downlink.in_effect("list", 5)
    assert downlink.on_message("t", letter(update)) == []
    downlink.only_has("list", 4)
    assert downlink.on_message("t", letter(update)) == [Accepted(3, update)]


@pytest.mark.parametrize(
    ("forgery", "reason"),
    [
        ({"signer": NEW_KEY}, "signature"),
        ({"signer": OFFICE.trust_signer}, "signature"),
        ({"signer": IDENTITY.signer}, "signature"),
        ({"sender": OTHER_HUB}, "signature"),
        ({"to": OTHER_HUB}, "address"),
        ({"sealer": HpkeSealer(receive_public(bytes([99]) * 32))}, "recipient"),
    ],
)
def test_forged_letters_are_refused(forgery, reason):
    assert ear().on_message("t", letter(LEASE, **forgery)) == [MessageRejected("t", reason)]


def test_a_hubs_kind_from_the_office_is_refused():
    hello = Hello(1, 0, bytes(32), 0, bytes(16), bytes(16))
    assert ear().on_message("t", letter(hello)) == [MessageRejected("t", "kind")]


def test_trust_rotates_the_signing_key_and_only_the_trust_key_can():
    downlink = ear()
    rotated = Trust(2, (NEW_KEY.public,), OFFICE.receive_public)
    assert downlink.on_message("t", letter(rotated)) == [MessageRejected("t", "signature")]
    assert downlink.on_message("t", letter(rotated, signer=OFFICE.trust_signer)) == [Accepted(3, rotated)]
    assert downlink.on_message("t", letter(LEASE)) == [MessageRejected("t", "signature")]
    assert downlink.on_message("t", letter(LEASE, signer=NEW_KEY)) == [Accepted(3, LEASE)]
    back = Trust(1, (OFFICE.sign_public,), OFFICE.receive_public)
    assert downlink.on_message("t", letter(back, signer=OFFICE.trust_signer)) == [MessageRejected("t", "stale")]


@pytest.mark.parametrize("keys", [(), (bytes(32),), (bytes([1]) + bytes(31),)])
def test_trust_never_pins_a_weak_key(keys):
    trust = Trust(2, keys, OFFICE.receive_public)
    refused = ear().on_message("t", letter(trust, signer=OFFICE.trust_signer))
    assert refused == [MessageRejected("t", "content")]


@pytest.mark.parametrize(("key", "suite"), [(b"", 1), (bytes(31), 1), (bytes(32), 3), (bytes(32), 9)])
def test_trust_never_names_a_receive_key_that_cannot_be_sealed_to(key, suite):
    trust = Trust(2, (NEW_KEY.public,), key, suite)
    refused = ear().on_message("t", letter(trust, signer=OFFICE.trust_signer))
    assert refused == [MessageRejected("t", "content")]


def peer(**more):
    fields = {"name": "hall 2", "sign_public": NEW_KEY.public, "receive_public": OFFICE.receive_public} | more
    return PeerKey(OTHER_HUB, fields["name"], fields["sign_public"], fields["receive_public"])


def test_trust_names_the_neighbours_and_no_weak_key_of_them():
    downlink = ear()
    good = Trust(2, (OFFICE.sign_public,), OFFICE.receive_public, 1, (peer(),))
    weak = Trust(3, (OFFICE.sign_public,), OFFICE.receive_public, 1, (peer(sign_public=bytes(32)),))
    short = Trust(3, (OFFICE.sign_public,), OFFICE.receive_public, 1, (peer(receive_public=b"k"),))
    assert downlink.on_message("t", letter(good, signer=OFFICE.trust_signer)) == [Accepted(3, good)]
    for bad in (weak, short):
        assert downlink.on_message("t", letter(bad, signer=OFFICE.trust_signer)) == [MessageRejected("t", "content")]


def test_a_document_cannot_pass_for_trust_or_for_the_list():
    content = b"{}"
    for name in ("trust", "list"):
        document = Document(name, 9, hashlib.sha256(content).digest(), content, 0)
        assert ear().on_message("t", letter(document)) == [MessageRejected("t", "content")]


@pytest.mark.parametrize("order", [Recall(bytes(16)), CloseOrder(1, "spare", "ada"), Elsewhere(bytes(16), coming=True)])
def test_orders_of_the_office_are_handed_over(order):
    assert ear().on_message("t", letter(order)) == [Accepted(3, order)]


def test_every_flipped_bit_of_a_sealed_lease_is_refused():
    wire = letter(LEASE)
    downlink = ear()
    for bit in range(8 * len(wire)):
        changed = bytearray(wire)
        changed[bit // 8] ^= 1 << bit % 8
        (event,) = downlink.on_message("t", bytes(changed))
        assert isinstance(event, MessageRejected), f"bit {bit}"


@given(st.binary(max_size=300))
def test_no_bytes_raise(data):
    (event,) = ear().on_message("t", data)
    assert isinstance(event, MessageRejected)


def test_a_kind_that_must_be_sealed_is_never_posted_open():
    with pytest.raises(ValueError, match="a lease is sealed to its receiver"):
        letter(LEASE, sealer=None)
