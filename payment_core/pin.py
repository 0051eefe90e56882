"""A PIN's verifier: what the staff document holds instead of the PIN. The salt is an argument.

A PIN is short: the verifier only makes guessing dear for who steals the document (scrypt, 16 MiB for each guess). What
protects it at the desk is the lock after a few wrong ones.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

SALT_BYTES: Final = 16
PIN_DIGITS: Final = (4, 12)
"""Fewest and most digits of a PIN."""
_COST, _BLOCK, _LANES = 2**14, 8, 1
_HASH_BYTES: Final = 32
_MEMORY: Final = 64 * 1024 * 1024
_NAME: Final = f"scrypt-{_COST}-{_BLOCK}-{_LANES}"


def is_pin(text: str) -> bool:
    """Say whether a text can be a PIN: digits, not all the same."""
    fewest, most = PIN_DIGITS
    return fewest <= len(text) <= most and text.isascii() and text.isdigit() and len(set(text)) > 1


def make_verifier(pin: str, *, salt: bytes) -> str:
    """Return what is kept of a PIN; ValueError where it is none, or the salt too short."""
    if not is_pin(pin) or len(salt) != SALT_BYTES:
        message = "a PIN has 4 to 12 digits that are not all the same, and 16 bytes of salt"
        raise ValueError(message)
    return f"{_NAME}${_text(salt)}${_text(_hash(pin, salt))}"


def is_right(pin: str, verifier: str) -> bool:
    """Say whether a PIN is the one behind a verifier; takes its time on purpose. A verifier of another kind: never."""
    name, _, rest = verifier.partition("$")
    salt, _, kept = rest.partition("$")
    try:
        raw_salt, raw_kept = base64.b64decode(salt, validate=True), base64.b64decode(kept, validate=True)
    except binascii.Error:
        return False
    if name != _NAME or len(raw_salt) != SALT_BYTES or not is_pin(pin):
        return False
    return hmac.compare_digest(_hash(pin, raw_salt), raw_kept)


def is_verifier(text: str) -> bool:
    """Say whether a text can be what is kept of a PIN: of the kind made here, whole."""
    name, _, rest = text.partition("$")
    salt, _, kept = rest.partition("$")
    try:
        sizes = len(base64.b64decode(salt, validate=True)), len(base64.b64decode(kept, validate=True))
    except (binascii.Error, ValueError):
        return False
    return name == _NAME and sizes == (SALT_BYTES, _HASH_BYTES)


def _hash(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=_MEMORY, dklen=_HASH_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
