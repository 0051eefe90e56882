"""ESM1: vectors, round trip, canonical form, and no bytes that raise."""

import json
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.letters import read_message
from cloud_sync.protocol import messages
from cloud_sync.protocol.canonical import is_canonical
from cloud_sync.protocol.messages import (
    KINDS,
    DocumentVersion,
    Grant,
    Hello,
    Lease,
    LeaseRequest,
    Message,
    Plain,
    Receipt,
    Rejected,
    Sealed,
    decode_message,
    decode_wire,
    encode_message,
    encode_wire,
    signed_bytes,
)
from cloud_sync.sealing import HpkeOpener
from cloud_sync.signing import public_of

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "esm1"
VECTORS = json.loads((FOLDER / "messages.json").read_text())
MONEY = json.loads((FOLDER / "money.json").read_text())
TAKES = json.loads((FOLDER / "takes.json").read_text())
CARRIED = json.loads((FOLDER / "carried.json").read_text())
GROWN = json.loads((FOLDER / "heard.json").read_text())
OLDER = [*VECTORS["messages"], *MONEY["messages"]]
ALL = [*OLDER, *GROWN["messages"], *TAKES["messages"], *CARRIED["messages"]]
HUB = bytes.fromhex(VECTORS["hub_id"])
TENANT = bytes.fromhex(VECTORS["tenant_id"])
A_LEASE = Message(sender=TENANT, to=HUB, number=11, body=Lease((Grant(bytes(16), "CNY", 1, 1000),)))


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: vector["body"])
def test_every_vector_opens_and_encodes_to_the_same_bytes(vector):
    key, private = ("hub_sign_seed", "office_private") if vector["from_hub"] else ("office_sign_seed", "hub_private")
    public = public_of(bytes.fromhex(VECTORS[key]))
    message = read_message(
        bytes.fromhex(vector["wire"]),
        signers_for=lambda _: [public],
        to=frozenset({TENANT if vector["from_hub"] else HUB}),
        opener=HpkeOpener([bytes.fromhex(VECTORS[private])]),
    )
    assert isinstance(message, Message)
    assert (type(message.body).__name__, message.kind, message.number) == (
        vector["body"],
        vector["kind"],
        vector["number"],
    )
    again = encode_message(message)
    assert is_canonical(bytes.fromhex(vector["message"]), again)
    assert again.hex() == vector["message"] or vector in OLDER


def test_the_older_form_of_a_message_that_grew_is_read_and_a_changed_one_is_not():
    for vector in OLDER:
        old = bytes.fromhex(vector["message"])
        message = decode_message(old)
        assert isinstance(message, Message)
        if encode_message(message) != old:
            assert vector["body"] in {"Lease", "Trust", "CredentialList", "Receipt", "PeerTaken"}
            assert decode_message(old + b"\xc0") == Rejected("framing")
    one_less = msgpack.unpackb(encode_message(A_LEASE))
    assert isinstance(decode_message(msgpack.packb(one_less)), Message)
    longer_number = encode_message(A_LEASE).replace(b"\xcd\x03\xe8", b"\xce\x00\x00\x03\xe8")
    assert decode_message(longer_number) == Rejected("canonical")


def test_the_newer_form_of_a_message_is_read_without_what_this_release_does_not_know():
    for vector in ALL:
        outer = msgpack.unpackb(bytes.fromhex(vector["message"]))
        if encode_message(decode_message(bytes.fromhex(vector["message"]))).hex() != vector["message"]:
            continue  # an older form: what stands behind it has a type already
        newer = msgpack.packb([*outer[:5], [*outer[5], "of a later release", 7]])
        message = decode_message(newer)
        assert isinstance(message, Message)
        assert msgpack.unpackb(encode_message(message))[5][: len(outer[5])] == outer[5]
    grants = [[bytes(16), "CNY", 1, 1000, None, "later"], [bytes(16), "CNY", 1, 5, None, "later"]]
    longer = ["lease", 1, TENANT, HUB, 11, [grants]]
    assert isinstance(decode_message(msgpack.packb(longer)), Message)
    wide = msgpack.packb(longer).replace(b"\xcd\x03\xe8", b"\xce\x00\x00\x03\xe8")
    assert decode_message(wide) == Rejected("canonical")


def test_there_is_a_vector_for_every_body():
    bodies = {vector["body"] for vector in ALL}
    assert bodies == {body.__name__ for body in messages._KINDS}
    assert {vector["kind"] for vector in ALL} == set(KINDS)


