"""The ASCII lines of MDB adapter boards (Qibixx MDB Pi HAT and MDB-USB kind): 115,200 8N1, one word group per line.

Words of the host are capitals and end in LF, those of the board are small and end in CR LF. `C`: it is a cashless
device in somebody's machine; `M` and `R`: it is the machine, and carries blocks to coin changers and note readers.
Source: the maker's pages (vending sessions, always idle, configuration) and public programs that drive the boards.
"""

import re
from enum import StrEnum
from typing import Final

import msgspec

from firmware_bridge.wire.mdb import MAX_BLOCK_BYTES, UNKNOWN

MAX_LINE_BYTES: Final = 160
"""A block of 36 bytes takes 75 characters; a version takes 40."""
VERSION: Final = b"V\n"
"""Answered at any time and without effect."""
SLAVE_ON: Final = b"C,1\n"
SLAVE_OFF: Final = b"C,0\n"
STOP: Final = b"C,STOP\n"
"""No to a request, or the end of a session."""
MASTER_ON: Final = b"M,1\n"
CASH_SALE: Final = "c,CASHSALE"
"""A sale for cash: amount and item behind it. Not re-checked against the maker's paper."""
GAP_S: Final = 0.2
"""A pause inside a line longer than this means that its rest will not come."""
MAX_ITEM: Final = UNKNOWN
MAX_DECIMALS: Final = 4

_END: Final = re.compile(rb"[\r\n]")
_BEHIND_END: Final = re.compile(rb"(?<=[\r\n])")
_NOISE: Final = re.compile(rb"[^\x20-\x7e]")
_AMOUNT: Final = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,4}))?")
_ITEM: Final = re.compile(r"[0-9]{1,5}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){1,36}")
_ECHO: Final = re.compile(r"V|C,[01]|C,STOP|C,(?:VEND|START),[0-9.]+|C,SETCONF,.+")
"""What a board that echoes says of the host's own words: noise, but nothing is missing."""


class Status(StrEnum):
    """Where the board stands with the machine, in its own words."""

    INACTIVE = "INACTIVE"
    DISABLED = "DISABLED"
    ENABLED = "ENABLED"
    IDLE = "IDLE"
    VEND = "VEND"


class Problem(StrEnum):
    """What stands behind `c,ERR,` and matters for money; other errors are told as they are."""

    CANCELLED = "VEND 1"
    """the machine took its request back before it had a yes"""
    FAILED = "VEND 3"
    """nothing came out"""
    RESET = "VEND 5"
    """the machine was reset in mid-vend"""
    BAD_AMOUNT = '"VEND -2"'
    WRONG_STATE = '"VEND -3"'
    """yes to a machine that does not ask"""
    NO_START = '"START -3"'
    NO_STOP = '"STOP -3"'
    ALREADY_ON = '"cashless is on"'


class Version(msgspec.Struct, frozen=True):
    """The answer to V."""

    firmware: str
    cpu: str


class Stands(msgspec.Struct, frozen=True):
    """`c,STATUS`: amount in minor units and item of a request; the funds of a session in IDLE, 0 where untold."""

    status: Status
    amount: int = 0
    item: int = 0


class VendSucceeded(msgspec.Struct, frozen=True):
    """`c,VEND,SUCCESS`: the machine gave the item."""


class CashSold(msgspec.Struct, frozen=True):
    """The machine sold something for cash, minor units."""

    amount: int
    item: int


class Failed(msgspec.Struct, frozen=True):
    """`c,ERR` with a known problem."""

    problem: Problem


class FromBus(msgspec.Struct, frozen=True):
    """`p,...`: what a device on the bus answered: ACK, NACK (or nothing at all), or the data without their sum."""

    acked: bool
    data: bytes = b""


class Noise(msgspec.Struct, frozen=True):
    """Here something was said that nobody can read: a line may be missing."""


class Other(msgspec.Struct, frozen=True):
    """A line that means nothing for money: `r,ACK`, `m,ACK`, `c,1`, `c,SET,OK`, another error."""

    text: str


Line = Version | Stands | VendSucceeded | CashSold | Failed | FromBus | Other


def start(funds: int, *, decimals: int) -> bytes:
    """Begin a session."""
    return f"C,START,{amount_text(funds, decimals=decimals)}\n".encode()


def approve(amount: int, *, decimals: int) -> bytes:
    """Yes to a request."""
    return f"C,VEND,{amount_text(amount, decimals=decimals)}\n".encode()


def configure(setting: str) -> bytes:
    """Set one `name=value` of the cashless device, heeded while it is off and lost with the board's power."""
    return f"C,SETCONF,{setting}\n".encode()


def to_bus(block: bytes) -> bytes:
    """Say command and data (without their sum) to a device on the bus."""
    command, data = block[:1].hex().upper(), block[1:].hex().upper()
    return f"R,{command},{data}\n".encode() if data else f"R,{command}\n".encode()


def from_bus(data: bytes) -> bytes:
    """Return the board's line for what a device answered; empty is a lone ACK."""
    return f"p,{data.hex().upper() or 'ACK'}\r\n".encode()


def stands(status: Status, amount: int = 0, item: int = 0, *, decimals: int) -> bytes:
    """Return the board's line for a state."""
    if status is Status.VEND:
        return f"c,STATUS,VEND,{amount_text(amount, decimals=decimals)},{item}\r\n".encode()
    told = f",{amount_text(amount, decimals=decimals)}" if status is Status.IDLE and amount else ""
    return f"c,STATUS,{status.value}{told}\r\n".encode()


