"""NTAG 424 DNA: AuthenticateEV2First and the messages of the session it opens, as host and as card.

Source: NXP AN12196, "Authentication", "Secure messaging" and "ChangeKey"; its printed examples are test vectors.
"""

import zlib
from typing import Final

import msgspec

from firmware_bridge.wire import aes
from firmware_bridge.wire.ntag424 import KEY_BYTES, SessionKeys, rotate_left, session_keys

AUTHENTICATE: Final = 0x71
MORE: Final = 0xAF
GET_CARD_UID: Final = 0x51
GET_FILE_SETTINGS: Final = 0xF5
GET_KEY_VERSION: Final = 0x64
CHANGE_FILE_SETTINGS: Final = 0x5F
CHANGE_KEY: Final = 0xC4
READ_DATA: Final = 0xAD
WRITE_DATA: Final = 0x8D

OK: Final = 0x00
MAC_BYTES: Final = 8
TRANSACTION_BYTES: Final = 4
COMMAND_LIMIT: Final = 0xFFFF
"""Commands in one session; the card then asks for a new authentication."""

_COMMAND_IV: Final = bytes.fromhex("A55A")
_ANSWER_IV: Final = bytes.fromhex("5AA5")
_CAPABILITY_BYTES: Final = 12
_STATUS_CLASS: Final = 0x91


def native(code: int, body: bytes = b"") -> bytes:
    """Return a native command wrapped in an APDU."""
    return bytes([0x90, code, 0, 0]) + (bytes([len(body)]) + body if body else b"") + b"\x00"


class Session:
    """One authenticated session: its keys, the card's transaction identifier and the number of commands so far."""

    def __init__(self, keys: SessionKeys, transaction: bytes, counter: int = 0) -> None:
        """Start behind `counter` commands."""
        self.keys = keys
        self.transaction = transaction
        self.counter = counter

    def command(self, code: int, header: bytes, data: bytes = b"", *, encrypted: bool) -> bytes:
        """Return an APDU with MAC, its data encrypted where asked (CommMode.FULL). Its answer raises the counter."""
        body = header + (self._crypt(data) if encrypted and data else data)
        return native(code, body + self._command_mac(code, body))

    def answered(self, answer: bytes, *, encrypted: bool) -> bytes | None:
        """Return what stands in a good answer (status included), or None where it is none or its MAC is wrong."""
        data, mac, status = answer[: -MAC_BYTES - 2], answer[-MAC_BYTES - 2 : -2], answer[-2:]
        if status != bytes([_STATUS_CLASS, OK]) or mac != self._answer_mac(data):
            return None
        self.counter += 1
        if not encrypted or not data:
            return data
        return None if len(data) % aes.BLOCK_BYTES else unpadded(self._decrypt(data, _ANSWER_IV))

    def opened(self, code: int, body: bytes, *, header_bytes: int, encrypted: bool) -> bytes | None:
        """Return what the card reads behind a command's header, or None where its MAC is wrong."""
        if len(body) < header_bytes + MAC_BYTES or self.counter >= COMMAND_LIMIT:
            return None
        said, mac = body[:-MAC_BYTES], body[-MAC_BYTES:]
        data = said[header_bytes:]
        if mac != self._command_mac(code, said):
            return None
        if not encrypted or not data:
            return data
        return None if len(data) % aes.BLOCK_BYTES else unpadded(self._decrypt(data, _COMMAND_IV))

    def sealed(self, data: bytes = b"", *, encrypted: bool) -> bytes:
        """Return the card's good answer, without status, and count the command."""
        if data and encrypted:
            iv = self._iv(_ANSWER_IV, self.counter + 1)
            data = aes.cbc_encrypt(self.keys.encryption, padded(data), iv=iv)
        mac = self._answer_mac(data)
        self.counter += 1
        return data + mac

    def _crypt(self, data: bytes) -> bytes:
        return aes.cbc_encrypt(self.keys.encryption, padded(data), iv=self._iv(_COMMAND_IV, self.counter))

    def _decrypt(self, data: bytes, label: bytes) -> bytes:
        return aes.cbc_decrypt(self.keys.encryption, data, iv=self._iv(label, self.counter))

    def _iv(self, label: bytes, counter: int) -> bytes:
        block = label + self.transaction + counter.to_bytes(2, "little") + bytes(8)
        return aes.encrypt_block(self.keys.encryption, block)

    def _command_mac(self, code: int, body: bytes) -> bytes:
        place = self.counter.to_bytes(2, "little") + self.transaction
        return aes.short_mac(self.keys.mac, bytes([code]) + place + body)

    def _answer_mac(self, data: bytes) -> bytes:
        place = (self.counter + 1).to_bytes(2, "little") + self.transaction
        return aes.short_mac(self.keys.mac, bytes([OK]) + place + data)


