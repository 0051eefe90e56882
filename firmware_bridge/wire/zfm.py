"""Packets of the ZFM-20 family of fingerprint modules (R30x, R503, AS608), and what answers to questions mean.

Source: Hangzhou Grow R503 user manual, chapters III to V; ZFM-20 user manual 1.4. The codes that move an image or a
template over the line are left out on purpose: a program that knows this file only cannot ask for one.
"""

from enum import IntEnum
from typing import Final

import msgspec

HEADER: Final = b"\xef\x01"
ANY_ADDRESS: Final = 0xFFFFFFFF
MAX_DATA_BYTES: Final = 256
HEAD_BYTES: Final = 9
SUM_BYTES: Final = 2
READY_BYTE: Final = 0x55
"""Said once when a module has power and listens; ZFM-20 and most R30x say nothing."""
PAGES_PER_INDEX: Final = 256
NOTEPAD_PAGE_BYTES: Final = 32
NO_PASSWORD: Final = bytes(4)

OK: Final = 0x00
NO_FINGER: Final = 0x02
MESSY: Final = 0x06
NOT_FOUND: Final = 0x09
MERGE_FAILED: Final = 0x0A
WRONG_PASSWORD: Final = 0x13


class PacketKind(IntEnum):
    """Who says what. DATA and LAST_DATA carry images and templates."""

    COMMAND = 0x01
    DATA = 0x02
    ACK = 0x07
    LAST_DATA = 0x08


class Ask(IntEnum):
    """Questions of a host that identifies, enrolls and forgets, by the manual's numbers."""

    IMAGE = 0x01
    FEATURES = 0x02
    SEARCH = 0x04
    MERGE = 0x05
    STORE = 0x06
    DELETE = 0x0C
    PARAMETERS = 0x0F
    PASSWORD = 0x13
    WRITE_NOTEPAD = 0x18
    READ_NOTEPAD = 0x19
    QUICK_SEARCH = 0x1B
    INDEX = 0x1F
    LIGHT = 0x35
    PRODUCT = 0x3C


class LightMode(IntEnum):
    """How the ring of an R503 shines."""

    BREATHING = 1
    FLASHING = 2
    ON = 3
    OFF = 4


class LightColour(IntEnum):
    """Colours of the ring; modules from before 2021 have the first three only."""

    RED = 1
    BLUE = 2
    PURPLE = 3
    GREEN = 4


