"""A second reader and writer of EHB1 batches, written from docs/wire/ehb1.md and public standards alone.

It shares no line with this project's code, so that the page is proven enough: what one side writes the other opens.
Reasons of a refusal are the page's words. The office keeps more than one batch's place; here the caller does.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from backports import zstd
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.support import independent_entries as entries
from tests.support import independent_hpke as hpke

ZEROS: Final = bytes(32)
LAYOUT: Final = {
    "magic": "4s",
    "version": "B",
    "suite": "B",
    "flags": "H",
    "hub_id": "16s",
    "epoch": "I",
    "batch_seq": "Q",
    "first_record": "Q",
    "record_count": "I",
    "created_ms": "Q",
    "time_quality": "B",
    "stream": "B",
    "padding": "H",
    "recipient_key": "8s",
    "signer_key": "8s",
    "previous_batch_hash": "32s",
    "journal_tail_hash": "32s",
    "sealed_length": "I",
}
HEADER: Final = struct.Struct(">" + "".join(LAYOUT.values()))
SIGNATURE: Final = 64
MOST_SEALED: Final = 262_144
MOST_BODY: Final = 261_008
WINDOW: Final = 1 << 18
ADDS: Final = {1: 48, 2: 48, 3: 1_136}

Header = dict[str, Any]


class RefusedError(Exception):
    """A batch that is not taken; `reason` is the page's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Place(NamedTuple):
    """Where a journal stands: what the office's watermark holds. As it is made, the beginning of an epoch."""

    epoch: int = 1
    batch_seq: int = 0
    batch_hash: bytes = ZEROS
    last_record: int = 0
    tail: bytes = ZEROS


def key_id(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:8]


def batch_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"edgehub/batch-hash/v1\0" + data).digest()


def chain(tail: bytes, records: Iterable[bytes]) -> bytes:
    for record in records:
        tail = hashlib.sha256(b"edgehub/record/v1\0" + tail + record).digest()
    return tail


