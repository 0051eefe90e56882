"""Ed25519: signing, verifying, and keys that cannot be trusted."""

import secrets
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_sync.protocol.envelope import key_id

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32

_P: Final = 2**255 - 19
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_WEAK_Y: Final = frozenset({0, 1, _P - 1, _P, _P + 1, _ORDER_8, _P - _ORDER_8})
"""y of the points of small order, canonical or not: a signature under such a key holds for any message (M12)."""


class Signer(Protocol):
    """Signs as one key. The product's is Ed25519Signer."""

    @property
    def key_id(self) -> bytes:
        """First 8 bytes of the SHA-256 of the public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return 64 bytes."""
        ...


class Ed25519Signer:
    """A private key in memory, made from its seed of 32 bytes. The same data gives the same signature."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`."""
        return self._key.sign(data)


def new_seed() -> bytes:
    """Return a fresh private seed."""
    return secrets.token_bytes(SEED_BYTES)


def public_of(seed: bytes) -> bytes:
    """Return the public key of a seed."""
    return Ed25519Signer(seed).public


def is_weak_key(public: bytes) -> bool:
    """Say whether a public key must not be pinned: wrong length, or a point of small order."""
    if len(public) != PUBLIC_BYTES:
        return True
    return (int.from_bytes(public, "little") & (2**255 - 1)) in _WEAK_Y


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Say whether `signature` is `public`'s over `data`. Never raises; a weak key verifies nothing."""
    if is_weak_key(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
