"""PC/SC's plain functions over a simulated ACR122U, as pyscard gives them: for machines without the service."""

import threading
from typing import Any

from firmware_bridge.drivers.pcsc_line import Codes
from firmware_bridge.simulators.acr122u import Acr122u

READER = "ACS ACR122U PICC Interface 00 00"


class ScardOf(Codes):
    """What pyscard's `smartcard.scard` is, as far as a reader's driver uses it; codes as PC/SC defines them."""

    SCARD_E_NO_SERVICE = 0x8010001D
    SCARD_E_NO_READERS_AVAILABLE = 0x8010002E
    SCARD_W_UNRESPONSIVE_CARD = 0x80100066

    def __init__(self, reader: Acr122u, *, names: tuple[str, ...] = (READER,)) -> None:
        """Serve a reader; `plugged`, `running`, `taken` (by another program), `mute` can be changed, under `moved`."""
        self.reader = reader
        self.names = names
        self.plugged = self.running = True
        self.taken = self.mute = False
        self.moved = threading.Condition()
        self.sent: list[str] = []
        self.looks = 0
        """How often somebody asked for the state."""
        self._changes = 0
        self._there = reader.card is not None
        self._connected = False

    def script(self, line: str) -> None:
        """Carry out a line for the reader."""
        with self.moved:
            self.reader.command(line.split(), now_ms=0)
            self._connected = False
            self.moved.notify_all()

    def SCardEstablishContext(self, _scope: int) -> tuple[int, Any]:  # noqa: N802 - PC/SC's name, as all below
        return (self.SCARD_S_SUCCESS, 1) if self.running else (self.SCARD_E_NO_SERVICE, 0)

    def SCardReleaseContext(self, _context: int) -> int:  # noqa: N802
        return self.SCARD_S_SUCCESS

    def SCardListReaders(self, _context: int, _groups: list[str]) -> tuple[int, list[str]]:  # noqa: N802
        return (self.SCARD_S_SUCCESS, list(self.names)) if self.names else (self.SCARD_E_NO_READERS_AVAILABLE, [])

    def SCardCancel(self, _context: int) -> int:  # noqa: N802
        with self.moved:
            self.moved.notify_all()
        return self.SCARD_S_SUCCESS

    def SCardGetStatusChange(  # noqa: N802
        self, _context: int, timeout_ms: int, states: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        name, known = states[0]
        with self.moved:
            self.looks += 1
            if self._state() == known and known:
                self.moved.wait(timeout_ms / 1_000)
            state = self._state()
            code = self.SCARD_E_TIMEOUT if known and state == known else self.SCARD_S_SUCCESS
            return code, [(name, state, list(self.reader.atr()))]

    def SCardConnect(self, _context: int, _reader: str, _share: int, _protocols: int) -> tuple[int, Any, int]:  # noqa: N802
        with self.moved:
            if self.taken:
                return self.SCARD_E_SHARING_VIOLATION, 0, 0
            if self.reader.card is None:
                return self.SCARD_E_NO_SMARTCARD, 0, 0
            if self.mute:
                return self.SCARD_W_UNRESPONSIVE_CARD, 0, 0
            self.reader.power(on=True)
            self._connected = True
            return self.SCARD_S_SUCCESS, 1, self.SCARD_PROTOCOL_T1

    def SCardDisconnect(self, _card: int, how: int) -> int:  # noqa: N802
        with self.moved:
            self._connected = False
            if how == self.SCARD_UNPOWER_CARD:
                self.reader.power(on=False)
        return self.SCARD_S_SUCCESS

    def SCardTransmit(self, _card: int, _pci: int, command: list[int]) -> tuple[int, list[int]]:  # noqa: N802
        with self.moved:
            if not self._connected:
                return self.SCARD_W_REMOVED_CARD, []
            self.sent.append(bytes(command).hex().upper())
            return self.SCARD_S_SUCCESS, list(self.reader.apdu(bytes(command)))

    def _state(self) -> int:
        there = self.reader.card is not None
        if there != self._there:
            self._there = there
            self._changes += 1
        if not self.plugged:
            return self.SCARD_STATE_UNAVAILABLE
        return (self.SCARD_STATE_PRESENT if there else self.SCARD_STATE_EMPTY) | self._changes << 16
