"""Canonical MessagePack: what decodes must encode to the same bytes, but for fields that later releases appended."""

from typing import Final

import msgspec

_ENCODER: Final = msgspec.msgpack.Encoder()
_ANY: Final = msgspec.msgpack.Decoder()


def is_canonical(data: bytes, again: bytes) -> bool:
    """Say whether `data` is canonical; `again`: what it was read as, encoded by this release.

    An older release's form is: its arrays end before fields that were appended since, and it is canonical in itself.
    """
    if data == again:
        return True
    raw = _ANY.decode(data)
    return _ENCODER.encode(raw) == data and _begins(raw, _ANY.decode(again))


def _begins(short: object, whole: object) -> bool:
    if isinstance(short, list) and isinstance(whole, list):
        return len(short) <= len(whole) and all(map(_begins, short, whole))
    return type(short) is type(whole) and short == whole
