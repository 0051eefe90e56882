"""Ed25519: a known answer, a changed bit, and the keys under which any message would hold (M12)."""

import pytest

from cloud_sync.signing import Ed25519Signer, is_weak_key, new_seed, public_of, verify

# RFC 8032, 7.1, test 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def test_the_rfcs_vector():
    assert public_of(SEED) == PUBLIC
    assert Ed25519Signer(SEED).sign(b"\x72") == SIGNATURE
    assert verify(PUBLIC, SIGNATURE, b"\x72")


def test_any_change_is_refused_and_nothing_raises():
    assert not verify(PUBLIC, SIGNATURE, b"\x73")
    assert not verify(PUBLIC, SIGNATURE[:-1], b"\x72")
    assert not verify(PUBLIC[:-1], SIGNATURE, b"\x72")
    assert not verify(bytes(range(32)), SIGNATURE, b"\x72")


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_of_small_order_verifies_nothing(public):
    key = bytes.fromhex(public)
    assert is_weak_key(key)
    identity_signature = bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    assert not verify(key, identity_signature, b"anything")


def test_fresh_seeds_differ_and_are_not_weak():
    seeds = {new_seed() for _ in range(8)}
    assert len(seeds) == 8
    assert not any(is_weak_key(public_of(seed)) for seed in seeds)
