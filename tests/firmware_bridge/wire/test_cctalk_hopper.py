"""A hopper's data bytes, and what two witnesses say came out; every case written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.cctalk import Decoder, Frame, encode
from firmware_bridge.wire.cctalk_hopper import (
    COUNT_MODULUS,
    MOST_SETTLED,
    TAG_MODULUS,
    Before,
    CameOut,
    PayoutStatus,
    came_out,
    event_after,
    faults_in,
    is_disabled,
    is_low,
    pack_before,
    pack_levels,
    pack_status,
    pack_test,
    parse_status,
    unpack_before,
)

bytes_ = st.integers(0, 255)
befores = st.builds(
    Before,
    event=bytes_,
    paid=bytes_,
    unpaid=bytes_,
    counted=st.none() | st.integers(0, COUNT_MODULUS - 1),
    settled=st.integers(0, MOST_SETTLED),
    tag=st.integers(0, TAG_MODULUS - 1),
)


@pytest.mark.parametrize(
    ("raw", "frame"),
    [
        ("030001A359", Frame(3, 1, 163)),
        ("030101A4A5B2", Frame(3, 1, 164, b"\xa5")),
        ("030401A7DFD70A0190", Frame(3, 1, 167, bytes.fromhex("DFD70A01"))),
        ("0101030001FA", Frame(1, 3, 0, b"\1")),
        ("030901A70000000000000000014B", Frame(3, 1, 167, bytes(8) + b"\1")),
        ("0104030000000703EE", Frame(1, 3, 0, bytes.fromhex("00000703"))),
        ("01010300807B", Frame(1, 3, 0, b"\x80")),  # the Flow manual prints BA: its example does not add up
        ("010203008080FA", Frame(1, 3, 0, b"\x80\x80")),
    ],
)
def test_the_manuals_bytes(raw, frame):
    assert encode(frame, checksum="simple") == bytes.fromhex(raw)
    assert Decoder("simple").feed(bytes.fromhex(raw)) == [frame]


def test_the_status_after_a_loss_of_power():
    assert parse_status(bytes.fromhex("00000703")) == PayoutStatus(event=0, remaining=0, paid=7, unpaid=3)
    assert parse_status(b"\0\0\0") is None


@given(status=st.builds(PayoutStatus, bytes_, bytes_, bytes_, bytes_), data=st.binary(max_size=6))
def test_a_status_comes_back_as_it_was_and_no_bytes_raise(status, data):
    assert parse_status(pack_status(status)) == status
    parse_status(data)
    faults_in(data)
    is_disabled(data)
    is_low(data)


@given(befores)
def test_how_it_stood_fits_one_number_of_a_log(before):
    packed = pack_before(before)
    assert 0 <= packed < 2**63
    assert unpack_before(packed) == before


def test_faults_of_one_to_three_bytes():
    assert faults_in(b"\x80") == ()
    assert is_disabled(b"\x80")
    assert faults_in(b"\x44\x86\xff") == (), "reversed, powered up, and what it can do, are no faults"
    assert faults_in(b"\x03") == ("over_current", "payout_timeout")
    assert faults_in(b"\x00\x01\x00") == ("exit_sensor_shorted_in_payout",)
    assert faults_in(pack_test("exit_blocked", disabled=True)) == ("exit_blocked",)
    assert not is_disabled(b"")


@pytest.mark.parametrize(("low", "fitted", "told"), [(True, True, True), (True, False, False), (False, True, False)])
def test_a_level_counts_where_a_sensor_is_fitted(low, fitted, told):
    assert is_low(pack_levels(low=low, fitted=fitted)) is told
    assert not is_low(b"")


def test_after_255_comes_1():
    assert [event_after(event) for event in (0, 1, 254, 255)] == [1, 2, 255, 1]


BEFORE = Before(event=6, paid=3, unpaid=0, counted=100)
NO_COUNT = Before(event=6, paid=3, unpaid=0)
FRESH = Before(event=0, paid=3, unpaid=0)


@pytest.mark.parametrize(
    ("before", "status", "counted", "accepted", "came"),
    [
        (BEFORE, PayoutStatus(7, 0, 5, 0), 105, True, CameOut(5, certain=True)),
        (BEFORE, PayoutStatus(7, 0, 2, 3), 102, True, CameOut(2, certain=True)),
        (BEFORE, PayoutStatus(6, 0, 3, 0), 100, False, CameOut(0, certain=True)),  # it never heard
        (BEFORE, PayoutStatus(7, 0, 3, 0), 100, False, CameOut(0, certain=True)),  # a refusal that it counted
        (BEFORE, PayoutStatus(7, 0, 3, 0), 103, False, CameOut(3, certain=True)),  # the same numbers anew
        (BEFORE, PayoutStatus(0, 0, 2, 3), 102, False, CameOut(2, certain=True)),  # power lost in mid-payout
        (BEFORE, PayoutStatus(0, 0, 3, 0), 100, False, CameOut(0, certain=True)),  # power lost, never heard
        (BEFORE, PayoutStatus(7, 0, 5, 0), 104, True, CameOut(4, certain=False)),  # two witnesses disagree
        (BEFORE, PayoutStatus(9, 0, 5, 0), 105, True, CameOut(5, certain=True)),  # somebody else let it pay too
        (NO_COUNT, PayoutStatus(7, 0, 5, 0), None, False, CameOut(5, certain=True)),
        (NO_COUNT, PayoutStatus(7, 0, 3, 0), None, True, CameOut(3, certain=True)),
        (NO_COUNT, PayoutStatus(7, 0, 3, 0), None, False, CameOut(0, certain=False)),  # whose numbers are these?
        (NO_COUNT, PayoutStatus(6, 0, 3, 0), None, False, CameOut(0, certain=True)),
        (NO_COUNT, PayoutStatus(6, 0, 3, 0), None, True, CameOut(0, certain=False)),
        (NO_COUNT, PayoutStatus(0, 0, 1, 2), None, False, CameOut(1, certain=True)),
        (NO_COUNT, PayoutStatus(0, 0, 3, 0), None, True, CameOut(0, certain=False)),
        (NO_COUNT, PayoutStatus(9, 0, 5, 0), None, False, CameOut(0, certain=False)),
        (FRESH, PayoutStatus(0, 0, 3, 0), None, False, CameOut(0, certain=False)),
        (FRESH, PayoutStatus(0, 0, 1, 2), None, False, CameOut(1, certain=True)),
        (FRESH, PayoutStatus(1, 0, 2, 0), None, False, CameOut(2, certain=True)),
        (Before(255, 3, 0), PayoutStatus(1, 0, 2, 0), None, False, CameOut(2, certain=True)),
        (Before(6, 3, 0, counted=1_022), PayoutStatus(7, 0, 4, 0), 2, True, CameOut(4, certain=True)),
    ],
)
def test_what_came_out(before, status, counted, accepted, came):
    assert came_out(before, status, counted, accepted=accepted) == came
