"""Where the next page begins, as a text that only this office can make: bound to what was asked, signed."""

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Any, Final

import msgspec

from back_office.api.access import Asked
from back_office.api.problems import refused

_MAC_BYTES: Final = 16
_LABEL: Final = b"venuehub/api/cursor/v1\0"
MOST_CURSOR: Final = 3_072
"""Characters of a cursor: in one of takings three names of 128 characters may stand, each of four bytes."""
Place = tuple[Any, ...]


def cursor_key(pepper: bytes) -> bytes:
    """Return the key that signs cursors, made of the tenant's pepper."""
    return hmac.digest(pepper, _LABEL, sha256)


def cursor_of(asked: Asked, place: Place, *bound: object) -> str:
    """Return a cursor behind `place` for the same question: operation, venue, hub and what is `bound`."""
    said = msgspec.msgpack.encode(place)
    return base64.urlsafe_b64encode(_mac(asked, said, bound) + said).rstrip(b"=").decode()


def place_of(asked: Asked, cursor: str | None, *bound: object) -> Place | None:
    """Return the place of a cursor; None without one; HTTPException 422 where it is none of ours for this question."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    mac, said = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not said or not hmac.compare_digest(mac, _mac(asked, said, bound)):
        raise refused(422, "query.cursor: take it from `next` of a page of the same question")
    return tuple(msgspec.msgpack.decode(said))


def _mac(asked: Asked, said: bytes, bound: tuple[object, ...]) -> bytes:
    venue = asked.venue.venue_id if asked.venue is not None else b""
    hub = asked.hub.hub_id if asked.hub is not None else b""
    question = msgspec.msgpack.encode((asked.tenant_id, asked.operation, venue, hub, bound))
    return hmac.digest(asked.books.cursor_key, question + b"\0" + said, sha256)[:_MAC_BYTES]
