"""Signing and sealing that cost next to nothing and give the same bytes for the same seed, in the product's shapes.

The product's own letters, batches, signers, sealers and openers run; only the arithmetic under them is another:
a signature is a keyed hash, and sealing hides nothing. Whoever changes, swaps or misaddresses bytes is still found out.
"""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, Self

from cloud_sync import sealing, signing
from cloud_sync.protocol.envelope import SUITE_X25519_CHACHA

_SIGNATURE_BYTES: Final = 64
_ENC_BYTES: Final = 32
_TAG_BYTES: Final = 16
_PRIVATE: Final = {"sign": (signing, "Ed25519PrivateKey"), "receive": (sealing, "X25519PrivateKey")}
_REAL: Final = {kind: getattr(module, name) for kind, (module, name) in _PRIVATE.items()}


@lru_cache(maxsize=1_000)
def _public(kind: str, private: bytes) -> bytes:
    """Return the real public key: pins and key ids are what they would be."""
    raw: bytes = _REAL[kind].from_private_bytes(private).public_key().public_bytes_raw()
    return raw


class _SignPublic:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @classmethod
    def from_public_bytes(cls, raw: bytes) -> Self:
        return cls(raw)

    def public_bytes_raw(self) -> bytes:
        return self._raw

    def verify(self, signature: bytes, data: bytes) -> None:
        if not hmac.compare_digest(signature, _signed(self._raw, data)):
            message = "not this key's signature over these bytes"
            raise ValueError(message)


class _SignPrivate:
    def __init__(self, raw: bytes) -> None:
        self._public = _public("sign", raw)

    @classmethod
    def from_private_bytes(cls, raw: bytes) -> Self:
        return cls(raw)

    def public_key(self) -> _SignPublic:
        return _SignPublic(self._public)

    def sign(self, data: bytes) -> bytes:
        return _signed(self._public, data)


class _ReceivePublic:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @classmethod
    def from_public_bytes(cls, raw: bytes) -> Self:
        return cls(raw)

    def public_bytes_raw(self) -> bytes:
        return self.raw


class _ReceivePrivate:
    def __init__(self, raw: bytes) -> None:
        self.public = _public("receive", raw)

    @classmethod
    def from_private_bytes(cls, raw: bytes) -> Self:
        return cls(raw)

    def public_key(self) -> _ReceivePublic:
        return _ReceivePublic(self.public)


class _Suite:
    """Seals as `enc ‖ plaintext ‖ tag`; enc and tag are one hash over all that HPKE would bind."""

    def encrypt(self, plaintext: bytes, key: _ReceivePublic, info: bytes) -> bytes:
        proof = _bound(key.raw, info, plaintext)
        return proof[:_ENC_BYTES] + plaintext + proof[_ENC_BYTES:]

    def decrypt(self, sealed: bytes, key: _ReceivePrivate, info: bytes) -> bytes:
        plaintext = sealed[_ENC_BYTES:-_TAG_BYTES]
        if not hmac.compare_digest(sealed[:_ENC_BYTES] + sealed[-_TAG_BYTES:], _bound(key.public, info, plaintext)):
            message = "not sealed to this key, or changed"
            raise ValueError(message)
        return plaintext


def _signed(public: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, key=public, digest_size=_SIGNATURE_BYTES).digest()


def _bound(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    hashed = hashlib.blake2b(info, key=public, digest_size=_ENC_BYTES + _TAG_BYTES)
    hashed.update(plaintext)
    return hashed.digest()


@contextmanager
def seeded_keys() -> Iterator[None]:
    """Sign and seal the cheap way meanwhile, in this process."""
    stand_ins = (
        (signing, "Ed25519PublicKey", _SignPublic),
        (signing, "Ed25519PrivateKey", _SignPrivate),
        (sealing, "X25519PublicKey", _ReceivePublic),
        (sealing, "X25519PrivateKey", _ReceivePrivate),
        (sealing, "_SUITES", {SUITE_X25519_CHACHA: _Suite()}),
    )
    kept = [getattr(module, name) for module, name, _stand_in in stand_ins]
    for module, name, stand_in in stand_ins:
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        for (module, name, _stand_in), real in zip(stand_ins, kept, strict=True):
            setattr(module, name, real)
