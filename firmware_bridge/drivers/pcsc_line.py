"""PC/SC's functions over a line on which somebody speaks vpcd's messages: a simulated reader on a pseudo-terminal.

A machine without the PC/SC service tries a PC/SC reader's driver with it. A message is its length (2 bytes, high byte
first) and that many bytes: one byte is a control (0 off, 1 on, 4 asks for the card's answer to reset), more is an APDU.
"""

import os
import select
import termios
import threading
import time
import tty
from typing import Final

ANSWER_S: Final = 1.0
LOOK_S: Final = 0.04
"""So often the line is asked for a card: it says nothing by itself."""
MESSAGE_LIMIT_BYTES: Final = 1_024

_LENGTH_BYTES: Final = 2
_OFF, _ON, _ATR = b"\x00", b"\x01", b"\x04"


class Codes:
    """What of PC/SC's constants a reader's driver uses (winscard.h)."""

    SCARD_S_SUCCESS = 0
    SCARD_E_CANCELLED = 0x80100002
    SCARD_E_TIMEOUT = 0x8010000A
    SCARD_E_SHARING_VIOLATION = 0x8010000B
    SCARD_E_NO_SMARTCARD = 0x8010000C
    SCARD_E_READER_UNAVAILABLE = 0x80100017
    SCARD_W_REMOVED_CARD = 0x80100069
    SCARD_STATE_UNAWARE, SCARD_STATE_UNKNOWN, SCARD_STATE_UNAVAILABLE = 0, 4, 8
    SCARD_STATE_EMPTY, SCARD_STATE_PRESENT = 0x10, 0x20
    SCARD_SCOPE_SYSTEM, SCARD_SHARE_EXCLUSIVE = 2, 1
    SCARD_PROTOCOL_T0, SCARD_PROTOCOL_T1 = 1, 2
    SCARD_PCI_T0, SCARD_PCI_T1 = 1, 2
    SCARD_LEAVE_CARD, SCARD_UNPOWER_CARD = 0, 2

    def SCardGetErrorMessage(self, code: int) -> str:  # noqa: N802 - PC/SC's name, as all of them
        """Return words for a code."""
        return f"PC/SC error {code:08X}."


class LineScard(Codes):
    """Those functions for the one reader at `path`. A context is the open line."""

    def __init__(self, path: str) -> None:
        """Take the path; the line is opened with a context."""
        self._path = path
        self._fd = -1
        self._changes = 0
        self._atr = b""
        self._cancelled = threading.Event()

    def SCardEstablishContext(self, _scope: int) -> tuple[int, int]:  # noqa: N802
        """Open the line; OSError where it cannot be."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        tty.setraw(self._fd)
        self._cancelled.clear()
        return self.SCARD_S_SUCCESS, self._fd

    def SCardReleaseContext(self, context: int) -> int:  # noqa: N802
        """Close the line."""
        os.close(context)
        self._fd = -1
        return self.SCARD_S_SUCCESS

    def SCardListReaders(self, _context: int, _groups: list[str]) -> tuple[int, list[str]]:  # noqa: N802
        """Name the one reader by its path."""
        return self.SCARD_S_SUCCESS, [self._path]

    def SCardCancel(self, _context: int) -> int:  # noqa: N802
        """End a wait for a change."""
        self._cancelled.set()
        return self.SCARD_S_SUCCESS

    def SCardGetStatusChange(  # noqa: N802
        self, _context: int, timeout_ms: int, states: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        """Ask for the card until the state is another than the known one."""
        name, known = states[0]
        until_s = time.monotonic() + timeout_ms / 1_000
        while True:
            atr = self._exchange(_ATR)
            if atr is None:
                return self.SCARD_E_READER_UNAVAILABLE, []
            if atr != self._atr:
                self._changes = (self._changes + 1) & 0xFFFF
            self._atr = atr
            state = (self.SCARD_STATE_PRESENT if atr else self.SCARD_STATE_EMPTY) | self._changes << 16
            if state != known:
                return self.SCARD_S_SUCCESS, [(name, state, list(atr))]
            if time.monotonic() >= until_s:
                return self.SCARD_E_TIMEOUT, []
            if self._cancelled.wait(LOOK_S):
                return self.SCARD_E_CANCELLED, []

    def SCardConnect(self, _context: int, _reader: str, _share: int, _protocols: int) -> tuple[int, int, int]:  # noqa: N802
        """Give the card power."""
        if not self._atr:
            return self.SCARD_E_NO_SMARTCARD, 0, 0
        self._write(_ON)
        return self.SCARD_S_SUCCESS, 1, self.SCARD_PROTOCOL_T1

    def SCardDisconnect(self, _card: int, how: int) -> int:  # noqa: N802
        """Take the card's power away where that is asked."""
        if how == self.SCARD_UNPOWER_CARD:
            self._write(_OFF)
        return self.SCARD_S_SUCCESS

    def SCardTransmit(self, _card: int, _pci: int, command: list[int]) -> tuple[int, list[int]]:  # noqa: N802
        """Exchange an APDU; the reader answers nothing where the card has left."""
        answer = self._exchange(bytes(command))
        return (self.SCARD_S_SUCCESS, list(answer)) if answer else (self.SCARD_W_REMOVED_CARD, [])

    def _write(self, message: bytes) -> None:
        os.write(self._fd, len(message).to_bytes(_LENGTH_BYTES, "big") + message)

    def _exchange(self, message: bytes) -> bytes | None:
        """Return the answer; None where none comes, or one too long to be true. Late bytes of before are dropped."""
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
            self._write(message)
            head = self._read(_LENGTH_BYTES)
            size = int.from_bytes(head or b"\xff\xff", "big")
            return self._read(size) if size <= MESSAGE_LIMIT_BYTES else None
        except (OSError, termios.error):
            return None

    def _read(self, size: int) -> bytes | None:
        data, until_s = b"", time.monotonic() + ANSWER_S
        while len(data) < size:
            readable, _, _ = select.select([self._fd], [], [], max(0.0, until_s - time.monotonic()))
            if not readable:
                return None
            piece = os.read(self._fd, size - len(data))
            if not piece:
                return None
            data += piece
        return data
