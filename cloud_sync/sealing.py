"""HPKE: sealing to a public key and opening; whole EHB1 batches made and opened with it.

RFC 9180 base mode, single shot, through `cryptography`. Sealing draws its own randomness, so it is an effect: whoever
needs the same bytes twice keeps them (or passes a Sealer of their own, as the simulator does).
"""

import secrets
from collections.abc import Iterable
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from cloud_sync.compression import unpack
from cloud_sync.protocol import envelope
from cloud_sync.protocol.batcher import BODY_BYTES
from cloud_sync.protocol.envelope import Header, Opened, Rejected, key_id
from cloud_sync.signing import Signer, verify

_SUITES: Final = {
    envelope.SUITE_X25519_CHACHA: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    envelope.SUITE_X25519_AES256: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    envelope.SUITE_MLKEM_X25519_CHACHA: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
}
_HYBRID: Final = envelope.SUITE_MLKEM_X25519_CHACHA
_MLKEM_SEED_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1184


class Sealer(Protocol):
    """Seals to one receiver with one suite."""

    @property
    def suite(self) -> int:
        """The suite's number in EHB1 and ESM1."""
        ...

    @property
    def key_id(self) -> bytes:
        """First 8 bytes of the SHA-256 of the receiver's public key."""
        ...

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Return `enc ‖ ciphertext`."""
        ...


class Opener(Protocol):
    """Opens what was sealed to one of its keys."""

    def open(self, *, suite: int, recipient_key: bytes, sealed: bytes, info: bytes) -> bytes | None:
        """Return the plaintext, or None where it cannot be opened."""
        ...

    def knows(self, recipient_key: bytes) -> bool:
        """Say whether the key with this id is ours."""
        ...


class HpkeSealer:
    """The product's Sealer. `public`: 32 bytes of X25519, or for suite 3 ML-KEM-768's 1,184 and X25519's 32 behind."""

    def __init__(self, public: bytes, *, suite: int = envelope.SUITE_X25519_CHACHA) -> None:
        self.suite = suite
        self.key_id = key_id(public)
        self._key: X25519PublicKey | MLKEM768X25519PublicKey
        if suite == _HYBRID:
            kem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES])
            self._key = MLKEM768X25519PublicKey(kem, X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:]))
        else:
            self._key = X25519PublicKey.from_public_bytes(public)

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Return `enc ‖ ciphertext`; different at every call."""
        return _SUITES[self.suite].encrypt(plaintext, self._key, info)


class HpkeOpener:
    """The product's Opener over any number of private keys: the one in use and those that rotation left behind.

    A key is 32 bytes of X25519, or 96 for suite 3: ML-KEM-768's seed of 64 and X25519's 32 behind.
    """

    def __init__(self, private_keys: Iterable[bytes]) -> None:
        self._keys: dict[bytes, X25519PrivateKey | MLKEM768X25519PrivateKey] = {}
        for raw in private_keys:
            self._keys[key_id(receive_public(raw))] = _private(raw)

    def knows(self, recipient_key: bytes) -> bool:
        """Say whether the key with this id is ours."""
        return recipient_key in self._keys

    def open(self, *, suite: int, recipient_key: bytes, sealed: bytes, info: bytes) -> bytes | None:
        """Return the plaintext, or None for another's key, a wrong suite or any changed bit."""
        key = self._keys.get(recipient_key)
        chosen = _SUITES.get(suite)
        if key is None or chosen is None or (suite == _HYBRID) != isinstance(key, MLKEM768X25519PrivateKey):
            return None
        try:
            return chosen.decrypt(sealed, key, info)
        except (InvalidTag, ValueError):
            return None


def new_receive_key() -> bytes:
    """Return a fresh X25519 private key, 32 bytes."""
    return secrets.token_bytes(32)


def receive_public(private: bytes) -> bytes:
    """Return the public key of a receive key, in the form HpkeSealer takes."""
    if len(private) == _MLKEM_SEED_BYTES + 32:
        kem = MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED_BYTES]).public_key().public_bytes_raw()
        return kem + receive_public(private[_MLKEM_SEED_BYTES:])
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def is_receive_key(public: bytes, suite: int) -> bool:
    """Say whether HpkeSealer takes this public key for this suite."""
    if suite not in _SUITES:
        return False
    return len(public) == (_MLKEM_PUBLIC_BYTES if suite == _HYBRID else 0) + 32


def _private(raw: bytes) -> X25519PrivateKey | MLKEM768X25519PrivateKey:
    if len(raw) == _MLKEM_SEED_BYTES + 32:
        kem = MLKEM768PrivateKey.from_seed_bytes(raw[:_MLKEM_SEED_BYTES])
        return MLKEM768X25519PrivateKey(kem, X25519PrivateKey.from_private_bytes(raw[_MLKEM_SEED_BYTES:]))
    return X25519PrivateKey.from_private_bytes(raw)


def seal_batch(header: Header, body: bytes, *, sealer: Sealer, signer: Signer) -> bytes:
    """Return a whole EHB1 batch. `header` must already name the sealer's and the signer's keys.

    `body`: framed records, packed already where the header says so. Called once per batch seq: the bytes are stored
    before they are sent, and sent again as they are.
    """
    if (header.suite, header.recipient_key, header.signer_key) != (sealer.suite, sealer.key_id, signer.key_id):
        message = "the header names other keys than those that seal and sign"
        raise ValueError(message)
    sealed_bytes = len(body) + envelope.SEAL_OVERHEAD_BYTES[header.suite]
    header_bytes = envelope.pack_header(header, sealed_bytes=sealed_bytes)
    sealed = sealer.seal(body, envelope.seal_info(header_bytes))
    if len(sealed) != sealed_bytes:
        message = f"sealing added {len(sealed) - len(body)} bytes, the suite says {sealed_bytes - len(body)}"
        raise AssertionError(message)
    return header_bytes + sealed + signer.sign(envelope.signed_bytes(header_bytes, sealed))


def authenticate(data: bytes, *, hub_id: bytes, signer_public: bytes) -> envelope.Envelope | Rejected:
    """Check a batch that came in `hub_id`'s name, with no private key; `decrypt` follows. Never raises on bytes.

    Length, header syntax, hub, pinned key, signature: each costs more than the one before.
    """
    parsed = envelope.parse_envelope(data)
    if isinstance(parsed, Rejected):
        return parsed
    if parsed.header.hub_id != hub_id:
        return Rejected("hub")
    if parsed.header.signer_key != key_id(signer_public):
        return Rejected("signer")
    if not verify(signer_public, parsed.signature, envelope.signed_bytes(parsed.header_bytes, parsed.sealed)):
        return Rejected("signature")
    return parsed


def decrypt(parsed: envelope.Envelope, *, opener: Opener) -> Opened | Rejected:
    """Open an authenticated batch, and unpack its body where the header says that it is packed."""
    header = parsed.header
    if not opener.knows(header.recipient_key):
        return Rejected("recipient")
    body = opener.open(
        suite=header.suite,
        recipient_key=header.recipient_key,
        sealed=parsed.sealed,
        info=envelope.seal_info(parsed.header_bytes),
    )
    if body is None:
        return Rejected("decrypt")
    if header.compressed:
        body = unpack(body, most=BODY_BYTES)
    return Rejected("compressed") if body is None else Opened(header, body)
