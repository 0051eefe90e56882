"""The GM65 kind of serial scanner: commands with CRC, answers, and scanned text that comes between them.

A command is `7E 00 TYPE LEN ADDRESS(2) DATA CRC(2)`, an answer `02 00 00 LEN DATA CRC(2)`; the CRC-16 (XMODEM) is over
TYPE to DATA, in an answer over the second 00 to DATA. `AB CD` in a command's place of the CRC is not checked. Modules
in the field end every answer in `33 31`, whatever it holds: that too is taken. Decoded text comes bare, CR behind it.
Source: Grow GM65 user manual V1.3, appendices; the settings byte as read back from modules with firmware 87 hex.
"""

import binascii
import re
from enum import IntEnum
from typing import Final, Literal

import msgspec

COMMAND_HEAD: Final = b"\x7e\x00"
ANSWER_HEAD: Final = b"\x02\x00\x00"
UNCHECKED: Final = b"\xab\xcd"
FIXED_TAIL: Final = b"\x33\x31"
"""The CRC of the answer 00, which many modules send behind every other answer as well."""
MAX_TEXT_BYTES: Final = 512
"""A longer text is none that the device bus carries."""
GAP_MS: Final = 100
"""A pause inside an answer or a text longer than this means that the rest will not come."""

SETTINGS: Final = 0x0000
"""The address of the settings: bits 1 and 0 are how it reads, the others light, aim and sound."""
MODE_BITS: Final = 0x03
MODES: Final[dict[Literal["command", "continuous"], int]] = {"command": 0x01, "continuous": 0x02}
TRIGGER: Final = 0x0002
BAUD: Final = 0x002A
TAIL: Final = 0x0060
"""The address of what ends a text; not re-checked against the maker's paper, but what modules are delivered with."""
TAIL_BITS: Final = 0x61
TAIL_IS_CR: Final = 0x01
"""Bit 0: there is an end; bits 6 and 5: 00 for CR, 01 CR LF, 10 TAB. Not re-checked against the maker's paper."""


_MARKS: Final = re.compile(rb"[\x02\r\n]")
"""What ends a text, or may begin an answer; all between is text."""


class Type(IntEnum):
    """What a command does with the settings bytes at its address."""

    READ = 0x07
    WRITE = 0x08
    SAVE = 0x09


class Command(msgspec.Struct, frozen=True):
    """A command. data of a READ: how many bytes; of a WRITE: the bytes; of a SAVE: one 00."""

    type: int
    address: int
    data: bytes


class Answer(msgspec.Struct, frozen=True):
    """What the module answers: the bytes that were asked for, or 00 for a command carried out."""

    data: bytes


class Text(msgspec.Struct, frozen=True):
    """A code it has read; never empty."""

    text: str


SAVE: Final = Command(Type.SAVE, 0x0000, b"\0")
START: Final = Command(Type.WRITE, TRIGGER, b"\x01")


def read(address: int, count: int = 1) -> Command:
    """Return the question for `count` settings bytes."""
    return Command(Type.READ, address, bytes([count]))


def write(address: int, value: int) -> Command:
    """Return the command that sets one byte."""
    return Command(Type.WRITE, address, bytes([value]))


def crc(body: bytes) -> bytes:
    """Return the two bytes behind `body`."""
    return binascii.crc_hqx(body, 0).to_bytes(2, "big")


def encode(command: Command) -> bytes:
    """Return the bytes of a command."""
    body = bytes([command.type, len(command.data)]) + command.address.to_bytes(2, "big") + command.data
    return COMMAND_HEAD + body + crc(body)


def encode_answer(answer: Answer) -> bytes:
    """Return the bytes of an answer."""
    body = bytes([0, len(answer.data)]) + answer.data
    return ANSWER_HEAD[:2] + body + crc(body)


