"""Canonical MessagePack: what decodes must encode to the same bytes, but for fields that another release appended."""

from typing import Final

import msgspec

_ENCODER: Final = msgspec.msgpack.Encoder()
_ANY: Final = msgspec.msgpack.Decoder()


def is_canonical(data: bytes, again: bytes) -> bool:
    """Say whether `data` is canonical; `again`: what it was read as, encoded by this release.

    Another release's form is, in which arrays end before fields that were appended since, or go on with ones this
    release does not know; such a form must be canonical in itself, and be the same wherever both have something.
    """
    if data == again:
        return True
    raw = _ANY.decode(data)
    return _ENCODER.encode(raw) == data and _alike(raw, _ANY.decode(again))


def _alike(theirs: object, ours: object) -> bool:
    if isinstance(theirs, list) and isinstance(ours, list):
        return all(map(_alike, theirs, ours))
    return type(theirs) is type(ours) and theirs == ours
