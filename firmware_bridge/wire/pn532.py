"""PN532 over a UART (HSU): frames both ways, found in a stream that may hold noise and wake-up bytes.

Source: NXP UM0701-02 (PN532 user manual), 6.2.1. TFI `D4` goes to the chip, `D5` comes from it.
"""

from typing import Final

import msgspec

TO_CHIP: Final = 0xD4
FROM_CHIP: Final = 0xD5
ACK: Final = bytes.fromhex("0000FF00FF00")
NACK: Final = bytes.fromhex("0000FFFF0000")
SYNTAX_ERROR: Final = bytes.fromhex("0000FF01FF7F8100")
BODY_LIMIT_BYTES: Final = 264
"""Command code and parameters; with the TFI a frame has at most 265 bytes of data."""

DIAGNOSE: Final = 0x00
GET_FIRMWARE_VERSION: Final = 0x02
GET_GENERAL_STATUS: Final = 0x04
READ_REGISTER: Final = 0x06
WRITE_REGISTER: Final = 0x08
READ_GPIO: Final = 0x0C
WRITE_GPIO: Final = 0x0E
SET_SERIAL_BAUDRATE: Final = 0x10
SET_PARAMETERS: Final = 0x12
SAM_CONFIGURATION: Final = 0x14
POWER_DOWN: Final = 0x16
RF_CONFIGURATION: Final = 0x32
IN_DATA_EXCHANGE: Final = 0x40
IN_COMMUNICATE_THRU: Final = 0x42
IN_DESELECT: Final = 0x44
IN_LIST_PASSIVE_TARGET: Final = 0x4A
IN_RELEASE: Final = 0x52
IN_SELECT: Final = 0x54
IN_AUTO_POLL: Final = 0x60

STATUS_OK: Final = 0x00
STATUS_TIMEOUT: Final = 0x01
STATUS_CRC: Final = 0x02
STATUS_FORMAT: Final = 0x13
STATUS_AUTHENTICATION: Final = 0x14
STATUS_WRONG_CONTEXT: Final = 0x27
STATUS_CODE_MASK: Final = 0x3F
STATUS_MORE: Final = 0x40

TYPE_A: Final = b"\x00"
FELICA_212: Final = bytes.fromhex("0100FFFF0100")
"""What InListPassiveTarget asks for behind the count: type A at 106 kbit/s; FeliCa at 212, any system code."""

PARAMETER_AUTOMATIC_RATS: Final = 0x10
RF_ITEM_FIELD: Final = 0x01
RF_ITEM_RETRIES: Final = 0x05
RETRY_FOR_EVER: Final = 0xFF

WAKE_UP: Final = b"\x55\x55" + bytes(14)
"""Goes before the first command on a UART: a chip that sleeps wakes by it, and loses it."""

_START: Final = b"\x00\xff"
_HEADER_BYTES: Final = 4
_EXTENDED_HEADER_BYTES: Final = 7
_ERROR_TFI: Final = 0x7F
_PADDING: Final = frozenset({0x00, 0x55})
"""Preamble, postamble and wake-up bytes: not noise."""


class DataFrame(msgspec.Struct, frozen=True):
    """A command (`tfi` D4) or an answer (D5). body: code, then parameters."""

    tfi: int
    body: bytes


class Ack(msgspec.Struct, frozen=True):
    """Received; from the host also: give up what you are doing."""


class Nack(msgspec.Struct, frozen=True):
    """Say the last answer again."""


class ErrorFrame(msgspec.Struct, frozen=True):
    """The chip did not understand the command."""


Message = DataFrame | Ack | Nack | ErrorFrame


def encode(frame: DataFrame) -> bytes:
    """Return the bytes of a frame: normal up to 255 bytes of data, else extended. ValueError above 265."""
    if len(frame.body) > BODY_LIMIT_BYTES:
        message = f"a PN532 frame carries at most {BODY_LIMIT_BYTES} bytes behind the TFI, got {len(frame.body)}"
        raise ValueError(message)
    data = bytes([frame.tfi]) + frame.body
    size = len(data)
    if size <= 0xFF:
        header = bytes([size, -size & 0xFF])
    else:
        header = b"\xff\xff" + size.to_bytes(2, "big") + bytes([-sum(size.to_bytes(2, "big")) & 0xFF])
    return b"\x00" + _START + header + data + bytes([-sum(data) & 0xFF, 0x00])


class _Found(msgspec.Struct, frozen=True):
    """What stands at a start code. size: bytes from the start code on; message: None where the bytes are wrong."""

    size: int
    message: Message | None


class Decoder:
    """Finds frames in a stream; holds at most one unfinished frame. `noise_bytes`: thrown away so far."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self._buffer = bytearray()
        self.noise_bytes = 0

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes as they come; return the messages that are complete."""
        self._buffer += data
        messages: list[Message] = []
        while True:
            self._skip_to_start()
            found = _read_frame(self._buffer)
            if found is None:
                return messages
            if found.message is None:
                self._drop(1)
            else:
                messages.append(found.message)
                del self._buffer[: found.size]

    def silence(self) -> list[Message]:
        """The line has been quiet: give up half a frame and return whole ones behind it."""
        messages: list[Message] = []
        while self._buffer:
            self._drop(1)
            messages += self.feed(b"")
        return messages

    def _skip_to_start(self) -> None:
        """Drop all bytes before a start code; a zero at the end may be the first half of one."""
        at = self._buffer.find(_START)
        if at < 0:
            at = len(self._buffer) - int(self._buffer.endswith(b"\x00"))
        self._drop(at)

    def _drop(self, count: int) -> None:
        self.noise_bytes += sum(byte not in _PADDING for byte in self._buffer[:count])
        del self._buffer[:count]


def _read_frame(buffer: bytearray) -> _Found | None:
    """Return what stands at the start code that `buffer` begins with; None where bytes are missing."""
    match bytes(buffer[2:4]):
        case b"\x00\xff":
            return _Found(_HEADER_BYTES, Ack())
        case b"\xff\x00":
            return _Found(_HEADER_BYTES, Nack())
        case b"\xff\xff":
            return _read_data(buffer, start=_EXTENDED_HEADER_BYTES, length_at=4)
        case _:
            return _read_data(buffer, start=_HEADER_BYTES, length_at=2)


def _read_data(buffer: bytearray, *, start: int, length_at: int) -> _Found | None:
    """Return the frame whose length and length checksum fill `buffer[length_at:start]` and whose data follow."""
    if len(buffer) < start:
        return None
    length = int.from_bytes(buffer[length_at : start - 1], "big")
    if sum(buffer[length_at:start]) & 0xFF or not 1 <= length <= BODY_LIMIT_BYTES + 1:
        return _Found(0, None)
    end = start + length + 1
    if len(buffer) < end:
        return None
    if sum(buffer[start:end]) & 0xFF:
        return _Found(0, None)
    data = bytes(buffer[start : end - 1])
    if data == bytes([_ERROR_TFI]):
        return _Found(end, ErrorFrame())
    return _Found(end, DataFrame(tfi=data[0], body=data[1:]))
