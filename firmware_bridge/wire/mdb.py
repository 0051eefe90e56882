"""MDB/ICP blocks on a vending machine's bus, and what a machine and a cashless device (10h, 60h) say to each other.

A block is at most 36 bytes, the last of them the sum of all others. The machine's controller (VMC) begins each with
`address | command`; the mode bit (the ninth) that marks this byte is no part of what is written here. What is answered
to POLL is repeated until the VMC says ACK. Source: MDB/ICP 4.3, section 2 and 7; amounts are 16 bits times the scale.
"""

from enum import Enum
from typing import Final

import msgspec

MAX_BLOCK_BYTES: Final = 36
ACK: Final = b"\x00"
RET: Final = b"\xaa"
NAK: Final = b"\xff"
CASHLESS: Final = 0x10
CASHLESS_2: Final = 0x60
COMMAND_BITS: Final = 0x07
"""The low bits of a block's first byte; the others are the address."""
UNKNOWN: Final = 0xFFFF
"""A price or item that a machine does not know; so is price 0. Not re-checked against the standard's paper."""
FUNDS_UNTOLD: Final = 0xFFFF
"""Begin session with funds that the machine is not to show. Not re-checked against the standard's paper."""
ALWAYS_IDLE: Final = bytes.fromhex("00000020")
"""The option of level 3 by which a VMC may ask for a vend without a session. Not re-checked against the paper."""
MAX_AMOUNT: Final = 0xFFFE


class Word(Enum):
    """What a VMC says to a cashless device: command and subcommand, the numbers that follow, bytes that may follow."""

    RESET = (b"\x00", "", range(1))
    SETUP = (b"\x01\x00", "", range(4, 5))
    PRICES = (b"\x01\x01", "", range(4, 5))
    POLL = (b"\x02", "", range(1))
    VEND_REQUEST = (b"\x03\x00", "ai", range(1))
    VEND_CANCEL = (b"\x03\x01", "", range(1))
    VEND_SUCCESS = (b"\x03\x02", "i", range(1))
    VEND_FAILURE = (b"\x03\x03", "", range(1))
    SESSION_COMPLETE = (b"\x03\x04", "", range(1))
    CASH_SALE = (b"\x03\x05", "ai", range(1))
    NEGATIVE_VEND = (b"\x03\x06", "ai", range(1))
    READER_DISABLE = (b"\x04\x00", "", range(1))
    READER_ENABLE = (b"\x04\x01", "", range(1))
    READER_CANCEL = (b"\x04\x02", "", range(1))
    REVALUE = (b"\x05\x00", "a", range(1))
    REVALUE_LIMIT = (b"\x05\x01", "", range(1))
    REQUEST_ID = (b"\x07\x00", "", range(29, 30))
    ENABLE_OPTIONS = (b"\x07\x04", "", range(4, 5))
    DIAGNOSTICS = (b"\x07\xff", "", range(33))


class Reply(Enum):
    """What a cashless device answers to POLL."""

    JUST_RESET = (b"\x00", "", range(1))
    CONFIG = (b"\x01", "", range(7, 8))
    DISPLAY = (b"\x02", "", range(1, 34))
    BEGIN_SESSION = (b"\x03", "a", range(8))
    CANCEL_REQUEST = (b"\x04", "", range(1))
    APPROVED = (b"\x05", "a", range(1))
    DENIED = (b"\x06", "", range(1))
    END_SESSION = (b"\x07", "", range(1))
    CANCELLED = (b"\x08", "", range(1))
    ID = (b"\x09", "", range(29, 34, 4))
    ERROR = (b"\x0a", "", range(1, 2))
    OUT_OF_SEQUENCE = (b"\x0b", "", range(2))
    REVALUE_APPROVED = (b"\x0d", "", range(1))
    REVALUE_DENIED = (b"\x0e", "", range(1))
    REVALUE_LIMIT = (b"\x0f", "a", range(1))


class Command(msgspec.Struct, frozen=True):
    """One command of the VMC. amount, item: of those that have them; data: bytes that are no amount and no item."""

    word: Word
    amount: int = 0
    item: int = 0
    data: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """One answer to POLL. data of BEGIN_SESSION at level 2 and 3: media id (4), type (1) and its data (2).

    A PAX D200 was seen to send one byte there at level 1.
    """

    reply: Reply
    amount: int = 0
    data: bytes = b""


def checksum(data: bytes) -> int:
    """Return the sum that ends a block."""
    return sum(data) & 0xFF


def seal(data: bytes) -> bytes:
    """Return the block of `data`."""
    return data + bytes([checksum(data)])


def unseal(block: bytes) -> bytes | None:
    """Return what a block carries; None where its sum is wrong, or it is no block."""
    fits = 1 < len(block) <= MAX_BLOCK_BYTES and checksum(block[:-1]) == block[-1]
    return block[:-1] if fits else None


def encode(command: Command, *, address: int = CASHLESS) -> bytes:
    """Return the bytes of a command, without the mode bit of the first."""
    head, numbers, lengths = command.word.value
    assert len(command.data) in lengths, command
    body = b"".join((command.amount if name == "a" else command.item).to_bytes(2, "big") for name in numbers)
    return seal(bytes([address | head[0]]) + head[1:] + body + command.data)


def parse(block: bytes, *, address: int = CASHLESS) -> Command | None:
    """Return the command to `address`; None for another's, one that is not known, and noise."""
    data = unseal(block)
    if data is None or data[0] & ~COMMAND_BITS != address:
        return None
    said = bytes([data[0] & COMMAND_BITS]) + data[1:]
    for word in Word:
        found = _fields(said, *word.value)
        if found is not None:
            return Command(word, found.get("a", 0), found.get("i", 0), _rest(said, *word.value))
    return None


def encode_answer(answer: Answer) -> bytes:
    """Return the bytes of an answer to POLL."""
    head, numbers, lengths = answer.reply.value
    assert len(answer.data) in lengths, answer
    return seal(head + (answer.amount.to_bytes(2, "big") if numbers else b"") + answer.data)


def parse_answer(block: bytes) -> Answer | None:
    """Return what a block answers to POLL; None for noise. A lone ACK or NAK is no block."""
    data = unseal(block)
    for reply in Reply if data is not None else ():
        found = _fields(data or b"", *reply.value)
        if found is not None:
            return Answer(reply, found.get("a", 0), _rest(data or b"", *reply.value))
    return None


def _fields(data: bytes, head: bytes, numbers: str, lengths: range) -> dict[str, int] | None:
    """Return the numbers behind `head`, None where the data do not have this shape."""
    size = len(head) + 2 * len(numbers)
    if not data.startswith(head) or len(data) - size not in lengths:
        return None
    places = range(len(head), size, 2)
    return {name: int.from_bytes(data[at : at + 2], "big") for name, at in zip(numbers, places, strict=True)}


def _rest(data: bytes, head: bytes, numbers: str, _lengths: range) -> bytes:
    return data[len(head) + 2 * len(numbers) :]
