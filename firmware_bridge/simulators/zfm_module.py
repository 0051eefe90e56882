"""A fingerprint module of the ZFM-20 family as its makers' manuals describe it: memory, buffers, questions, answers.

It keeps, moves and compares templates as a real one does, for other people's software; our driver asks for none.
"""

import random
from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import msgspec

from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import Ask, Packet, PacketKind

PACKET_ERROR: Final = 0x01
NO_MATCH: Final = 0x08
BAD_PAGE: Final = 0x0B
NOT_LOADED: Final = 0x0C
NOT_SENT: Final = 0x0F
NOT_DELETED: Final = 0x10
NO_IMAGE: Final = 0x15
BAD_REGISTER: Final = 0x1A
BAD_NOTEPAD_PAGE: Final = 0x1C
PASSWORD_FIRST: Final = 0x21
NOT_SUPPORTED: Final = 0xFC
ECHO: Final = 0x55
NOTEPAD_PAGES: Final = 16
IMAGE_BYTES: Final = 256 * 288 // 2
SIZE_REGISTER, SECURITY_REGISTER, BAUD_REGISTER = 6, 5, 4


class Other(IntEnum):
    """Questions that only other people's software asks; some move templates and images over the line."""

    MATCH = 0x03
    LOAD = 0x07
    SEND_TEMPLATE = 0x08
    TAKE_TEMPLATE = 0x09
    SEND_IMAGE = 0x0A
    TAKE_IMAGE = 0x0B
    EMPTY = 0x0D
    SET_PARAMETER = 0x0E
    SET_PASSWORD = 0x12
    RANDOM = 0x14
    SET_ADDRESS = 0x15
    COUNT = 0x1D
    BETTER_IMAGE = 0x28
    CHECK_SENSOR = 0x36
    SOFT_RESET = 0x3D
    HANDSHAKE = 0x40
    LAMP_ON = 0x50
    LAMP_OFF = 0x51
    ECHO = 0x53


class Model(msgspec.Struct, frozen=True):
    """How the members of the family differ. `unknown`: the code that answers a question they do not know."""

    title: str
    capacity: int
    buffers: int
    template_bytes: int
    says_ready: bool
    is_r503: bool
    unknown: int


MODELS: Final[Mapping[str, Model]] = MappingProxyType(
    {
        "r503": Model("R503", 200, 6, 1536, says_ready=True, is_r503=True, unknown=NOT_SUPPORTED),
        "r307": Model("R307", 1000, 2, 512, says_ready=False, is_r503=False, unknown=PACKET_ERROR),
        "as608": Model("AS608", 300, 2, 512, says_ready=True, is_r503=False, unknown=PACKET_ERROR),
        "zfm20": Model("ZFM-20", 150, 2, 512, says_ready=False, is_r503=False, unknown=PACKET_ERROR),
    }
)
_R503_ONLY: Final = frozenset({Ask.LIGHT, Ask.PRODUCT, Other.BETTER_IMAGE, Other.CHECK_SENSOR, Other.SOFT_RESET})


class Features(msgspec.Struct, frozen=True):
    """What a character buffer holds. score: how sure a match with them is."""

    code: bytes
    score: int = 0


