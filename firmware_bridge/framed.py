"""Records in a file, each `[crc, length, payload]`: the whole ones, and those behind damage."""

import re
import struct
import zlib
from typing import Final

import msgspec

_FRAME: Final = struct.Struct("<IH")


class Frames(msgspec.Struct, frozen=True):
    """Payloads up to the first frame that is not whole, and whole ones behind it: they prove damage, not a torn tail.

    A write that was cut off leaves nothing whole behind it (but for a disk that reorders, which is treated the same).
    """

    whole: list[bytes]
    behind: list[bytes]
    lost_bytes: int


def frame(payload: bytes, generation: int) -> bytes:
    """Return the payload in its frame; another generation's frame is none."""
    return _FRAME.pack(zlib.crc32(payload, generation & 0xFFFFFFFF), len(payload)) + payload


def read_frames(body: bytes, generation: int, *, starts: re.Pattern[bytes]) -> Frames:
    """Return what is whole. `starts`: how every payload begins, by which frames behind damage are found again."""
    whole, at = _walk(body, 0, generation)
    behind: list[bytes] = []
    lost_bytes = 0
    if body[at:] == bytes(len(body) - at):  # nothing was ever written there
        return Frames(whole, behind, lost_bytes)
    for match in starts.finditer(body, at + _FRAME.size + 1):
        start = match.start() - _FRAME.size
        if start < at:
            continue
        found, end = _walk(body, start, generation)
        if found:
            behind += found
            lost_bytes += start - at
            at = end
    return Frames(whole, behind, lost_bytes)


def _walk(body: bytes, at: int, generation: int) -> tuple[list[bytes], int]:
    """Return the payloads from `at` on, and where the first frame begins that is not whole."""
    payloads: list[bytes] = []
    while at + _FRAME.size <= len(body):
        crc, length = _FRAME.unpack_from(body, at)
        payload = body[at + _FRAME.size : at + _FRAME.size + length]
        if not length or len(payload) < length or zlib.crc32(payload, generation & 0xFFFFFFFF) != crc:
            break
        payloads.append(payload)
        at += _FRAME.size + length
    return payloads, at
