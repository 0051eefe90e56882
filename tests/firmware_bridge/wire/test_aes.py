"""AES as the standards print it."""

import pytest

from firmware_bridge.wire import aes

KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")


@pytest.mark.parametrize(
    ("message", "mac"),
    [
        ("", "BB1D6929E95937287FA37D129B756746"),
        ("6BC1BEE22E409F96E93D7E117393172A", "070A16B46B4D4144F79BDD9DD04A287C"),
    ],
)
def test_cmac_of_rfc_4493(message: str, mac: str) -> None:
    assert aes.cmac(KEY, bytes.fromhex(message)) == bytes.fromhex(mac)
    assert aes.short_mac(KEY, bytes.fromhex(message)) == bytes.fromhex(mac)[1::2]


def test_block_and_chain_of_sp_800_38a() -> None:
    plain = bytes.fromhex("6BC1BEE22E409F96E93D7E117393172A")
    iv = bytes(range(16))
    assert aes.encrypt_block(KEY, plain) == bytes.fromhex("3AD77BB40D7A3660A89ECAF32466EF97")
    assert aes.cbc_encrypt(KEY, plain, iv=iv) == bytes.fromhex("7649ABAC8119B246CEE98E9B12E9197D")
    assert aes.cbc_decrypt(KEY, aes.cbc_encrypt(KEY, plain, iv=iv), iv=iv) == plain
