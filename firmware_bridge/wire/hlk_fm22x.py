"""Frames of the face modules HLK-FM225 and FM223: messages both ways, and what replies mean.

Frame: `EF AA`, message, size (2 bytes, big-endian), data, parity (XOR of message, size and data). Sizes, ids and times
are big-endian; the eight numbers of a face state are little-endian. Source: Hi-Link HLK-FM22x communication protocol;
ESPHome component hlk_fm22x (layout of ENROLL_ITG, serial number, face states). The message that switches the demo mode
on, in which faces are not compared, is left out on purpose.
"""

from enum import IntEnum
from functools import reduce
from operator import xor
from typing import Final

import msgspec

HEADER: Final = b"\xef\xaa"
HEAD_BYTES: Final = 5
PARITY_BYTES: Final = 1
MAX_DATA_BYTES: Final = 1024
"""Longer than any reply; only images are longer, and they are dropped as they come."""
NAME_BYTES: Final = 32
SERIAL_BYTES: Final = 8
"""The reply has more; what follows these is not filled (Hi-Link protocol, 0x93)."""
DEMO_MODE: Final = 0xFE
"""A reply to this message says that somebody has switched the comparing off or on."""
UNLOCK_NORMAL: Final = 0xC8
UNLOCK_EYES_CLOSED: Final = 0xCC
STANDBY: Final = 0
FACE_NORMAL: Final = 0


class Message(IntEnum):
    """What a host asks that verifies, enrolls and forgets; REPLY, NOTE and IMAGE come from the module."""

    REPLY = 0x00
    NOTE = 0x01
    IMAGE = 0x02
    RESET = 0x10
    GET_STATUS = 0x11
    VERIFY = 0x12
    DELETE_USER = 0x20
    GET_USER = 0x22
    GET_ALL_USERS = 0x24
    ENROLL_ITG = 0x26
    GET_VERSION = 0x30
    GET_SERIAL = 0x93


class Result(IntEnum):
    """How a command ended."""

    SUCCESS = 0x00
    REJECTED = 0x01
    ABORTED = 0x02
    CAMERA = 0x04
    UNKNOWN_ERROR = 0x05
    INVALID_PARAMETER = 0x06
    NO_MEMORY = 0x07
    UNKNOWN_USER = 0x08
    TOO_MANY_USERS = 0x09
    ALREADY_ENROLLED = 0x0A
    LIVENESS = 0x0C
    TIMEOUT = 0x0D
    AUTHORIZATION = 0x0E


class NoteId(IntEnum):
    """What a note is about."""

    READY = 0x00
    FACE_STATE = 0x01
    UNKNOWN_ERROR = 0x02


class Frame(msgspec.Struct, frozen=True):
    """One frame, its parity right. message: a `Message`, or one that is not known here."""

    message: int
    data: bytes = b""


class ImageDropped(msgspec.Struct, frozen=True):
    """An image came and was thrown away byte by byte: nothing of it was kept (BIO-1)."""

    size: int


class Reply(msgspec.Struct, frozen=True):
    """The answer to `command`."""

    command: int
    result: int
    data: bytes = b""


class Note(msgspec.Struct, frozen=True):
    """Something the module says by itself."""

    note: int
    data: bytes = b""


class Verified(msgspec.Struct, frozen=True):
    """A face that the module knows. unlock: `UNLOCK_NORMAL`, `UNLOCK_EYES_CLOSED` or something else."""

    user: int
    name: bytes
    unlock: int


_REPLY_SIZES: Final[dict[int, tuple[int, int]]] = {
    Message.GET_STATUS: (1, 1),
    Message.VERIFY: (36, 36),
    Message.GET_USER: (35, 35),
    Message.ENROLL_ITG: (3, 3),
    Message.GET_ALL_USERS: (1, 1 + 2 * 255),
    Message.GET_VERSION: (1, MAX_DATA_BYTES),
    Message.GET_SERIAL: (SERIAL_BYTES, MAX_DATA_BYTES),
}
"""Least and most bytes behind the result of a success; none for all other commands. A refusal may be shorter."""


