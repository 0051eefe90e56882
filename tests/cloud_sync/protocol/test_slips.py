"""Paid slips: vectors, round trip, any change of the bytes, nothing raises, and when a hub takes one."""

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.protocol import slips
from cloud_sync.protocol.slips import (
    MAX_SLIP_BYTES,
    NoSlip,
    SignedSlip,
    Slip,
    base45,
    encode_slip,
    join_slip,
    judge_slip,
    read_slip,
    signed_bytes,
    slip_bytes,
    slip_text,
    split_slip,
    unbase45,
)
from cloud_sync.signing import Ed25519Signer, verify
from payment_core.journal import Lot, LotKind, TimeQuality
from tests.support.tree import ROOT

VECTORS = json.loads((ROOT / "tests" / "vectors" / "slip" / "slips.json").read_text())
SIGNER = Ed25519Signer(bytes.fromhex(VECTORS["office_sign_seed"]))
TENANT, VENUE, SLIP = (bytes.fromhex(VECTORS[name]) for name in ("tenant_id", "venue_id", "slip_id"))
HUB = bytes.fromhex("019399a0c0de70008000000000000001")
UNTIL_MS = VECTORS["valid_until_ms"]

ids = st.binary(min_size=16, max_size=16)
whole = st.integers(0, 2**53 - 1)
any_slip = st.builds(
    Slip,
    tenant_id=ids,
    venue_id=ids,
    hub_id=ids | st.none(),
    slip_id=ids,
    account_id=ids | st.none(),
    unit=st.text("abcCNY:", min_size=1, max_size=12),
    amount=st.integers(1, 2**53 - 1),
    lane=st.just("") | st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True),
    valid_until_ms=whole,
    lot_id=ids,
    lot_kind=st.sampled_from(LotKind),
    lot_opened_ms=whole,
    lot_expires_ms=whole | st.none(),
    lot_terms=whole,
)


def signed(slip: Slip) -> bytes:
    message = encode_slip(slip)
    return join_slip(message, SIGNER.sign(signed_bytes(message)))


def good(number: int = 0) -> Slip:
    found = read_slip(VECTORS["slips"][number]["text"])
    assert isinstance(found, SignedSlip)
    return found.slip


@pytest.mark.parametrize("vector", VECTORS["slips"], ids=lambda vector: vector["unit"])
def test_every_vector_is_read_and_made_to_the_same_bytes(vector):
    found = read_slip(vector["text"])
    assert isinstance(found, SignedSlip)
    assert verify(SIGNER.public, found.signature, signed_bytes(found.message))
    slip = found.slip
    assert (slip.hub_id and slip.hub_id.hex()) == vector["hub"]
    assert (slip.account.hex(), slip.unit, slip.amount, slip.lane, slip.valid_until_ms) == (
        vector["account"], vector["unit"], vector["amount"], vector["lane"], UNTIL_MS,
    )  # fmt: skip
    lot = Lot(
        bytes.fromhex(VECTORS["lot_id"]), LotKind(vector["lot_kind"]), VECTORS["lot_opened_ms"],
        vector["lot_expires_ms"], terms=vector["lot_terms"],
    )  # fmt: skip
    assert slip.lot == lot
    assert signed(slip).hex() == vector["slip"]
    assert slip_text(signed(slip)) == vector["text"]