class ZfmModule:
    """Memory and behaviour of one module. `finger`: what lies on the glass, None for nothing."""

    def __init__(self, model: Model, *, serial: str) -> None:
        """Start as it leaves the factory, with power."""
        self.model: Final = model
        self.serial = serial
        self.finger: Features | None = None
        self.messy = 0
        self.library: dict[int, bytes] = {}
        self.notepad: dict[int, bytes] = {}
        self.light: tuple[int, ...] = ()
        self.looks = self.images = self.searches = self.matches = self.uploads = 0
        self._address = zfm.ANY_ADDRESS
        self._password = zfm.NO_PASSWORD
        self._registers = {BAUD_REGISTER: 6, SECURITY_REGISTER: 3, SIZE_REGISTER: 2}
        self._dice = random.Random(serial)
        self.restart()

    def restart(self) -> bytes:
        """Lose power and get it back: what is in RAM is gone. Return what it says."""
        self._image: Features | None = None
        self._buffers: dict[int, Features] = {}
        self._trusted = self._password == zfm.NO_PASSWORD
        self._taking: int | None = None
        self._taken = b""
        return bytes([zfm.READY_BYTE]) if self.model.says_ready else b""

    def hear(self, packet: Packet) -> list[bytes]:
        """Take a packet; return the frames of the answer, without any to somebody else's address."""
        if packet.address != self._address:
            return []
        if packet.kind is not PacketKind.COMMAND:
            self._take_data(packet)
            return []
        ask = packet.data[0]
        found = self._answer(ask, packet.data[1:])
        if ask in {Other.SEND_TEMPLATE, Other.SEND_IMAGE} and found[0] == zfm.OK:
            return [self._ack(zfm.OK), *self.data_frames(found[1:])]
        frames = [self._ack(found[0], found[1:])]
        return [*frames, self.restart()] if ask == Other.SOFT_RESET and found[0] == zfm.OK else frames

    def _answer(self, ask: int, data: bytes) -> bytes:
        """Return code and data of an answer; those of a template or an image go into packets of their own."""
        if not self._trusted and ask != Ask.PASSWORD:
            return bytes([PASSWORD_FIRST])
        answer = self._questions().get(ask)
        if answer is None or (ask in _R503_ONLY and not self.model.is_r503):
            return bytes([self.model.unknown])
        try:
            return answer(data)
        except (IndexError, KeyError):  # too few bytes, or a buffer that nothing was put into
            return bytes([PACKET_ERROR])

    def data_frames(self, content: bytes) -> list[bytes]:
        """Return the data packets that carry `content`."""
        size = 32 << self._registers[SIZE_REGISTER]
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        kinds = [PacketKind.DATA] * (len(pieces) - 1) + [PacketKind.LAST_DATA]
        return [zfm.encode(Packet(kind, piece, self._address)) for kind, piece in zip(kinds, pieces, strict=True)]

    def template_of(self, name: str) -> bytes:
        """Return what a finger of this name looks like to the module: its name, again and again."""
        pattern = b"\x03\x03" + f"TEMPLATE-OF-{name}/".encode()
        return (pattern * (self.model.template_bytes // len(pattern) + 1))[: self.model.template_bytes]

    def _ack(self, code: int, data: bytes = b"") -> bytes:
        return zfm.encode(Packet(PacketKind.ACK, bytes([code]) + data, self._address))

    def _questions(self) -> dict[int, Callable[[bytes], bytes]]:
        """Return who answers which question: with the code, and what stands behind it."""
        return {
            Ask.IMAGE: lambda _: self._take_image(),
            Other.BETTER_IMAGE: lambda _: self._take_image(),
            Ask.FEATURES: self._features,
            Other.MATCH: lambda _: self._compare(),
            Ask.SEARCH: self._search,
            Ask.QUICK_SEARCH: self._search,
            Ask.MERGE: lambda _: self._merge(),
            Ask.STORE: self._store,
            Other.LOAD: self._load,
            Other.SEND_TEMPLATE: self._send_template,
            Other.TAKE_TEMPLATE: self._start_taking,
            Other.SEND_IMAGE: lambda _: self._send_image(),
            Other.TAKE_IMAGE: lambda _: self._start_taking(b"\0"),
            Ask.DELETE: self._delete,
            Other.EMPTY: lambda _: self._forget(range(self.model.capacity)),
            Other.SET_PARAMETER: self._set_parameter,
            Ask.PARAMETERS: lambda _: self._parameters(),
            Other.SET_PASSWORD: self._set_password,
            Ask.PASSWORD: self._check_password,
            Other.RANDOM: lambda _: b"\0" + self._dice.randbytes(4),
            Other.SET_ADDRESS: self._set_address,
            Ask.WRITE_NOTEPAD: self._write_notepad,
            Ask.READ_NOTEPAD: self._read_notepad,
            Other.COUNT: lambda _: b"\0" + len(self.library).to_bytes(2, "big"),
            Ask.INDEX: lambda data: b"\0" + zfm.pack_index(set(self.library), table=data[0]),
            Ask.LIGHT: self._shine,
            Ask.PRODUCT: lambda _: self._product(),
            Other.CHECK_SENSOR: lambda _: b"\0",
            Other.SOFT_RESET: lambda _: b"\0",
            Other.HANDSHAKE: lambda _: b"\0",
            Other.LAMP_ON: lambda _: b"\0",
            Other.LAMP_OFF: lambda _: b"\0",
            Other.ECHO: lambda _: bytes([ECHO]),
        }

    def _take_image(self) -> bytes:
        self.looks += 1
        if self.finger is None:
            return bytes([zfm.NO_FINGER])
        self.images += 1
        self._image = self.finger
        return b"\0"

    def _features(self, data: bytes) -> bytes:
        if self._image is None:
            return bytes([NO_IMAGE])
        if self.messy:
            self.messy -= 1
            return bytes([zfm.MESSY])
        self._buffers[self._buffer(data[0])] = self._image
        return b"\0"

    def _buffer(self, number: int) -> int:
        """Return the buffer of a number; those beyond the last mean the second, as the manual says."""
        return number if 1 <= number <= self.model.buffers else 2

    def _compare(self) -> bytes:
        first, second = self._buffers[1], self._buffers[2]
        alike = first.code == second.code
        return (b"\0" if alike else bytes([NO_MATCH])) + (first.score if alike else 0).to_bytes(2, "big")

    def _search(self, data: bytes) -> bytes:
        wanted = self._buffers[self._buffer(data[0])]
        first, size = int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
        self.searches += 1
        for page in sorted(self.library):
            if first <= page < first + size and self.library[page] == wanted.code:
                self.matches += 1
                return b"\0" + page.to_bytes(2, "big") + wanted.score.to_bytes(2, "big")
        return bytes([zfm.NOT_FOUND]) + bytes(4)

    def _merge(self) -> bytes:
        first, second = self._buffers[1], self._buffers[2]
        if first.code != second.code:
            return bytes([zfm.MERGE_FAILED])
        return b"\0"

    def _store(self, data: bytes) -> bytes:
        page = int.from_bytes(data[1:3], "big")
        if page >= self.model.capacity:
            return bytes([BAD_PAGE])
        self.library[page] = self._buffers[self._buffer(data[0])].code
        return b"\0"

    def _load(self, data: bytes) -> bytes:
        page = int.from_bytes(data[1:3], "big")
        if page not in self.library:
            return bytes([BAD_PAGE if page >= self.model.capacity else NOT_LOADED])
        self._buffers[self._buffer(data[0])] = Features(self.library[page], score=100)
        return b"\0"

    def _send_template(self, data: bytes) -> bytes:
        self.uploads += 1
        return b"\0" + self._buffers[self._buffer(data[0])].code

    def _send_image(self) -> bytes:
        if self._image is None:
            return bytes([NOT_SENT])
        self.uploads += 1
        return b"\0" + (self._image.code * (IMAGE_BYTES // len(self._image.code) + 1))[:IMAGE_BYTES]

    def _start_taking(self, data: bytes) -> bytes:
        self._taking, self._taken = data[0], b""
        return b"\0"

    def _take_data(self, packet: Packet) -> None:
        """Take a template or an image that the host sends; nothing answers it."""
        if self._taking is None:
            return
        self._taken = (self._taken + packet.data)[-IMAGE_BYTES:]
        if packet.kind is not PacketKind.LAST_DATA:
            return
        got = Features(self._taken, score=100)
        if self._taking:
            self._buffers[self._buffer(self._taking)] = got
        else:
            self._image = got
        self._taking = None

    def _delete(self, data: bytes) -> bytes:
        first, size = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        if not 0 < size <= self.model.capacity - first:
            return bytes([NOT_DELETED])
        return self._forget(range(first, first + size))

    def _forget(self, pages: range) -> bytes:
        for page in pages:
            self.library.pop(page, None)
        return b"\0"

    def _set_parameter(self, data: bytes) -> bytes:
        if data[0] not in self._registers:
            return bytes([BAD_REGISTER])
        self._registers[data[0]] = data[1] & 3 if data[0] == SIZE_REGISTER else data[1]
        return b"\0"

    def _parameters(self) -> bytes:
        words = (4 * self._trusted, 0, self.model.capacity, self._registers[SECURITY_REGISTER])
        head = b"".join(word.to_bytes(2, "big") for word in words)
        tail = b"".join(self._registers[register].to_bytes(2, "big") for register in (SIZE_REGISTER, BAUD_REGISTER))
        return b"\0" + head + self._address.to_bytes(4, "big") + tail

    def _set_password(self, data: bytes) -> bytes:
        self._password = data[:4]
        return b"\0"

    def _check_password(self, data: bytes) -> bytes:
        self._trusted = data[:4] == self._password
        return b"\0" if self._trusted else bytes([zfm.WRONG_PASSWORD])

    def _set_address(self, data: bytes) -> bytes:
        self._address = int.from_bytes(data[:4], "big")
        return b"\0"

    def _write_notepad(self, data: bytes) -> bytes:
        if data[0] >= NOTEPAD_PAGES or len(data) != 1 + zfm.NOTEPAD_PAGE_BYTES:
            return bytes([BAD_NOTEPAD_PAGE])
        self.notepad[data[0]] = data[1:]
        return b"\0"

    def _read_notepad(self, data: bytes) -> bytes:
        if data[0] >= NOTEPAD_PAGES:
            return bytes([BAD_NOTEPAD_PAGE])
        return b"\0" + self.notepad.get(data[0], bytes(zfm.NOTEPAD_PAGE_BYTES))

    def _shine(self, data: bytes) -> bytes:
        self.light = tuple(data[:4])
        return b"\0"

    def _product(self) -> bytes:
        text = [(self.model.title, 16), ("2026", 4), (self.serial, 8)]
        fields = b"".join(word.encode()[:size].ljust(size, b"\0") for word, size in text)
        numbers = (192, 192, self.model.template_bytes, self.model.capacity)
        return b"\0" + fields + b"\x01\x02" + b"GROWSIM\0" + b"".join(number.to_bytes(2, "big") for number in numbers)