def padded(data: bytes) -> bytes:
    """Return whole blocks: data, 80, zeros."""
    return data + b"\x80" + bytes(-(len(data) + 1) % aes.BLOCK_BYTES)


def unpadded(data: bytes) -> bytes | None:
    """Return the data before 80 and zeros, or None where that is not there."""
    bare = data.rstrip(b"\x00")
    return bare[:-1] if bare.endswith(b"\x80") else None


class Reply(msgspec.Struct, frozen=True):
    """The host's half of an authentication: what it says, and what it must remember until the card has answered."""

    said: bytes
    rnd_a: bytes
    rnd_b: bytes


def host_reply(key: bytes, challenge: bytes, *, rnd_a: bytes) -> Reply:
    """Answer the card's challenge (16 bytes) with 16 fresh random bytes of the host's."""
    rnd_b = aes.cbc_decrypt(key, challenge)
    return Reply(aes.cbc_encrypt(key, rnd_a + rotate_left(rnd_b)), rnd_a, rnd_b)


def host_session(key: bytes, reply: Reply, card_reply: bytes) -> Session | None:
    """Return the session, or None where the card's 32 bytes do not prove that it has the key."""
    if len(card_reply) != 2 * KEY_BYTES:
        return None
    plain = aes.cbc_decrypt(key, card_reply)
    if plain[TRANSACTION_BYTES : TRANSACTION_BYTES + KEY_BYTES] != rotate_left(reply.rnd_a):
        return None
    return Session(session_keys(key, rnd_a=reply.rnd_a, rnd_b=reply.rnd_b), plain[:TRANSACTION_BYTES])


def card_session(key: bytes, said: bytes, *, rnd_b: bytes, transaction: bytes) -> tuple[Session, bytes] | None:
    """Return session and the card's 32 bytes of answer, or None where the host does not have the key."""
    if len(said) != 2 * KEY_BYTES:
        return None
    plain = aes.cbc_decrypt(key, said)
    rnd_a, proof = plain[:KEY_BYTES], plain[KEY_BYTES:]
    if proof != rotate_left(rnd_b):
        return None
    answer = aes.cbc_encrypt(key, transaction + rotate_left(rnd_a) + bytes(_CAPABILITY_BYTES))
    return Session(session_keys(key, rnd_a=rnd_a, rnd_b=rnd_b), transaction), answer


def key_checksum(key: bytes) -> bytes:
    """Return CRC32NK: CRC-32 of IEEE 802.3 without its final inversion, low byte first."""
    return (zlib.crc32(key) ^ 0xFFFFFFFF).to_bytes(4, "little")


def changed_key(new: bytes, version: int, *, old: bytes | None) -> bytes:
    """Return ChangeKey's data: for the session's own key `old` is None, for another one it is the key to replace."""
    if old is None:
        return new + bytes([version])
    mixed = bytes(left ^ right for left, right in zip(new, old, strict=True))
    return mixed + bytes([version]) + key_checksum(new)