class Decoder:
    """The host's ear: answers and texts in any cutting of the line; never raises on what the line said.

    An answer in the middle of a text is taken out of it. `noise_bytes`: thrown away so far.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._text = bytearray()
        self._overlong = False
        self.noise_bytes = 0

    @property
    def pending(self) -> bool:
        """Say whether something waits for its rest, so that a pause of `GAP_MS` matters."""
        return bool(self._buffer or self._text or self._overlong)

    def feed(self, data: bytes) -> list[Answer | Text]:
        """Take bytes as they came; return what became whole."""
        self._buffer += data
        return self._take(line_is_silent=False)

    def silence(self) -> list[Answer | Text]:
        """The line was silent for `GAP_MS`: give up half an answer and a text without its end."""
        found = self._take(line_is_silent=True)
        self.noise_bytes += len(self._text)
        self._text.clear()
        self._overlong = False
        return found

    def _take(self, *, line_is_silent: bool) -> list[Answer | Text]:
        found: list[Answer | Text] = []
        at = 0
        while at < len(self._buffer):
            mark = _MARKS.search(self._buffer, at)
            end = mark.start() if mark else len(self._buffer)
            self._take_letters(self._buffer[at:end])
            at = end
            if mark is None:
                break
            if mark[0] != ANSWER_HEAD[:1]:
                self._end_text(found)
            else:
                length = _answer_length(self._buffer, at)
                if length is None and not line_is_silent:
                    break
                if length:
                    found.append(Answer(bytes(self._buffer[at + 4 : at + length - 2])))
                    at += length
                    continue
                self._take_letters(mark[0])
            at += 1
        del self._buffer[:at]
        return found

    def _take_letters(self, letters: bytes | bytearray) -> None:
        self._overlong = self._overlong or len(self._text) + len(letters) > MAX_TEXT_BYTES
        if self._overlong:
            self.noise_bytes += len(self._text) + len(letters)
            self._text.clear()
        else:
            self._text += letters

    def _end_text(self, found: list[Answer | Text]) -> None:
        raw = bytes(self._text)
        self._text.clear()
        text = None if self._overlong else clean_text(raw)
        if text is None:
            self.noise_bytes += len(raw) + 1
        elif text:
            found.append(Text(text))
        self._overlong = False


class CommandDecoder:
    """The module's ear, for simulators: commands with a right CRC or unchecked; all else is thrown away."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Command]:
        """Take bytes as they came; return the commands that became whole."""
        self._buffer += data
        found: list[Command] = []
        at = 0
        while at < len(self._buffer):
            head = self._buffer[at : at + 2]
            if COMMAND_HEAD.startswith(head) and len(self._buffer) < at + 9:
                break
            length = 8 + self._buffer[at + 3] if head == COMMAND_HEAD else 1
            if at + length > len(self._buffer):
                break
            command = _command(bytes(self._buffer[at : at + length])) if length > 1 else None
            if command is not None:
                found.append(command)
            at += length if command is not None else 1
        del self._buffer[:at]
        return found

    def silence(self) -> list[Command]:
        """Give up half a command, as the module does after a pause, and every half one that is inside of it."""
        found: list[Command] = []
        while self._buffer:
            del self._buffer[:1]
            found += self.feed(b"")
        return found


def clean_text(raw: bytes) -> str | None:
    """Return the text of a code, without blanks around it; None where it is no text of ours."""
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _answer_length(buffer: bytearray, at: int) -> int | None:
    """Return how long the answer at `at` is, 0 where there is none, None while nobody can tell."""
    head = buffer[at : at + 3]
    if not ANSWER_HEAD.startswith(head):
        return 0
    if len(buffer) < at + 4:
        return None
    length = 6 + buffer[at + 3]
    if len(buffer) < at + length:
        return None
    tail = bytes(buffer[at + length - 2 : at + length])
    return length if tail in (crc(bytes(buffer[at + 2 : at + length - 2])), FIXED_TAIL) else 0


def _command(raw: bytes) -> Command | None:
    body, tail = raw[2:-2], raw[-2:]
    right = tail in (crc(body), UNCHECKED) and body[0] in set(Type)
    return Command(body[0], int.from_bytes(body[2:4], "big"), body[4:]) if right else None