def test_a_slip_for_a_currency_is_small_enough_for_a_small_code():
    assert [len(vector["slip"]) // 2 for vector in VECTORS["slips"]] == [186, 192, 288]
    assert [len(vector["text"]) for vector in VECTORS["slips"][:2]] == [283, 292]


def test_it_is_the_plain_messagepack_array_the_page_describes():
    assert msgpack.unpackb(encode_slip(good())) == [
        1, TENANT, VENUE, None, SLIP, good().account_id, "CNY", 5_000, "", UNTIL_MS, good().lot_id, 0,
        1_795_300_000_000, None, 3,
    ]  # fmt: skip
    page = (ROOT / "docs" / "wire" / "slip.md").read_text(encoding="utf-8")
    fields = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert [field for field in fields if field in Slip.__struct_fields__] == list(Slip.__struct_fields__)


@given(any_slip)
def test_round_trip(slip):
    data = signed(slip)
    if len(data) > MAX_SLIP_BYTES:
        assert split_slip(data) == NoSlip("slip_length")
        return
    found = read_slip(slip_text(data))
    assert isinstance(found, SignedSlip)
    assert (found.slip, join_slip(found.message, found.signature)) == (slip, data)


@given(st.binary(max_size=400))
def test_no_bytes_raise(data):
    assert isinstance(split_slip(data), SignedSlip | NoSlip)


@given(st.text(max_size=500) | st.text(slips._ALPHABET, max_size=500).map(lambda text: "VH1:" + text))
def test_no_text_raises(text):
    assert isinstance(read_slip(text), SignedSlip | NoSlip)


@given(st.integers(0, 300), st.binary(min_size=1, max_size=4))
def test_a_changed_slip_is_proven_by_nobody(at, change):
    data = bytes.fromhex(VECTORS["slips"][0]["slip"])
    changed = data[:at] + change + data[at + len(change) :]
    found = split_slip(changed)
    if isinstance(found, SignedSlip) and changed != data:
        assert not verify(SIGNER.public, found.signature, signed_bytes(found.message))


@given(st.integers(0, 185))
def test_a_slip_that_is_cut_short_is_none(at):
    data = bytes.fromhex(VECTORS["slips"][0]["slip"])
    assert isinstance(split_slip(data[:at]), NoSlip)


def test_a_signature_for_another_purpose_is_none_for_a_slip():
    message = encode_slip(good())
    for label in (b"", b"venuehub/lease/v1\0", b"edgehub/record/v1\0"):
        assert not verify(SIGNER.public, SIGNER.sign(label + message), signed_bytes(message))


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, 2, "slip_version"), (1, b"x", "slip_body"), (3, b"", "slip_body"), (3, bytes(15), "slip_body"),
        (4, bytes(15), "slip_body"), (5, bytes(17), "slip_body"), (6, "", "slip_body"), (7, 0, "slip_body"),
        (7, -1, "slip_body"), (7, 2**53, "slip_body"), (7, 1.5, "slip_body"), (8, "Lane 2", "slip_body"),
        (9, "x", "slip_body"), (11, 9, "slip_body"),
    ],
)  # fmt: skip
def test_each_wrong_field_has_its_reason(at, value, reason):
    fields = msgpack.unpackb(encode_slip(good()))
    fields[at] = value
    assert split_slip(msgpack.packb(fields) + bytes(64)) == NoSlip(reason)


def test_other_forms_of_the_same_slip_are_none():
    fields = msgpack.unpackb(encode_slip(good()))
    assert split_slip(msgpack.packb([*fields, 1]) + bytes(64)) == NoSlip("slip_canonical")
    longer = encode_slip(good()).replace(b"\xcd\x13\x88", b"\xce\x00\x00\x13\x88")
    assert split_slip(longer + bytes(64)) == NoSlip("slip_canonical")
    assert read_slip("VH2:" + base45(b"x")) == NoSlip("slip_framing")
    assert slip_bytes("VH1:" + "A") == NoSlip("slip_framing")
    assert read_slip("VH1:") == NoSlip("slip_length")


@pytest.mark.parametrize(
    ("data", "text"),
    # RFC 9285, 4.3 and 4.4
    [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0"), (b"", "")],
)
def test_base45_is_the_rfcs(data, text):
    assert (base45(data), unbase45(text)) == (text, data)


@given(st.binary(max_size=300))
def test_base45_round_trip(data):
    assert unbase45(base45(data)) == data


@pytest.mark.parametrize("text", ["A", "ABCD", ":::", "::", "abc", "GGW", "é23"])
def test_what_is_no_base45_is_none(text):
    assert unbase45(text) is None


def judged(slip, **changes):
    facts = {
        "venue_id": VENUE, "hub_id": HUB, "lane": "racer-2", "now_ms": UNTIL_MS - 1, "quality": TimeQuality.HELD,
        "used": frozenset(),
    }  # fmt: skip
    return judge_slip(slip, **{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"now_ms": 0}, None),
        ({"quality": TimeQuality.SYNCED}, None),
        ({"venue_id": TENANT}, "slip_venue"),
        ({"used": frozenset({SLIP})}, "slip_used"),
        ({"used": frozenset({SLIP}), "now_ms": UNTIL_MS}, "slip_used"),
        ({"now_ms": UNTIL_MS}, "slip_expired"),
        ({"quality": TimeQuality.PEER}, "slip_clock"),
        ({"quality": TimeQuality.FLOOR}, "slip_clock"),
        ({"quality": TimeQuality.NONE, "now_ms": 0}, "slip_clock"),
    ],
)
def test_when_a_hub_takes_a_slip(changes, refusal):
    assert judged(good(), **changes) == refusal


def test_a_slip_for_one_hub_is_for_no_other():
    assert judged(good(1), hub_id=VENUE) == "slip_venue"
    assert judged(good(0), hub_id=VENUE) is None


def test_a_slip_for_one_lane_is_for_no_other():
    assert judged(good(1)) is None
    assert judged(good(1), lane="racer-3") == "slip_lane"
    assert judged(good(1), lane=None) == "slip_lane"
    assert judged(good(0), lane=None) is None