_ANSWER_SIZES: Final = {
    Ask.SEARCH: (4,),
    Ask.QUICK_SEARCH: (4,),
    Ask.PARAMETERS: (16,),
    Ask.READ_NOTEPAD: (NOTEPAD_PAGE_BYTES,),
    Ask.INDEX: (PAGES_PER_INDEX // 8,),
    Ask.PRODUCT: (46, 50),
}
"""Bytes behind the confirmation code. PRODUCT: the manual's length field says 46, its table 50 (p. 16)."""


class Packet(msgspec.Struct, frozen=True):
    """One packet, its checksum right."""

    kind: PacketKind
    data: bytes
    address: int = ANY_ADDRESS


class Ready(msgspec.Struct, frozen=True):
    """The module has just got power: its buffers are empty."""


class Reply(msgspec.Struct, frozen=True):
    """An answer: confirmation code and what stands behind it."""

    code: int
    data: bytes = b""


class Parameters(msgspec.Struct, frozen=True):
    """What a module says of itself: pages, security level 1..5, size code of a packet 0..3, speed 1..12 times 9,600."""

    capacity: int
    security: int
    size: int
    speed: int

    @property
    def can_be(self) -> bool:
        """Say whether a module of this family can have them; R503 and AS608 manuals, register table."""
        return self.capacity > 0 and 1 <= self.security <= 5 and 0 <= self.size <= 3 and 1 <= self.speed <= 12


class Match(msgspec.Struct, frozen=True):
    """A finger that the module knows, and how sure it is (0..65535, the maker's own measure)."""

    page: int
    score: int


def encode(packet: Packet) -> bytes:
    """Return the bytes of a packet; ValueError without data or with more than 256 bytes."""
    if not 1 <= len(packet.data) <= MAX_DATA_BYTES:
        message = f"a packet carries 1 to {MAX_DATA_BYTES} bytes, got {len(packet.data)}"
        raise ValueError(message)
    summed = bytes([packet.kind]) + (len(packet.data) + SUM_BYTES).to_bytes(2, "big") + packet.data
    return HEADER + packet.address.to_bytes(4, "big") + summed + (sum(summed) & 0xFFFF).to_bytes(2, "big")


def question(ask: Ask, data: bytes = b"") -> bytes:
    """Return the bytes of a question to a module with the factory's address."""
    return encode(Packet(PacketKind.COMMAND, bytes([ask]) + data))


def read_reply(ask: Ask, packet: Packet) -> Reply | None:
    """Return the answer to `ask`, None where a packet of this kind or size cannot be one.

    A refusal may come without what a success carries: Search does carry it, the notepad need not.
    """
    if packet.kind is not PacketKind.ACK:
        return None
    reply = Reply(packet.data[0], packet.data[1:])
    if len(reply.data) in _ANSWER_SIZES.get(ask, (0,)):
        return reply
    return reply if reply.code != OK and not reply.data else None


def read_parameters(data: bytes) -> Parameters:
    """Return what the answer to PARAMETERS says."""
    numbers = (int.from_bytes(data[at : at + 2], "big") for at in (4, 6, 12, 14))
    return Parameters(*numbers)


def read_match(data: bytes) -> Match:
    """Return what the answer to a search says."""
    return Match(page=int.from_bytes(data[:2], "big"), score=int.from_bytes(data[2:4], "big"))


def read_index(data: bytes, *, table: int) -> set[int]:
    """Return the occupied pages of one index table; the lowest bit of the first byte is the first page."""
    first = table * PAGES_PER_INDEX
    return {first + 8 * at + bit for at, byte in enumerate(data) for bit in range(8) if byte >> bit & 1}


def pack_index(pages: set[int], *, table: int) -> bytes:
    """Return the index table of these pages."""
    packed = bytearray(PAGES_PER_INDEX // 8)
    for page in pages:
        if page // PAGES_PER_INDEX == table:
            packed[page % PAGES_PER_INDEX // 8] |= 1 << page % 8
    return bytes(packed)


def product_serial(data: bytes) -> str:
    """Return the serial number in an answer to PRODUCT, empty where it is not printable."""
    return printable(data[20:28])


def product_model(data: bytes) -> str:
    """Return the module type and the hardware version."""
    return f"{printable(data[:16])} {data[28]}.{data[29]}"


def printable(field: bytes) -> str:
    """Return the ASCII text that a field of fixed size begins with, without blanks around it."""
    size = next((at for at, byte in enumerate(field) if not 0x20 <= byte < 0x7F), len(field))
    return field[:size].decode("ascii").strip()


class Decoder:
    """Finds packets in a stream; holds at most one unfinished packet. `noise_bytes`: thrown away so far."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self._buffer = bytearray()
        self.noise_bytes = 0

    @property
    def pending(self) -> bool:
        """Say whether part of a packet waits for its rest."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Packet | Ready]:
        """Take bytes as they come; return what is complete."""
        self._buffer += data
        found: list[Packet | Ready] = []
        while True:
            at = self._buffer.find(HEADER)
            if at < 0:
                at = len(self._buffer) - int(self._buffer.endswith(HEADER[:1]))
            found += self._drop(at)
            size = _packet_size(self._buffer)
            if size is None or len(self._buffer) < size:
                return found
            packet = _packet(bytes(self._buffer[:size]))
            if packet is None:
                found += self._drop(1)
            else:
                found.append(packet)
                del self._buffer[:size]

    def silence(self) -> list[Packet | Ready]:
        """The line has been quiet: give up half a packet and return whole ones behind it."""
        found: list[Packet | Ready] = []
        while self._buffer:
            found += self._drop(1)
            found += self.feed(b"")
        return found

    def _drop(self, count: int) -> list[Packet | Ready]:
        """Throw bytes away; a module's word that it is ready is one of them."""
        ready = READY_BYTE in self._buffer[:count]
        self.noise_bytes += count - self._buffer[:count].count(READY_BYTE)
        del self._buffer[:count]
        return [Ready()] if ready else []


def _packet_size(buffer: bytearray) -> int | None:
    """Return the bytes of the packet that `buffer` begins with, 0 where none can, None where its head is cut."""
    if len(buffer) < HEAD_BYTES:
        return None
    length = int.from_bytes(buffer[7:9], "big")
    possible = buffer[6] in tuple(PacketKind) and SUM_BYTES < length <= MAX_DATA_BYTES + SUM_BYTES
    return HEAD_BYTES + length if possible else 0


def _packet(raw: bytes) -> Packet | None:
    """Return the packet of exactly these bytes, None where there is none or its checksum is wrong."""
    if not raw or sum(raw[6:-SUM_BYTES]) & 0xFFFF != int.from_bytes(raw[-SUM_BYTES:], "big"):
        return None
    return Packet(PacketKind(raw[6]), raw[HEAD_BYTES:-SUM_BYTES], int.from_bytes(raw[2:6], "big"))