def parity(data: bytes | bytearray) -> int:
    """Return the XOR of all bytes."""
    return reduce(xor, data, 0)


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame; ValueError with more than `MAX_DATA_BYTES`."""
    if len(frame.data) > MAX_DATA_BYTES:
        message = f"a frame carries at most {MAX_DATA_BYTES} bytes, got {len(frame.data)}"
        raise ValueError(message)
    body = bytes([frame.message]) + len(frame.data).to_bytes(2, "big") + frame.data
    return HEADER + body + bytes([parity(body)])


def understand(frame: Frame) -> Reply | Note | None:
    """Return what a frame of the module says; None where its size does not fit what it says it is.

    One wrong byte in 256 passes the parity: the size is the second look.
    """
    if frame.message == Message.NOTE and frame.data:
        return Note(frame.data[0], frame.data[1:])
    if frame.message != Message.REPLY or len(frame.data) < 2:
        return None
    reply = Reply(frame.data[0], frame.data[1], frame.data[2:])
    least, most = _REPLY_SIZES.get(reply.command, (0, 0))
    return reply if len(reply.data) <= most and (len(reply.data) >= least or reply.result != Result.SUCCESS) else None


def pack_verify(*, timeout_s: int) -> Frame:
    """Return the wish to look for a known face for 1..255 s and to stay powered."""
    return Frame(Message.VERIFY, bytes([0, timeout_s]))


def pack_enroll(*, name: bytes, timeout_s: int) -> Frame:
    """Return the wish to learn one face from one look, no administrator, and not a face that is known already."""
    single, no_duplicate = 1, 0
    head = b"\0" + name[:NAME_BYTES].ljust(NAME_BYTES, b"\0")
    return Frame(Message.ENROLL_ITG, head + bytes([0, single, no_duplicate, timeout_s]) + bytes(3))


def pack_user(message: Message, user: int) -> Frame:
    """Return a question about one user."""
    return Frame(message, user.to_bytes(2, "big"))


def read_verified(data: bytes) -> Verified:
    """Return what a success of VERIFY says: id, name of 32 bytes, administrator, unlock status."""
    return Verified(user=int.from_bytes(data[:2], "big"), name=data[2 : 2 + NAME_BYTES], unlock=data[35])


def read_users(data: bytes) -> set[int] | None:
    """Return the ids that GET_ALL_USERS names; None where it promises more than it holds. What is behind is padding."""
    count = data[0]
    if len(data) < 1 + 2 * count:
        return None
    return {int.from_bytes(data[at : at + 2], "big") for at in range(1, 1 + 2 * count, 2)}


def read_face_state(note: Note) -> int | None:
    """Return how the face stands (0 is normal); None where the note is about something else."""
    if note.note != NoteId.FACE_STATE or len(note.data) < 2:
        return None
    return int.from_bytes(note.data[:2], "little", signed=True)


def printable(field: bytes) -> str:
    """Return the ASCII text that a field begins with, without blanks around it."""
    size = next((at for at, byte in enumerate(field) if not 0x20 <= byte < 0x7F), len(field))
    return field[:size].decode("ascii").strip()


class Decoder:
    """Finds frames in a stream, by the byte; holds at most one. `noise_bytes`: thrown away so far, without images."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self._buffer = bytearray()
        self._image_left = self._image_size = 0
        self.noise_bytes = 0

    @property
    def pending(self) -> bool:
        """Say whether part of a frame waits for its rest."""
        return bool(self._buffer or self._image_left)

    def feed(self, data: bytes) -> list[Frame | ImageDropped]:
        """Take bytes as they come; return what is complete."""
        found: list[Frame | ImageDropped] = []
        self._buffer += data
        while True:
            if self._image_left and not self._drop_image(found):
                return found
            self._skip_to_header()
            if len(self._buffer) < HEAD_BYTES:
                return found
            size = int.from_bytes(self._buffer[3:HEAD_BYTES], "big")
            end = HEAD_BYTES + size + PARITY_BYTES
            if self._buffer[2] == Message.IMAGE:
                self._image_left = self._image_size = end
            elif size > MAX_DATA_BYTES:
                self._drop(1)
            elif len(self._buffer) < end:
                return found
            elif parity(self._buffer[2:end]):
                self._drop(1)
            else:
                found.append(Frame(self._buffer[2], bytes(self._buffer[HEAD_BYTES : end - PARITY_BYTES])))
                del self._buffer[:end]

    def silence(self) -> list[Frame | ImageDropped]:
        """The line has been quiet: give up half a frame and return whole ones behind it."""
        found: list[Frame | ImageDropped] = []
        if self._image_left:
            found.append(ImageDropped(self._image_size - self._image_left))
            self._image_left = 0
        while self._buffer:
            self._drop(1)
            found += self.feed(b"")
        return found

    def _drop_image(self, found: list[Frame | ImageDropped]) -> bool:
        """Throw away what has come of an image; return whether it has ended. Its parity is nobody's business."""
        here = min(self._image_left, len(self._buffer))
        del self._buffer[:here]
        self._image_left -= here
        if self._image_left:
            return False
        found.append(ImageDropped(self._image_size))
        return True

    def _skip_to_header(self) -> None:
        at = self._buffer.find(HEADER)
        if at < 0:
            at = len(self._buffer) - int(self._buffer.endswith(HEADER[:1]))
        self._drop(at)

    def _drop(self, count: int) -> None:
        self.noise_bytes += count
        del self._buffer[:count]
