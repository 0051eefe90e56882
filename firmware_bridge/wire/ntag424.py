"""NTAG 424 DNA: what the card computes for Secure Unique NFC messages and for AuthenticateEV2First (AN12196)."""

import re
from typing import Final

import msgspec

from firmware_bridge.wire import aes

NDEF_APPLICATION: Final = bytes.fromhex("D2760000850101")
DESFIRE_APPLICATION: Final = bytes.fromhex("D2760000850100")
NDEF_FILE: Final = bytes.fromhex("E104")
CAPABILITY_FILE: Final = bytes.fromhex("E103")
UID_BYTES: Final = 7
KEY_BYTES: Final = 16
COUNTER_LIMIT: Final = 0xFFFFFF

_SDM_ENC_LABEL: Final = bytes.fromhex("C33C00010080")
_SDM_MAC_LABEL: Final = bytes.fromhex("3CC300010080")
_SESSION_ENC_LABEL: Final = bytes.fromhex("A55A00010080")
_SESSION_MAC_LABEL: Final = bytes.fromhex("5AA500010080")
_PICC_TAG_UID_AND_COUNTER: Final = 0xC7


class PiccData(msgspec.Struct, frozen=True):
    """What an encrypted PICCData field holds."""

    uid: bytes
    counter: int


class SessionKeys(msgspec.Struct, frozen=True):
    """The two keys of one authenticated session."""

    encryption: bytes
    mac: bytes


def sdm_mac(key: bytes, *, uid: bytes, counter: int, mac_input: bytes = b"") -> bytes:
    """Return the 8 bytes of SDMMAC over `mac_input` (the text between the two offsets; empty where they are equal)."""
    session_key = aes.cmac(key, _SDM_MAC_LABEL + uid + counter.to_bytes(3, "little"))
    return aes.short_mac(session_key, mac_input)


def sdm_file_data(key: bytes, *, uid: bytes, counter: int, encrypted: bytes) -> bytes:
    """Return the plain text behind an encrypted file data field."""
    little = counter.to_bytes(3, "little")
    session_key = aes.cmac(key, _SDM_ENC_LABEL + uid + little)
    return aes.cbc_decrypt(session_key, encrypted, iv=aes.encrypt_block(session_key, little + bytes(13)))


def picc_data(key: bytes, encrypted: bytes) -> PiccData | None:
    """Return UID and counter behind an encrypted PICCData field; None where the key does not fit."""
    plain = aes.cbc_decrypt(key, encrypted)
    if plain[0] != _PICC_TAG_UID_AND_COUNTER:
        return None
    return PiccData(uid=plain[1:8], counter=int.from_bytes(plain[8:11], "little"))


def sun_url(base: str, key: bytes, *, uid: bytes, counter: int) -> str:
    """Return the URL a card with plain UID and counter mirrors shows for one tap."""
    mac = sdm_mac(key, uid=uid, counter=counter)
    return f"{base}?uid={uid.hex().upper()}&ctr={counter:06X}&mac={mac.hex().upper()}"


def session_keys(key: bytes, *, rnd_a: bytes, rnd_b: bytes) -> SessionKeys:
    """Return the keys of a session opened by AuthenticateEV2First with both sides' 16 random bytes."""
    mixed = bytes(left ^ right for left, right in zip(rnd_a[2:8], rnd_b[0:6], strict=True))
    tail = rnd_a[0:2] + mixed + rnd_b[6:16] + rnd_a[8:16]
    encryption = aes.cmac(key, _SESSION_ENC_LABEL + tail)
    return SessionKeys(encryption=encryption, mac=aes.cmac(key, _SESSION_MAC_LABEL + tail))


def rotate_left(block: bytes) -> bytes:
    """Return `block` turned by one byte, as both sides do to show that they read the other's number."""
    return block[1:] + block[:1]


_SUN_FIELDS: Final = (
    re.compile(r"[?&]uid=[0-9A-Fa-f]{14}(&|$)"),
    re.compile(r"[?&]ctr=[0-9A-Fa-f]{6}(&|$)"),
    re.compile(r"[?&]mac=[0-9A-Fa-f]{16}(&|$)"),
)


def is_sun_url(url: str) -> bool:
    """Say whether a URL has the three mirrored fields; what they are worth is proven at the hub."""
    return all(field.search(url) for field in _SUN_FIELDS)