def test_a_message_is_the_plain_messagepack_array_the_page_describes():
    unpacked = msgpack.unpackb(encode_message(A_LEASE))
    assert unpacked == ["lease", 1, TENANT, HUB, 11, [[[bytes(16), "CNY", 1, 1000, None]]]]
    ask = Message(sender=HUB, to=TENANT, number=1, body=LeaseRequest(bytes(16), "CNY", 200))
    assert msgpack.unpackb(encode_message(ask))[5] == [1, bytes(16), "CNY", 200]


def test_the_signature_is_over_the_kinds_label_and_the_bytes():
    assert signed_bytes("lease", b"xyz") == b"venuehub/lease/v1\0xyz"


ids = st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
whole = st.integers(0, 2**53 - 1)
hellos = st.builds(
    Hello, whole, whole, hashes, whole, ids, ids, st.lists(st.builds(DocumentVersion, st.text(), whole)).map(tuple)
)
receipts = st.builds(Receipt, whole, whole, hashes, whole, ids, st.text(), st.text())
leases = st.builds(Lease, st.lists(st.builds(Grant, ids, st.text(), whole, whole)).map(tuple))
bodies = hellos | receipts | leases | st.builds(LeaseRequest, ids, st.none() | st.text(), whole)


@given(ids, ids, whole, bodies)
def test_round_trip(sender, to, number, body):
    message = Message(sender=sender, to=to, number=number, body=body)
    assert decode_message(encode_message(message)) == message


@given(st.binary(max_size=300))
def test_no_bytes_raise(data):
    assert isinstance(decode_message(data), Rejected)
    decode_wire(data)


@given(st.integers(0, 400), st.binary(max_size=4))
def test_no_change_of_a_good_message_raises(at, change):
    good = encode_message(A_LEASE)
    changed = good[:at] + change + good[at + len(change) :]
    result = decode_message(changed)
    assert isinstance(result, Message | Rejected)
    assert isinstance(result, Rejected) or encode_message(result) == changed


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (["lease", 1, TENANT, HUB, 11], "framing"),
        (["gift", 1, TENANT, HUB, 11, [[]]], "kind"),
        (["lease", 2, TENANT, HUB, 11, [[]]], "version"),
        (["lease", 1, TENANT[:-1], HUB, 11, [[]]], "address"),
        (["lease", 1, TENANT, HUB, -1, [[]]], "address"),
        (["lease", 1, TENANT, HUB, 2**53, [[]]], "address"),
        (["lease", 1, TENANT, HUB, 11, ["CNY"]], "body"),
        (["lease", 1, TENANT, HUB, 11, [[[bytes(16), "CNY", 1, 2**53]]]], "body"),
        (["lease", 1, TENANT, HUB, 11, [[[bytes(16), "CNY", -1, 5]]]], "body"),
        (["list", 1, TENANT, HUB, 11, [2**63, True, 0, []]], "body"),
        (["document", 1, TENANT, HUB, 11, ["risk", 2**63, bytes(32), b"{}", 0]], "body"),
        (["hello", 1, HUB, TENANT, 11, [1, 0, bytes(32), 0, bytes(16), bytes(16), [["list", 2**63]]]], "body"),
        (["lease", 1, TENANT, HUB, 11, [[[bytes(16), "CNY", 1, 1.5]]]], "body"),
        (["lease", 1, TENANT, HUB, 11, [[]], "more"], "canonical"),
    ],
)
def test_each_wrong_field_has_its_reason(parts, reason):
    assert decode_message(msgpack.packb(parts)) == Rejected(reason)


def test_a_number_in_a_longer_form_than_needed_is_not_canonical():
    good = encode_message(A_LEASE)
    assert decode_message(good.replace(b"\x0b\x91", b"\xcc\x0b\x91", 1)) == Rejected("canonical")


def test_deep_nesting_and_excess_length_are_refused():
    assert decode_message(b"\x96\xa5lease\x01" + b"\x91" * 100_000) == Rejected("framing")
    assert decode_message(bytes(messages.MAX_MESSAGE_BYTES + 1)) == Rejected("length")
    assert decode_wire(bytes(messages.MAX_MESSAGE_BYTES + 1)) == Rejected("length")


def test_the_outer_form_is_told_by_its_first_element():
    assert decode_wire(encode_wire(Plain(b"m", b"s"))) == Plain(b"m", b"s")
    assert decode_wire(encode_wire(Sealed(1, b"k", b"c"))) == Sealed(1, b"k", b"c")
    assert msgpack.unpackb(encode_wire(Plain(b"m", b"s"))) == [0, b"m", b"s"]
    assert msgpack.unpackb(encode_wire(Sealed(1, b"k", b"c"))) == [1, 1, b"k", b"c"]
    assert decode_wire(msgpack.packb([2, b"m", b"s"])) == Rejected("framing")
    assert decode_wire(msgpack.packb([0, b"m", b"s", 1])) == Rejected("canonical")
