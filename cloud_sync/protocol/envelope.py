"""EHB1: the sealed batch's header, its labels and its strict parser. Bytes only; keys and dice live in sealing.py.

Layout (docs/wire/ehb1.md): header, 144 bytes, then `enc ‖ ciphertext` of the length the header says, then an Ed25519
signature of 64 bytes. Integers are big-endian.
"""

import hashlib
import struct
from typing import Final, Literal

import msgspec

from payment_core.journal import TimeQuality

MAGIC: Final = b"EHB1"
VERSION: Final = 1
HEADER_BYTES: Final = 144
SIGNATURE_BYTES: Final = 64
MAX_SEALED_BYTES: Final = 256 * 1024
"""The most `enc ‖ ciphertext` a batch may have."""
MAX_RECORDS: Final = 10_000
MAX_BATCH_BYTES: Final = HEADER_BYTES + MAX_SEALED_BYTES + SIGNATURE_BYTES
FLAG_COMPRESSED: Final = 0x0001
NO_BATCH: Final = bytes(32)
"""prev_batch_hash of the first batch of an epoch."""

SUITE_X25519_CHACHA: Final = 1
SUITE_X25519_AES256: Final = 2
SUITE_MLKEM_X25519_CHACHA: Final = 3
SEAL_OVERHEAD_BYTES: Final = {SUITE_X25519_CHACHA: 48, SUITE_X25519_AES256: 48, SUITE_MLKEM_X25519_CHACHA: 1136}
"""What sealing adds to the body: the encapsulated key and the tag of 16 bytes."""

INFO_LABEL: Final = b"edgehub/batch/v1\0"
SIGNATURE_LABEL: Final = b"edgehub/batch-sig/v1\0"
HASH_LABEL: Final = b"edgehub/batch-hash/v1\0"

STREAM_LEDGER: Final = 0
STREAM_TELEMETRY: Final = 1

_TAIL_AT: Final = 108
_HEADER: Final = struct.Struct(">4sBBH16sIQQIQBB2s8s8s32s32sI")

RejectReason = Literal[
    "length", "magic", "version", "suite", "flags", "compressed", "padding", "count", "stream", "time_quality",
    "hub", "recipient", "signer", "signature", "decrypt",
]  # fmt: skip


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker and everybody else may read of a batch.

    `first_record` is the seq of the first record; `recipient_key` and `signer_key` are the first 8 bytes of the
    SHA-256 of the public key; `journal_tail_hash` is the chain hash of the last record inside. `compressed`: what is
    sealed is the body as one zstd frame.
    """

    hub_id: bytes
    epoch: int
    batch_seq: int
    first_record: int
    record_count: int
    created_ms: int
    time_quality: TimeQuality
    recipient_key: bytes
    signer_key: bytes
    previous_batch_hash: bytes
    journal_tail_hash: bytes
    suite: int = SUITE_X25519_CHACHA
    stream: int = STREAM_LEDGER
    compressed: bool = False


class Envelope(msgspec.Struct, frozen=True):
    """A batch that is well-formed; nothing about it is proven yet."""

    header: Header
    header_bytes: bytes
    sealed: bytes
    signature: bytes


class Opened(msgspec.Struct, frozen=True):
    """A batch whose signature held and whose seal opened. `body` is framed records, unpacked, not verified."""

    header: Header
    body: bytes


class Rejected(msgspec.Struct, frozen=True):
    """Bytes that are no acceptable batch, and the first thing that was wrong."""

    reason: RejectReason


def key_id(public: bytes) -> bytes:
    """Return the 8 bytes by which a public key is named: the first of its SHA-256."""
    return hashlib.sha256(public).digest()[:8]


def pack_header(header: Header, *, sealed_bytes: int) -> bytes:
    """Return the 144 bytes. ValueError where a value does not fit: our own mistake, never the line's."""
    ok = 1 <= header.record_count <= MAX_RECORDS and sealed_bytes <= MAX_SEALED_BYTES
    if not ok or header.suite not in SEAL_OVERHEAD_BYTES:
        message = f"no such batch: {header.record_count} records, {sealed_bytes} bytes, suite {header.suite}"
        raise ValueError(message)
    flags = FLAG_COMPRESSED if header.compressed else 0
    return _HEADER.pack(
        MAGIC, VERSION, header.suite, flags, header.hub_id, header.epoch, header.batch_seq, header.first_record,
        header.record_count, header.created_ms, header.time_quality, header.stream, b"\0\0", header.recipient_key,
        header.signer_key, header.previous_batch_hash, header.journal_tail_hash, sealed_bytes,
    )  # fmt: skip


def parse_envelope(data: bytes) -> Envelope | Rejected:
    """Check length, then header syntax, and cut the batch into its parts. Never raises on bytes."""
    if not HEADER_BYTES + SIGNATURE_BYTES < len(data) <= MAX_BATCH_BYTES:
        return Rejected("length")
    header_bytes = data[:HEADER_BYTES]
    fields = _HEADER.unpack(header_bytes)
    reason = _syntax(fields, sealed_bytes=len(data) - HEADER_BYTES - SIGNATURE_BYTES)
    if reason is not None:
        return Rejected(reason)
    header = Header(
        suite=fields[2], hub_id=fields[4], epoch=fields[5], batch_seq=fields[6], first_record=fields[7],
        record_count=fields[8], created_ms=fields[9], time_quality=TimeQuality(fields[10]), stream=fields[11],
        recipient_key=fields[13], signer_key=fields[14], previous_batch_hash=fields[15], journal_tail_hash=fields[16],
        compressed=fields[3] == FLAG_COMPRESSED,
    )  # fmt: skip
    return Envelope(header, header_bytes, data[HEADER_BYTES:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:])


def _syntax(fields: tuple[object, ...], *, sealed_bytes: int) -> RejectReason | None:
    magic, version, suite, flags = fields[:4]
    batch_seq, first_record, count = fields[6:9]
    quality, stream, padding = fields[10:13]
    checks: tuple[tuple[bool, RejectReason], ...] = (
        (magic == MAGIC, "magic"),
        (version == VERSION, "version"),
        (suite in SEAL_OVERHEAD_BYTES, "suite"),
        (flags in {0, FLAG_COMPRESSED}, "flags"),
        (padding == b"\0\0", "padding"),
        (fields[17] == sealed_bytes, "length"),
        (SEAL_OVERHEAD_BYTES.get(suite, 0) < sealed_bytes <= MAX_SEALED_BYTES, "length"),  # type: ignore[call-overload]
        (isinstance(count, int) and 1 <= count <= MAX_RECORDS, "count"),
        (batch_seq != 0 and first_record != 0, "count"),
        (stream in {STREAM_LEDGER, STREAM_TELEMETRY}, "stream"),
        (quality in TimeQuality.__members__.values(), "time_quality"),
    )
    return next((reason for fine, reason in checks if not fine), None)


def seal_info(header_bytes: bytes) -> bytes:
    """Return what HPKE binds: changing one bit of the header makes the body unreadable."""
    return INFO_LABEL + header_bytes


def signed_bytes(header_bytes: bytes, sealed: bytes) -> bytes:
    """Return what the hub signs."""
    return SIGNATURE_LABEL + header_bytes + sealed


def batch_hash(data: bytes) -> bytes:
    """Return the 32 bytes that name a whole batch in receipts and in the next batch's header."""
    return hashlib.sha256(HASH_LABEL + data).digest()


def tail_hash_of(data: bytes) -> bytes:
    """Return the journal_tail_hash in the header of a batch that we sealed ourselves."""
    return data[_TAIL_AT : _TAIL_AT + 32]
