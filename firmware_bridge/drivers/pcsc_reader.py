"""An ACR122U, or another contactless reader, behind the PC/SC service: the one door to pyscard.

The reader looks for cards by itself and says so to the service; here nothing is sent to a card that only lies there.
pyscard is an extra of its own (`pip install venuehub[pcsc]`): it is built where it is installed.
"""

import contextlib
import errno
from types import ModuleType
from typing import Any, Final

from device_profiles.schema import Reader
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.nfc_cards import Target
from firmware_bridge.drivers.nfc_watch import FieldWatch
from firmware_bridge.wire import pcsc, pn532, type2_tag

ATTEMPT_MS: Final = 5
"""What a look of a PN532 takes: attempts become a time to wait for the service's word."""
_COUNT_SHIFT: Final = 16
"""The upper half of a state counts the cards that came and went."""
_ANSWER_HEAD: Final = 3
"""Of the chip: D5, command + 1, status."""


def load_scard() -> ModuleType:
    """Return pyscard's plain functions; DriverError with the remedy where they are missing."""
    try:
        import smartcard.scard as functions  # noqa: PLC0415 - only where such a reader is in the site file
    except ImportError as error:
        message = (
            "PC/SC: pyscard is not installed: pip install venuehub[pcsc] (Debian: apt install pcscd python3-pyscard)"
        )
        raise DriverError(message) from error
    loaded: ModuleType = functions
    return loaded


class CardField:
    """The field of a PC/SC reader (nfc_watch.OpenField). OSError where service or reader are gone."""

    def __init__(self, name: str, scard: Any) -> None:  # noqa: ANN401 - pyscard has no types
        """Find the one reader whose name begins with `name`."""
        self._scard = scard
        self._card: Any = None
        self._protocol = 0
        self._count = -1
        self._target: Target | None = None
        self._spoken = False
        self._context = self._good(scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM), "is pcscd running?")
        try:
            self.firmware = self._reader = self._one_reader(name)
        except BaseException:
            self.close()
            raise

    def look(self, *, attempts: int) -> Target | None:
        """Wait for a card; one that has not moved since the last look is not asked again.

        One that gives no number is asked once in such a wait: the service tells at once that it still lies there.
        """
        state, atr = self._state(timeout_ms=0, known=self._scard.SCARD_STATE_UNAWARE)
        if not state & self._scard.SCARD_STATE_PRESENT:
            self._forget()
            state, atr = self._state(timeout_ms=attempts * ATTEMPT_MS, known=state)
        if not state & self._scard.SCARD_STATE_PRESENT:
            return None
        count = state >> _COUNT_SHIFT
        if self._target is None or count != self._count:
            self._forget()
            uid = self._transmit(pcsc.GET_UID)
            if uid is None or uid[-2:] != pcsc.OK:
                self._state(timeout_ms=attempts * ATTEMPT_MS, known=state)
                return None
            self._target, self._count = Target(uid=uid[:-2], sak=pcsc.sak_of(atr)), count
        return self._target

    def off(self) -> None:
        """End the card's session, if anything was said to it: the next word finds it as new."""
        if self._card is not None:
            how = self._scard.SCARD_UNPOWER_CARD if self._spoken else self._scard.SCARD_LEAVE_CARD
            self._scard.SCardDisconnect(self._card, how)
        self._card, self._spoken = None, False

    def apdu(self, command: bytes) -> bytes | None:
        """Exchange an APDU with the card."""
        return self._transmit(command)

    def frame(self, data: bytes) -> bytes | None:
        """Exchange a raw frame through the reader's chip. The chip itself takes the four bits that answer a WRITE."""
        write = data[0] == type2_tag.WRITE
        head = bytes([pn532.IN_DATA_EXCHANGE, 1]) if write else bytes([pn532.IN_COMMUNICATE_THRU])
        answer = self._transmit(pcsc.direct(bytes([pn532.TO_CHIP]) + head + data))
        if answer is None or answer[-2:] != pcsc.OK or len(answer) < _ANSWER_HEAD + 2:
            return None
        status = answer[2] & pn532.STATUS_CODE_MASK
        if status != pn532.STATUS_OK:
            return None if status == pn532.STATUS_TIMEOUT else b""
        return bytes([type2_tag.ACK]) if write else answer[_ANSWER_HEAD:-2]

    def interrupt(self) -> None:
        """Make a look in another thread return now."""
        self._scard.SCardCancel(self._context)

    def close(self) -> None:
        """Let go of card and service."""
        if self._context is not None:
            with contextlib.suppress(OSError):
                self.off()
            self._scard.SCardReleaseContext(self._context)
            self._context = None

    def _one_reader(self, name: str) -> str:
        found = self._good(self._scard.SCardListReaders(self._context, []), "is the reader plugged in?")
        fitting = [reader for reader in found if reader.startswith(name)]
        if len(fitting) == 1:
            return str(fitting[0])
        said = ", ".join(found) or "none"
        problem = "no such reader" if not fitting else "several such readers, write more of the name"
        raise OSError(errno.ENODEV, f"{problem}: PC/SC knows {said}")

    def _state(self, *, timeout_ms: int, known: int) -> tuple[int, bytes]:
        """Return the reader's state and the card's answer to reset, after a change or the time."""
        code, states = self._scard.SCardGetStatusChange(self._context, timeout_ms, [(self._reader, known)])
        if code in (self._scard.SCARD_E_TIMEOUT, self._scard.SCARD_E_CANCELLED):
            return known, b""
        self._good((code, states), "is the reader plugged in?")
        _, state, atr = states[0]
        if state & (self._scard.SCARD_STATE_UNAVAILABLE | self._scard.SCARD_STATE_UNKNOWN):
            raise OSError(errno.ENODEV, "the reader is gone: is it plugged in?")
        return state, bytes(atr)

    def _transmit(self, command: bytes) -> bytes | None:
        """Return the answer, None where the card left."""
        scard = self._scard
        if self._card is None and not self._connect():
            return None
        self._spoken = self._spoken or command != pcsc.GET_UID
        pci = scard.SCARD_PCI_T0 if self._protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        code, answer = scard.SCardTransmit(self._card, pci, list(command))
        if code != scard.SCARD_S_SUCCESS:
            self._forget()
            return None
        return bytes(byte & 0xFF for byte in answer)

    def _connect(self) -> bool:
        scard = self._scard
        code, card, protocol = scard.SCardConnect(
            self._context, self._reader, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        )
        if code == scard.SCARD_E_SHARING_VIOLATION:
            raise BlockingIOError(errno.EBUSY, "busy, another program has the card: stop it")
        if code != scard.SCARD_S_SUCCESS:
            return False
        self._card, self._protocol = card, protocol
        return True

    def _forget(self) -> None:
        self.off()
        self._target = None

    def _good(self, answer: Any, remedy: str) -> Any:  # noqa: ANN401 - pyscard has no types
        """Return what follows a good code; OSError with pyscard's words and a remedy."""
        code, result = answer
        if code != self._scard.SCARD_S_SUCCESS:
            raise OSError(errno.ENODEV, f"{self._scard.SCardGetErrorMessage(code)} {remedy}")
        return result


class PcscReader(FieldWatch):
    """A contactless reader behind PC/SC, by the beginning of its name there."""

    def __init__(self, *, name: str, reader: Reader, scard: Any) -> None:  # noqa: ANN401 - pyscard has no types
        """Take the name from the site file, the timing from the profile."""
        super().__init__(path=name, reader=reader, opener=lambda: CardField(name, scard))
