"""eSSP: both ends come to one key, and what was not sealed with key and count is nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.ssp_crypto import (
    DEFAULT_FIXED_KEY,
    LARGEST_DATA_BYTES,
    answer_half,
    is_sealed,
    make_offer,
    pack_number,
    parse_number,
    seal,
    shared_key,
    unseal,
)

KEY = bytes.fromhex("67452301674523010100000000000000")
PADDING = bytes(range(16))


def test_the_key_is_the_fixed_half_and_the_agreed_half_lowest_byte_first():
    offer = make_offer(982_451_653, 961_748_927, secret=1_234)
    assert (offer.generator, offer.modulus) == (982_451_653, 961_748_927)
    theirs = answer_half(offer, 4_321)
    host = shared_key(theirs, 1_234, offer.modulus, fixed_key=DEFAULT_FIXED_KEY)
    validator = shared_key(offer.half, 4_321, offer.modulus, fixed_key=DEFAULT_FIXED_KEY)
    assert host == validator
    assert host[:8].hex() == "6745230167452301"
    assert parse_number(pack_number(offer.half)) == offer.half


def test_a_sealed_poll_written_out():
    # AES-128-ECB of 01 00000000 07, eight bytes of padding and the CRC, under the key above
    sealed = seal(b"\x07", key=KEY, count=0, padding=PADDING)
    assert (sealed[0], len(sealed)) == (0x7E, 17)
    assert unseal(sealed, key=KEY, count=0) == b"\x07"


@given(data=st.binary(max_size=LARGEST_DATA_BYTES), count=st.integers(0, 2**32 - 1))
def test_what_is_sealed_is_opened_with_the_same_key_and_count_only(data, count):
    sealed = seal(data, key=KEY, count=count, padding=PADDING)
    assert is_sealed(sealed)
    assert unseal(sealed, key=KEY, count=count) == data
    assert unseal(sealed, key=KEY, count=count + 1) is None
    assert unseal(sealed, key=bytes(16), count=count) is None
    assert unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), key=KEY, count=count) is None


@given(st.binary(max_size=64))
def test_no_byte_string_raises(data):
    unseal(data, key=KEY, count=0)
    unseal(b"\x7e" + data, key=KEY, count=0)


def test_too_much_is_refused_by_name():
    with pytest.raises(ValueError, match="at most 233 bytes, got 234"):
        seal(bytes(234), key=KEY, count=0, padding=PADDING)
