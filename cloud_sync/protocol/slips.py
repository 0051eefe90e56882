"""Paid slips: money on a guest's phone, signed by the office, that one hub of one venue takes once, offline too.

A slip is the canonical MessagePack array of its fields, and behind it the Ed25519 signature over a label of its own and
those bytes; the QR code shows `VH1:` and the slip in base45, which a code's alphanumeric mode packs well
(docs/wire/slip.md). Signing itself is cloud_sync.signing's.
"""

from collections.abc import Container
from typing import Final, Literal

import msgspec

from payment_core.errors import DECODE_FAULTS
from payment_core.identifiers import UUID_BYTES, is_short_id
from payment_core.journal import Lot, LotKind, TimeQuality
from payment_core.money import Whole

VERSION: Final = 1
LABEL: Final = b"venuehub/slip/v1\0"
SIGNATURE_BYTES: Final = 64
MAX_SLIP_BYTES: Final = 288
"""A slip for a currency is under 200; what a QR code of one finger's width holds is not much more."""
PREFIX: Final = "VH1:"
VALID_MS: Final = 10 * 60_000
"""How long a slip is good from the moment it is issued."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_MAX_TEXT: Final = len(PREFIX) + MAX_SLIP_BYTES * 3 // 2 + 1


class Slip(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a slip says: `amount` minor units of `unit`, out of one lot, for whoever shows it first at this venue.

    hub_id: the one hub that takes it; None: any of the venue, and then two that are apart could both take it.
    account_id None: it belongs to whoever holds it, and its account is the slip itself. lane: empty for any.
    Times are UTC ms; `lot_*` are the facts of the lot, as in payment_core.records.Lot.
    """

    version: int = VERSION
    tenant_id: bytes
    venue_id: bytes
    hub_id: bytes | None
    slip_id: bytes
    account_id: bytes | None
    unit: str
    amount: Whole
    lane: str
    valid_until_ms: Whole
    lot_id: bytes
    lot_kind: LotKind
    lot_opened_ms: Whole
    lot_expires_ms: Whole | None
    lot_terms: Whole

    @property
    def account(self) -> bytes:
        """Whose lease it becomes."""
        return self.account_id if self.account_id is not None else self.slip_id

    @property
    def lot(self) -> Lot:
        """The lot, without the payment's name: that one stays at the office."""
        return Lot(self.lot_id, self.lot_kind, self.lot_opened_ms, self.lot_expires_ms, terms=self.lot_terms)


class SignedSlip(msgspec.Struct, frozen=True):
    """A slip as it was shown: what it says, the bytes that were signed, and a signature that nobody has proven yet."""

    slip: Slip
    message: bytes
    signature: bytes


SlipFault = Literal["slip_framing", "slip_length", "slip_version", "slip_body", "slip_canonical"]
SlipRefusal = Literal[
    "slip_signature", "slip_venue", "slip_lane", "slip_used", "slip_clock", "slip_expired"
]  # fmt: skip


class NoSlip(msgspec.Struct, frozen=True):
    """What was shown is no slip, and the first thing that was wrong."""

    reason: SlipFault


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Slip)


def encode_slip(slip: Slip) -> bytes:
    """Return the canonical bytes that are signed."""
    return _ENCODER.encode(slip)


def signed_bytes(message: bytes) -> bytes:
    """Return what is signed: a label of its own, so that no other signature of the office makes a slip."""
    return LABEL + message


def join_slip(message: bytes, signature: bytes) -> bytes:
    """Return the bytes of a signed slip."""
    return message + signature


def split_slip(data: bytes) -> SignedSlip | NoSlip:
    """Return the slip in `data`, its signature not proven yet. Never raises on bytes."""
    if not SIGNATURE_BYTES < len(data) <= MAX_SLIP_BYTES:
        return NoSlip("slip_length")
    message, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    try:
        slip = _DECODER.decode(message)
    except DECODE_FAULTS:
        return NoSlip("slip_body")
    if slip.version != VERSION:
        return NoSlip("slip_version")
    if not _is_sound(slip):
        return NoSlip("slip_body")
    return SignedSlip(slip, message, signature) if encode_slip(slip) == message else NoSlip("slip_canonical")


def _is_sound(slip: Slip) -> bool:
    ids = (slip.tenant_id, slip.venue_id, slip.hub_id or slip.slip_id, slip.slip_id, slip.lot_id, slip.account)
    lane_fits = not slip.lane or is_short_id(slip.lane)
    if slip.hub_id == b"":
        return False
    return all(len(some) == UUID_BYTES for some in ids) and slip.amount > 0 and bool(slip.unit) and lane_fits


def slip_text(data: bytes) -> str:
    """Return what the QR code shows."""
    return PREFIX + base45(data)


def slip_bytes(text: str) -> bytes | NoSlip:
    """Return the bytes behind what a scanner read. Never raises on text."""
    if not text.startswith(PREFIX) or len(text) > _MAX_TEXT:
        return NoSlip("slip_framing")
    data = unbase45(text[len(PREFIX) :])
    return NoSlip("slip_framing") if data is None else data


def read_slip(text: str) -> SignedSlip | NoSlip:
    """Return the slip in what a scanner read, its signature not proven yet."""
    data = slip_bytes(text)
    return data if isinstance(data, NoSlip) else split_slip(data)


def judge_slip(
    slip: Slip, *, venue_id: bytes, hub_id: bytes, lane: str | None, now_ms: int, quality: TimeQuality,
    used: Container[bytes],
) -> SlipRefusal | None:  # fmt: skip
    """Say why a hub does not take a proven slip now, or None where it takes it.

    lane None: a desk and no lane. A slip is good for minutes, so a hub that does not know the time better than `held`
    cannot tell: it refuses, and the guest keeps the money. `used`: ids of the slips this hub has taken.
    """
    if slip.venue_id != venue_id or slip.hub_id not in (None, hub_id):
        return "slip_venue"
    if slip.slip_id in used:
        return "slip_used"
    if slip.lane and slip.lane != lane:
        return "slip_lane"
    if quality > TimeQuality.HELD:
        return "slip_clock"
    return "slip_expired" if now_ms >= slip.valid_until_ms else None


def base45(data: bytes) -> str:
    """Return RFC 9285's text: two bytes are three letters, a last single byte is two."""
    letters: list[str] = []
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        number = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            number, digit = divmod(number, 45)
            letters.append(_ALPHABET[digit])
    return "".join(letters)


def unbase45(text: str) -> bytes | None:
    """Return the bytes behind RFC 9285's text, or None where it is none."""
    data = bytearray()
    for at in range(0, len(text), 3):
        group = text[at : at + 3]
        if len(group) == 1 or any(letter not in _VALUES for letter in group):
            return None
        number = sum(_VALUES[letter] * 45**place for place, letter in enumerate(group))
        size = len(group) - 1
        if number >= 1 << (8 * size):
            return None
        data += number.to_bytes(size, "big")
    return bytes(data)
