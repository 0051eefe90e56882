"""Sealing with seeded dice, of the same shape as cloud_sync.sealing, so that the same seed gives the same bytes."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from cloud_sync.identity import OfficeKeys
from cloud_sync.protocol import envelope
from cloud_sync.protocol.envelope import key_id
from cloud_sync.sealing import HpkeOpener
from cloud_sync.signing import Ed25519Signer

_ENC_BYTES: Final = 32
_TAG_BYTES: Final = 16


class SeededSealer:
    """Seals to the office; `draw(n)` gives n bytes. It hides nothing from anybody: it is for the simulator alone."""

    def __init__(self, public: bytes, *, draw: Callable[[int], bytes]) -> None:
        self.suite = envelope.SUITE_X25519_CHACHA
        self.key_id = key_id(public)
        self._public = public
        self._draw = draw

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Return `enc ‖ ciphertext ‖ tag`."""
        enc = self._draw(_ENC_BYTES)
        covered = _mask(self._public, enc, plaintext)
        return enc + covered + _tag(self._public, enc, covered, info)


class SeededOpener(HpkeOpener):
    """Opens what SeededSealer sealed, and nothing else."""

    def __init__(self, public: bytes) -> None:
        super().__init__(())
        self._public = public

    def knows(self, recipient_key: bytes) -> bool:
        """Say whether the key with this id is ours."""
        return recipient_key == key_id(self._public)

    def open(self, *, suite: int, recipient_key: bytes, sealed: bytes, info: bytes) -> bytes | None:
        """Return the plaintext, or None for another's key or any changed bit."""
        if suite != envelope.SUITE_X25519_CHACHA or not self.knows(recipient_key):
            return None
        enc, covered, tag = sealed[:_ENC_BYTES], sealed[_ENC_BYTES:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, _tag(self._public, enc, covered, info)):
            return None
        return _mask(self._public, enc, covered)


class SeededKeys(OfficeKeys, frozen=True, kw_only=True):
    """An office's keys whose opener fits the hub's SeededSealer."""

    @property
    def opener(self) -> SeededOpener:
        """Opens batches and requests."""
        return SeededOpener(self.receive_public)


class Pen(msgspec.Struct, frozen=True):
    """Who the hub is on the uplink, with the seeded sealer."""

    hub_id: bytes
    tenant_id: bytes
    signer: Ed25519Signer
    office_sealer: SeededSealer


def _mask(public: bytes, enc: bytes, data: bytes) -> bytes:
    stream = hashlib.shake_256(b"simulated seal\0" + public + enc).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def _tag(public: bytes, enc: bytes, covered: bytes, info: bytes) -> bytes:
    return hmac.new(public + enc, info + b"\0" + covered, hashlib.sha256).digest()[:_TAG_BYTES]