def frame(records: Iterable[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(4) + record for record in records)


def topic(hub_id: bytes) -> str:
    name = "-".join(re.fullmatch("(.{8})(.{4})(.{4})(.{4})(.{12})", hub_id.hex()).groups())
    return f"vh/1/p{hashlib.sha256(hub_id).digest()[0] % 64:02d}/{name}/up/batch"


def place_after(data: bytes) -> Place:
    """Return where a journal stands once this batch is booked."""
    header = dict(zip(LAYOUT, HEADER.unpack_from(data), strict=True))
    last = header["first_record"] + header["record_count"] - 1
    return Place(header["epoch"], header["batch_seq"], batch_hash(data), last, header["journal_tail_hash"])


# ---------------------------------------------------------------------------------------------------------- writing
def write_batch(
    records: Sequence[bytes],
    *,
    hub_id: bytes,
    hub_sign_private: bytes,
    office_receive_public: bytes,
    ephemeral: bytes,
    created_ms: int,
    after: Place,
    suite: int = 1,
    stream: int = 0,
    time_quality: int = 0,
    pack: Callable[[bytes], bytes] | None = None,
    lies: dict[str, Any] | None = None,
) -> bytes:
    """Return the batch that follows `after`. `pack` compresses the body; `lies` are header fields that are not so."""
    signer = Ed25519PrivateKey.from_private_bytes(hub_sign_private)
    plain = pack(frame(records)) if pack else frame(records)
    fields: Header = {
        "magic": b"EHB1",
        "version": 1,
        "suite": suite,
        "flags": 1 if pack else 0,
        "hub_id": hub_id,
        "epoch": after.epoch,
        "batch_seq": after.batch_seq + 1,
        "first_record": after.last_record + 1,
        "record_count": len(records),
        "created_ms": created_ms,
        "time_quality": time_quality,
        "stream": stream,
        "padding": 0,
        "recipient_key": key_id(office_receive_public),
        "signer_key": key_id(signer.public_key().public_bytes_raw()),
        "previous_batch_hash": after.batch_hash,
        "journal_tail_hash": chain(after.tail, records),
        "sealed_length": len(plain) + ADDS[suite],
    }
    fields |= lies or {}
    header = HEADER.pack(*fields.values())
    sealed = hpke.seal(suite, office_receive_public, b"edgehub/batch/v1\0" + header, plain, ephemeral)
    return header + sealed + signer.sign(b"edgehub/batch-sig/v1\0" + header + sealed)


# ---------------------------------------------------------------------------------------------------------- reading
def open_batch(
    data: bytes,
    *,
    hub_sign_public: bytes,
    office_receive_private: bytes | Sequence[bytes],
    hub_id: bytes | None = None,
    after: Place | None = None,
) -> tuple[Header, list[bytes]]:
    """Return header and records of a batch that comes next, or raise `RefusedError`, in the page's order of checks.

    `hub_id`: from the topic. `after`: where the journal stands; without it the batch must be the first of its epoch.
    """
    header, sealed = authenticate(data, hub_sign_public=hub_sign_public, hub_id=hub_id)
    after = _place(header, after or Place(header["epoch"]))
    body = open_body(data, header, sealed, office_receive_private)
    records = records_of(header, body, after)
    if header["stream"] == 0:
        for seq, record in enumerate(records, start=header["first_record"]):
            _hold(entries.is_bookable(record, seq=seq, epoch=header["epoch"]), "parked")
    return header, records


def authenticate(data: bytes, *, hub_sign_public: bytes, hub_id: bytes | None = None) -> tuple[Header, bytes]:
    """Return header and sealed bytes: steps 2 to 4."""
    _hold(208 < len(data) <= 262_352, "length")
    header: Header = dict(zip(LAYOUT, HEADER.unpack_from(data), strict=True))
    suite, length = header["suite"], header["sealed_length"]
    _hold(header["magic"] == b"EHB1", "magic")
    _hold(header["version"] == 1, "version")
    _hold(suite in ADDS, "suite")
    _hold(header["flags"] in (0, 1), "flags")
    _hold(header["padding"] == 0, "padding")
    _hold(length == len(data) - HEADER.size - SIGNATURE and ADDS[suite] < length <= MOST_SEALED, "length")
    _hold(1 <= header["record_count"] <= 10_000 and header["batch_seq"] > 0 and header["first_record"] > 0, "count")
    _hold(header["stream"] in (0, 1), "stream")
    _hold(header["time_quality"] <= 4, "time_quality")
    _hold(hub_id in (None, header["hub_id"]), "hub")
    _hold(header["signer_key"] == key_id(hub_sign_public), "signer")
    signed, signature = data[:-SIGNATURE], data[-SIGNATURE:]
    _hold(not hpke.is_of_small_order(hub_sign_public), "signature")
    try:
        Ed25519PublicKey.from_public_bytes(hub_sign_public).verify(signature, b"edgehub/batch-sig/v1\0" + signed)
    except InvalidSignature:
        raise RefusedError("signature") from None
    return header, signed[HEADER.size :]


def open_body(data: bytes, header: Header, sealed: bytes, private: bytes | Sequence[bytes]) -> bytes:
    """Return the body, unpacked where the header says so: step 6."""
    ours = {key_id(hpke.public_of(key)): key for key in ([private] if isinstance(private, bytes) else private)}
    _hold(header["recipient_key"] in ours, "recipient")
    key = ours[header["recipient_key"]]
    plain = hpke.unseal(header["suite"], key, b"edgehub/batch/v1\0" + data[: HEADER.size], sealed)
    if plain is None:
        raise RefusedError("decrypt")
    return unpack(plain) if header["flags"] else plain


def records_of(header: Header, body: bytes, after: Place) -> list[bytes]:
    """Return the records, framed, counted and chained as they must be: step 7."""
    _hold(header["first_record"] == after.last_record + 1, "first_record")
    records, at = [], 0
    while at < len(body):
        _hold(len(records) < header["record_count"], "framing")  # something behind the last
        length = int.from_bytes(body[at : at + 4])
        at += 4 + length
        _hold(length > 0 and at <= len(body), "framing")
        records.append(body[at - length : at])
    _hold(len(records) == header["record_count"], "count")
    _hold(chain(after.tail, records) == header["journal_tail_hash"], "chain")
    return records


def _hold(holds: bool, reason: str) -> None:  # noqa: FBT001 - the condition is what is said
    if not holds:
        raise RefusedError(reason)


def _place(header: Header, after: Place) -> Place:
    """Return the place the batch follows: step 5, for an office that has nothing but its watermark."""
    _hold(header["epoch"] >= after.epoch, "old_epoch")
    if header["epoch"] > after.epoch:
        after = Place(header["epoch"])
    _hold(header["batch_seq"] > after.batch_seq, "again")
    _hold(header["batch_seq"] == after.batch_seq + 1, "ahead")
    _hold(header["previous_batch_hash"] == after.batch_hash, "fork")
    _hold(header["first_record"] == after.last_record + 1, "fork")
    return after


def unpack(data: bytes) -> bytes:
    """Return what one zstd frame holds. Its header is read here by RFC 8878, 3.1.1.1, before anything is unpacked."""
    _hold(data[:4] == bytes.fromhex("28b52ffd") and len(data) > 5, "compressed")
    descriptor, at = data[4], 5
    _hold(not descriptor & 0b1000, "compressed")  # the reserved bit
    if not descriptor & 0b10_0000:  # no single segment: the window is said. Else it is the content, bounded below
        exponent, mantissa, at = data[5] >> 3, data[5] & 7, 6
        _hold((1 << (10 + exponent)) // 8 * (8 + mantissa) <= WINDOW, "compressed")
    id_length = (0, 1, 2, 4)[descriptor & 0b11]
    _hold(not any(data[at : at + id_length]), "compressed")  # a dictionary's id; 0 says that there is none
    unpacker = zstd.ZstdDecompressor()
    try:
        body = unpacker.decompress(data, max_length=MOST_BODY + 1)
    except zstd.ZstdError:
        raise RefusedError("compressed") from None
    _hold(len(body) <= MOST_BODY and unpacker.eof and not unpacker.unused_data, "compressed")
    return body
