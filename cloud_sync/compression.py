"""The only door to zstd: a batch's body, packed before it is sealed and unpacked behind the seal.

Frames say how long their content is and carry no checksum: the seal covers every bit. Level 3: higher ones win a byte
or two of an entry for eight times the time. No dictionary: hub and office would have to agree on one for ever.
"""

import sys
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL: Final = 3
WINDOW_LOG: Final = 18
"""A frame may ask its reader to look back over 256 KiB at most: as much as the longest body has."""
_MAGIC: Final = bytes.fromhex("28b52ffd")
_PACKING: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.content_size_flag: 1,
    zstd.CompressionParameter.checksum_flag: 0,
}
_UNPACKING: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}


def pack(body: bytes) -> bytes | None:
    """Return `body` as one frame, or None where that is not smaller."""
    packed = zstd.compress(body, options=_PACKING)
    return packed if len(packed) < len(body) else None


def unpack(data: bytes, *, most: int) -> bytes | None:
    """Return the content of exactly one frame, at most `most` bytes of it, or None. Never raises on bytes.

    Never more than `most` bytes and the window are held in memory, whatever the frame says of itself.
    """
    if not data.startswith(_MAGIC):  # a frame that is to be skipped, or of a format before 1.0, is none of ours
        return None
    opening = zstd.ZstdDecompressor(options=_UNPACKING)
    try:
        body = opening.decompress(data, most + 1)
    except zstd.ZstdError:
        return None
    return body if opening.eof and not opening.unused_data and len(body) <= most else None
