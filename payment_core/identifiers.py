"""Names of things: UUIDv7 made from given time and dice, credential ids, and the short ids a venue chooses."""

import hmac
import re
from functools import lru_cache
from typing import Final

UUID_BYTES: Final = 16
_RANDOM: Final = 0x0FFF_3FFF_FFFF_FFFF_FFFF
_VERSION_7: Final = 0x7000_8000_0000_0000_0000
"""Version and variant (RFC 9562, 4.1 and 4.2) above and within the random bits."""
SHORT_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def uuid7(*, unix_ms: int, dice: bytes) -> bytes:
    """Return the 16 bytes of a UUIDv7 (RFC 9562, 5.7) for `unix_ms` and 10 random bytes `dice`."""
    if len(dice) != 10:  # noqa: PLR2004 - RFC 9562: 74 random bits, taken from 80
        message = f"uuid7 needs 10 random bytes, got {len(dice)}"
        raise ValueError(message)
    random = int.from_bytes(dice, "big") & _RANDOM | _VERSION_7
    return (unix_ms << 80 | random).to_bytes(UUID_BYTES, "big")


def uuid_text(raw: bytes) -> str:
    """Return the 36 lower-case characters used in JSON, topics and certificates."""
    if len(raw) != UUID_BYTES:
        message = f"a UUID has 16 bytes, got {len(raw)}"
        raise ValueError(message)
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_UUID_TEXT: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes behind 36 lower-case characters; ValueError names what is wrong."""
    if not _UUID_TEXT.fullmatch(text):
        message = f"not a UUID in lower case with dashes: {text!r}"
        raise ValueError(message)
    return bytes.fromhex(text.replace("-", ""))


def is_short_id(text: str) -> bool:
    """Say whether `text` can name a device, bridge, lane, zone, machine, room or terminal."""
    return SHORT_ID.fullmatch(text) is not None


def credential_id(*, pepper: bytes, kind: str, raw_id: bytes) -> bytes:
    """Return the 16-byte id under which a credential is known: HMAC-SHA-256(pepper, kind ‖ 0 ‖ raw id), cut to 16.

    `kind` is the media name (`ntag21x`, `ntag424`); the zero byte keeps (`ab`, `c`) apart from (`a`, `bc`).
    The raw id never leaves the venue.
    """
    mac = _keyed(pepper).copy()
    mac.update(kind.encode() + b"\0" + raw_id)
    return mac.digest()[:16]


@lru_cache(maxsize=8)
def _keyed(pepper: bytes) -> hmac.HMAC:
    """Return the HMAC of nothing yet; its key need not be taken in anew at every tap."""
    return hmac.new(pepper, digestmod="sha256")
