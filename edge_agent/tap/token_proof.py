"""Proof that a card owns a key (NTAG 424 DNA, AN12196): a SUN message it composed, or its answer to a challenge.

SUN: the card mirrors its UID, its read counter and a MAC into a URL: `...?uid=<14 hex>&ctr=<6 hex>&mac=<16 hex>`.
Challenge: AuthenticateEV2First, said through the reader in two halves; the nonce is an argument. The hub holds one key
per token and the last counter it has seen; there is no master key here. A refusal is a value.
"""

import hmac
import re
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.cmac import CMAC

KEY_BYTES: Final = 16
URL_LIMIT: Final = 256
"""An NTAG 424's NDEF file has 256 bytes; a longer text was not composed by one."""

NONCE_BYTES: Final = 16
TOKEN_KEY_NUMBER: Final = 1
"""Which of a card's five keys the hub knows: the one of the SUN message. The others stay in the office."""
CHALLENGE: Final = ("00A4040007D276000085010100", f"90710000020{TOKEN_KEY_NUMBER}0000")
"""The first half: SELECT of the card's application, AuthenticateEV2First."""

_TRANSACTION_BYTES: Final = 4
_ZERO_IV: Final = bytes(16)
_SESSION_MAC_LABEL: Final = bytes.fromhex("3CC300010080")
"""SV2 of AN12196: label, counter 1, 128 bits."""
_FIELDS: Final = {
    "uid": re.compile(r"[0-9A-Fa-f]{14}"),
    "ctr": re.compile(r"[0-9A-Fa-f]{6}"),
    "mac": re.compile(r"[0-9A-Fa-f]{16}"),
}

RefusalReason = Literal["malformed", "wrong_mac", "counter_replayed"]


class SunProof(msgspec.Struct, frozen=True):
    """The card is genuine and the tap is new. uid: 14 hex, upper case; counter: store it before acting on the tap."""

    uid: str
    counter: int


class ProofRefused(msgspec.Struct, frozen=True):
    """No proof. malformed: not a SUN URL; wrong_mac: not this key; counter_replayed: seen before, maybe recorded."""

    reason: RefusalReason


class _SunMessage(msgspec.Struct, frozen=True):
    uid: bytes
    counter: int
    mac: bytes


def sun_uid(url: str) -> str | None:
    """Return the UID (14 hex, upper case) a SUN URL claims, to find its key; None where it is not a SUN URL."""
    message = _parse(url)
    return None if message is None else message.uid.hex().upper()


def prove_sun(*, url: str, token_key: bytes, last_counter: int) -> SunProof | ProofRefused:
    """Check the MAC of `url` with the 16-byte key of its token, and that its counter is above `last_counter`.

    `last_counter` is -1 for a token that was never seen. ValueError where the key has another length.
    """
    if len(token_key) != KEY_BYTES:
        message = f"a token key has {KEY_BYTES} bytes, got {len(token_key)}: enroll the token again"
        raise ValueError(message)
    sun = _parse(url)
    if sun is None:
        return ProofRefused("malformed")
    if not hmac.compare_digest(_sdm_mac(token_key, sun.uid, sun.counter), sun.mac):
        return ProofRefused("wrong_mac")
    if sun.counter <= last_counter:
        return ProofRefused("counter_replayed")
    return SunProof(uid=sun.uid.hex().upper(), counter=sun.counter)


def challenge_reply(answers: Sequence[str], *, token_key: bytes, nonce: bytes) -> str | None:
    """Return the second half (an APDU in hex) for a card's answers to `CHALLENGE`, None where it did not take part.

    `nonce`: 16 random bytes that were never used before.
    """
    if len(answers) != len(CHALLENGE):
        return None
    selected, challenge = _answer(answers[0], 0, "9000"), _answer(answers[1], NONCE_BYTES, "91AF")
    if selected is None or challenge is None:
        return None
    theirs = _cbc(token_key).decryptor().update(challenge)
    return f"90AF000020{_cbc(token_key).encryptor().update(nonce + _turned(theirs)).hex().upper()}00"


def is_challenge_met(answers: Sequence[str], *, token_key: bytes, nonce: bytes) -> bool:
    """Say whether the card's answer to `challenge_reply` shows that it read our nonce, so has the key, and now."""
    answer = _answer(answers[0], 2 * NONCE_BYTES, "9100") if len(answers) == 1 else None
    if answer is None:
        return False
    plain = _cbc(token_key).decryptor().update(answer)
    return hmac.compare_digest(plain[_TRANSACTION_BYTES : _TRANSACTION_BYTES + NONCE_BYTES], _turned(nonce))


def _answer(text: str, size: int, status: str) -> bytes | None:
    """Return the `size` bytes of a card's answer (hex) before its status, None where it is another one."""
    try:
        answer = bytes.fromhex(text)
    except ValueError:
        return None
    return answer[:-2] if len(answer) == size + 2 and answer[-2:] == bytes.fromhex(status) else None


def _turned(block: bytes) -> bytes:
    """Return a block turned by one byte, as both sides show that they read the other's number."""
    return block[1:] + block[:1]


def _cbc(key: bytes) -> Cipher[CBC]:
    return Cipher(AES(key), CBC(_ZERO_IV))


def _parse(url: str) -> _SunMessage | None:
    """Return the three fields, or None; each must be there exactly once."""
    if len(url) > URL_LIMIT:
        return None
    try:
        query = parse_qs(urlsplit(url).query, keep_blank_values=True, max_num_fields=16)
    except ValueError:
        return None
    fields: dict[str, bytes] = {}
    for name, shape in _FIELDS.items():
        values = query.get(name, [])
        if len(values) != 1 or shape.fullmatch(values[0]) is None:
            return None
        fields[name] = bytes.fromhex(values[0])
    return _SunMessage(uid=fields["uid"], counter=int.from_bytes(fields["ctr"], "big"), mac=fields["mac"])


def _sdm_mac(token_key: bytes, uid: bytes, counter: int) -> bytes:
    """Return the 8 bytes of SDMMAC over an empty input: the odd bytes of CMAC(CMAC(key, SV2), nothing)."""
    session_key = _cmac(token_key, _SESSION_MAC_LABEL + uid + counter.to_bytes(3, "little"))
    return _cmac(session_key, b"")[1::2]


def _cmac(key: bytes, message: bytes) -> bytes:
    """Return AES-128-CMAC (NIST SP 800-38B)."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()
