"""AES as the cards' data sheets use it: CMAC, CBC and one raw block. For simulated cards, and the office's encoder.

The bridge holds no key of a real token: a real card is proven at the hub, and encoded by a program of the office.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK_BYTES: Final = 16
ZERO_IV: Final = bytes(BLOCK_BYTES)


def cmac(key: bytes, message: bytes) -> bytes:
    """Return the 16 bytes of AES-CMAC (NIST SP 800-38B)."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def short_mac(key: bytes, message: bytes) -> bytes:
    """Return NXP's 8-byte form of AES-CMAC: the bytes at odd places (AN12196)."""
    return cmac(key, message)[1::2]


def cbc_encrypt(key: bytes, data: bytes, *, iv: bytes = ZERO_IV) -> bytes:
    """Return AES-CBC of whole blocks, without padding."""
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def cbc_decrypt(key: bytes, data: bytes, *, iv: bytes = ZERO_IV) -> bytes:
    """Return the whole blocks behind AES-CBC, without padding."""
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """Return one block under AES, as the data sheets derive initial vectors."""
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - one block of a derivation, prescribed by the card
    return encryptor.update(block) + encryptor.finalize()


def ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """Return whole blocks, each by itself under AES, as eSSP prescribes."""
    return b"".join(encrypt_block(key, data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES))


def ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """Return the whole blocks behind AES, each by itself."""
    decryptor = Cipher(AES(key), ECB()).decryptor()  # noqa: S305 - prescribed by eSSP
    return decryptor.update(data) + decryptor.finalize()
