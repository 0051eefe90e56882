"""ccTalk frames with the simple checksum or CRC-16, and a decoder that finds them in any cutting of the line.

Source: ccTalk Generic Specification part 1 (frames, checksum), Innovative Technology NV11 manual (CRC form).
"""

import binascii
from enum import IntEnum
from typing import Final, Literal

import msgspec

HOST: Final = 1
BROADCAST: Final = 0
ACCEPTOR: Final = 2
"""Addresses: not re-checked against the maker's paper."""
ACK, NAK, BUSY = 0, 5, 6
MAX_DATA_BYTES: Final = 255
OVERHEAD_BYTES: Final = 5
BYTE_GAP_MS: Final = 50
"""A pause inside a frame longer than this means that the rest will not come (part 1, timing)."""

Checksum = Literal["simple", "crc"]


class Frame(msgspec.Struct, frozen=True):
    """One message. `source` is None in the CRC form, which has no room for it; a reply has header 0, 5 or 6."""

    destination: int
    source: int | None
    header: int
    data: bytes = b""


class Noise(msgspec.Struct, frozen=True):
    """Bytes thrown away because no frame begins with them."""

    data: bytes


class Header(IntEnum):
    """The commands of a coin acceptor that this hub and its simulator know, by the manual's numbers."""

    RESET = 1
    COMMS_REVISION = 4
    COIN_ID = 184
    BUILD_CODE = 192
    REQUEST_SORTER_PATHS = 209
    MODIFY_SORTER_PATHS = 210
    ACCEPT_COUNTER = 225
    INSERTION_COUNTER = 226
    REQUEST_MASTER_INHIBIT = 227
    MODIFY_MASTER_INHIBIT = 228
    BUFFERED_CREDIT = 229
    REQUEST_INHIBITS = 230
    MODIFY_INHIBITS = 231
    SELF_CHECK = 232
    SOFTWARE_REVISION = 241
    SERIAL_NUMBER = 242
    PRODUCT_CODE = 244
    EQUIPMENT_CATEGORY = 245
    MANUFACTURER = 246
    STATUS = 248
    POLLING_PRIORITY = 249
    ADDRESS_POLL = 253
    SIMPLE_POLL = 254


def crc16(data: bytes) -> int:
    """Return the CRC-16 of the CRC form: polynomial 1021 hex, start 0, not reflected (XMODEM)."""
    return binascii.crc_hqx(data, 0)


def encode(frame: Frame, *, checksum: Checksum) -> bytes:
    """Return the bytes of a frame; ValueError where a field does not fit or the source does not suit the form."""
    if len(frame.data) > MAX_DATA_BYTES:
        message = f"a ccTalk frame carries at most {MAX_DATA_BYTES} data bytes, got {len(frame.data)}"
        raise ValueError(message)
    if checksum == "crc":
        crc = crc16(bytes([frame.destination, len(frame.data), frame.header]) + frame.data)
        return bytes([frame.destination, len(frame.data), crc & 0xFF, frame.header]) + frame.data + bytes([crc >> 8])
    if frame.source is None:
        message = "a ccTalk frame with the simple checksum needs a source address"
        raise ValueError(message)
    body = bytes([frame.destination, len(frame.data), frame.source, frame.header]) + frame.data
    return body + bytes([-sum(body) & 0xFF])


class Decoder:
    """Collects bytes of one line and returns frames and noise; never raises on what the line said.

    It returns the frames of everybody on the wire: on the one-wire bus a host also hears itself (local echo), which is
    a frame whose destination is not the host, so that adapters with and without echo need no setting.
    """

    def __init__(self, checksum: Checksum) -> None:
        self._checksum: Final = checksum
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Say whether part of a frame is waiting for its rest, so that a pause of `BYTE_GAP_MS` matters."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Frame | Noise]:
        """Take bytes as they came; return what became whole."""
        self._buffer += data
        return self._take(line_is_silent=False)

    def silence(self) -> list[Frame | Noise]:
        """The line was silent for `BYTE_GAP_MS`: give up half a frame and return the whole ones behind it."""
        return self._take(line_is_silent=True)

    def _take(self, *, line_is_silent: bool) -> list[Frame | Noise]:
        found: list[Frame | Noise] = []
        skipped = bytearray()
        start = 0
        while start < len(self._buffer):
            total = self._buffer[start + 1] + OVERHEAD_BYTES if start + 1 < len(self._buffer) else OVERHEAD_BYTES
            whole = start + total <= len(self._buffer)
            if not whole and not line_is_silent:
                break
            frame = self._frame(bytes(self._buffer[start : start + total])) if whole else None
            if frame is None:
                skipped.append(self._buffer[start])
                start += 1
                continue
            if skipped:
                found.append(Noise(bytes(skipped)))
                skipped.clear()
            found.append(frame)
            start += total
        if skipped:
            found.append(Noise(bytes(skipped)))
        del self._buffer[:start]
        return found

    def _frame(self, raw: bytes) -> Frame | None:
        """Return the frame of exactly these bytes, or None where the checksum or the source is wrong."""
        destination, length, third, header = raw[:4]
        data = raw[4 : 4 + length]
        if self._checksum == "crc":
            right = crc16(bytes([destination, length, header]) + data) == third | raw[-1] << 8
            return Frame(destination, None, header, data) if right else None
        right = sum(raw) & 0xFF == 0 and third not in {BROADCAST, destination}
        return Frame(destination, third, header, data) if right else None