def amount_text(amount: int, *, decimals: int) -> str:
    """Return minor units as the board writes them: `1.00` for 100 with two decimals."""
    digits = str(amount).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def parse_amount(text: str, *, decimals: int) -> int | None:
    """Return minor units; None for what is no amount, or finer than a minor unit."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return None
    digits = (found[2] or "").ljust(decimals, "0")
    if digits[decimals:].strip("0"):
        return None
    return int(found[1] + digits[:decimals])


class Lines:
    """Cuts a stream into lines of ASCII; keeps at most one unfinished line. `noise_bytes`: thrown away so far."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._overlong = False
        self.noise_bytes = 0

    def feed(self, data: bytes) -> list[str]:
        """Take bytes as they came; return the lines that became whole, without their end."""
        pieces = _END.split(data)
        found: list[str] = []
        for piece in pieces[:-1]:
            self._take(piece)
            found += self._whole()
        self._take(pieces[-1])
        return found

    def silence(self) -> list[str]:
        """Give up half a line."""
        self.noise_bytes += len(self._line)
        self._line.clear()
        self._overlong = False
        return []

    @property
    def pending(self) -> bool:
        """Say whether a line waits for its end."""
        return bool(self._line) or self._overlong

    def _take(self, piece: bytes) -> None:
        self._overlong = self._overlong or len(self._line) + len(piece) > MAX_LINE_BYTES
        if self._overlong:
            self.noise_bytes += len(self._line) + len(piece)
            self._line.clear()
        else:
            self._line += piece

    def _whole(self) -> list[str]:
        raw, overlong = bytes(self._line), self._overlong
        self._line.clear()
        self._overlong = False
        if overlong:
            return []
        text = _NOISE.split(raw)[-1]  # what stands in front of a byte that is no letter is none of this line
        self.noise_bytes += len(raw) - len(text)
        return [text.decode("ascii")] if text else []


class Decoder:
    """What a board says. A line that is no word of a board is counted as noise."""

    def __init__(self, *, decimals: int = 2) -> None:
        assert 0 <= decimals <= MAX_DECIMALS, decimals
        self._lines = Lines()
        self._decimals: Final = decimals
        self._unknown_bytes = 0

    @property
    def noise_bytes(self) -> int:
        """Return how much was thrown away so far."""
        return self._lines.noise_bytes + self._unknown_bytes

    @property
    def pending(self) -> bool:
        """Say whether a line waits for its end."""
        return self._lines.pending

    def feed(self, data: bytes) -> list[Line]:
        """Take bytes as they came; return what became whole."""
        return [line for line in self.heard(data) if not isinstance(line, Noise)]

    def heard(self, data: bytes) -> list[Line | Noise]:
        """Take bytes as they came; return what became whole, and between the lines where something was lost."""
        found: list[Line | Noise] = []
        for piece in _BEHIND_END.split(data):
            before = self._lines.noise_bytes
            texts = self._lines.feed(piece)
            lost = self._lines.noise_bytes > before
            for text in texts:
                line = parse_line(text, decimals=self._decimals)
                lost = lost or (line is None and not _ECHO.fullmatch(text))
                found += [Noise()] if lost else []
                lost = False
                if line is None:
                    self._unknown_bytes += len(text)
                else:
                    found.append(line)
            found += [Noise()] if lost else []
        return found

    def silence(self) -> list[Line]:
        """Give up half a line."""
        self._lines.silence()
        return []


def parse_line(text: str, *, decimals: int) -> Line | None:
    """Return what a line of the board says; None where it is none."""
    words = text.split(",")
    match words:
        case ["v", firmware, cpu]:
            return Version(firmware, cpu)
        case ["p", answer]:
            return _from_bus(answer)
        case ["c", "STATUS" | "VEND" | "CASHSALE", *_] | ["c", "ERR", _]:
            return _of_the_device(words[1:], decimals) or _error(words)
        case ["r" | "m" | "c" | "f" | "x" | "d", word, *_] if word:
            return Other(text)
        case _:
            return None


def _of_the_device(words: list[str], decimals: int) -> Line | None:
    match words:
        case ["STATUS", *rest]:
            return _stands(rest, decimals)
        case ["VEND", "SUCCESS"]:
            return VendSucceeded()
        case ["ERR", problem] if problem in set(Problem):
            return Failed(Problem(problem))
        case ["CASHSALE", amount, item]:
            value, number = parse_amount(amount, decimals=decimals), _item(item)
            return None if value is None or number is None else CashSold(value, number)
        case _:
            return None


def _error(words: list[str]) -> Line | None:
    """Return an error that means nothing for money as it is."""
    return Other(",".join(words)) if words[1] == "ERR" else None


def _stands(words: list[str], decimals: int) -> Stands | None:
    match words:
        case ["VEND", amount, item]:
            value, number = parse_amount(amount, decimals=decimals), _item(item)
            return None if value is None or number is None else Stands(Status.VEND, value, number)
        case ["IDLE", amount]:
            value = parse_amount(amount, decimals=decimals)
            return Stands(Status.IDLE, value or 0)
        case ["INACTIVE" | "DISABLED" | "ENABLED" | "IDLE" as status]:
            return Stands(Status(status))
        case _:
            return None


def _item(text: str) -> int | None:
    number = int(text) if _ITEM.fullmatch(text) else UNKNOWN + 1
    return None if number > MAX_ITEM else number


def _from_bus(answer: str) -> FromBus | None:
    if answer in {"ACK", "NACK"}:
        return FromBus(acked=answer == "ACK")
    if len(answer) > 2 * MAX_BLOCK_BYTES or not _HEX.fullmatch(answer):
        return None
    return FromBus(acked=True, data=bytes.fromhex(answer))
