"""A PN532 at a serial path, through nfcpy, which owns the port and frames the chip's commands.

The port stays at 115,200 baud: nfcpy's own start would raise it (by a shell command), and a chip left at another rate
by a bridge that was killed does not answer the next one until it loses power.
"""

import contextlib
import errno
import fcntl
import logging
import os
import struct
from typing import Any, Final

import nfc.clf.pn532
import nfc.clf.transport

from device_profiles.schema import Reader
from firmware_bridge.drivers.nfc_cards import Target
from firmware_bridge.drivers.nfc_watch import PORT_FAULTS, FieldWatch
from firmware_bridge.wire import pn532, type2_tag

MIXED_ATTEMPTS: Final = 10
"""Looks (5 ms each and more) for one kind of card before it is the other's turn, where both are looked for."""
LOOK_TIMEOUT_S: Final = 4.0
EXCHANGE_TIMEOUT_S: Final = 1.0
WRITE_TIMEOUT_S: Final = 1.0
FELICA_ID_BYTES: Final = 8


class ChipField:
    """The field of a PN532 at `path` (nfc_cards.Field). OSError or termios.error where the chip cannot be reached."""

    def __init__(self, path: str, *, felica: bool = False) -> None:
        """Open the port for this program alone, wake the chip and set it up. `felica`: look for such cards as well."""
        logging.getLogger("nfc").setLevel(logging.CRITICAL)  # it logs frames, and a UID is never logged
        self._lock_fd = _locked(path)
        self._transport: Any = None
        try:
            self._transport = nfc.clf.transport.TTY(path)
            self._transport.tty.write_timeout = WRITE_TIMEOUT_S
            self._transport.write(pn532.WAKE_UP)
            self._chip: Any = nfc.clf.pn532.Chipset(self._transport, logger=logging.getLogger("nfc.clf.pn532"))
            self._command(pn532.SAM_CONFIGURATION, b"\x01\x00\x00")
            self._device: Any = self._set_up()
        except BaseException:
            self.close()
            raise
        version = self._command(pn532.GET_FIRMWARE_VERSION, b"")
        self.firmware = f"PN5{version[0]:02X} {version[1]}.{version[2]}"
        self._command(pn532.SET_PARAMETERS, bytes([pn532.PARAMETER_AUTOMATIC_RATS]))
        self._attempts = 0
        self._kinds = [pn532.TYPE_A, pn532.FELICA_212] if felica else [pn532.TYPE_A]

    def look(self, *, attempts: int) -> Target | None:
        """Activate a card: of the kind that was there last, then of the other, each tried for its share of attempts."""
        share = attempts if len(self._kinds) == 1 else min(attempts, MIXED_ATTEMPTS)
        if share != self._attempts:
            self._command(pn532.RF_CONFIGURATION, bytes([pn532.RF_ITEM_RETRIES, 1, 0, share - 1]))
            self._attempts = share
        for kind in self._kinds:
            answer = self._command(pn532.IN_LIST_PASSIVE_TARGET, b"\x01" + kind, timeout_s=LOOK_TIMEOUT_S)
            target = _target(answer, felica=kind == pn532.FELICA_212)
            if target is not None:
                self._kinds.sort(key=kind.__ne__)
                return target
        return None

    def off(self) -> None:
        """Switch the field off; the next look switches it on."""
        self._command(pn532.RF_CONFIGURATION, bytes([pn532.RF_ITEM_FIELD, 2]))

    def apdu(self, command: bytes) -> bytes | None:
        """Exchange an APDU with the activated card."""
        return _well_answered(self._command(pn532.IN_DATA_EXCHANGE, b"\x01" + command))

    def frame(self, data: bytes) -> bytes | None:
        """Exchange a raw frame with the activated card. The chip itself takes the four bits that answer a WRITE."""
        if data[0] == type2_tag.WRITE:
            answer = self._command(pn532.IN_DATA_EXCHANGE, b"\x01" + data)
            return bytes([type2_tag.ACK]) if _well_answered(answer) is not None else _no_or_silence(answer)
        answer = self._command(pn532.IN_COMMUNICATE_THRU, data)
        said = _well_answered(answer)
        return _no_or_silence(answer) if said is None else said

    def interrupt(self) -> None:
        """Make a read that waits in another thread return now."""
        tty = self._transport.tty
        if tty is not None:
            with contextlib.suppress(OSError, TypeError):  # TypeError: it closed just now, its wake-up pipe is None
                tty.cancel_read()

    def close(self) -> None:
        """Close the port whatever state it is in; a second call does nothing."""
        tty = None
        if self._transport is not None:
            tty, self._transport.tty = self._transport.tty, None
        if tty is not None:
            with contextlib.suppress(*PORT_FAULTS):
                tty.reset_output_buffer()  # or close waits for a device that takes nothing
            tty.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _set_up(self) -> Any:  # noqa: ANN401 - nfcpy has no types
        """Let nfcpy test the line and write its analog settings for this chip."""
        try:
            return nfc.clf.pn532.Device(self._chip, logger=logging.getLogger("nfc.clf.pn532"))
        except nfc.clf.pn532.Chipset.Error as error:
            raise OSError(errno.EIO, str(error)) from error

    def _command(self, code: int, arguments: bytes, *, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """Return the answer's parameters; OSError for silence and for anything that is no answer to this command."""
        try:
            answer = self._chip.command(code, bytearray(arguments), timeout=timeout_s)
        except (nfc.clf.pn532.Chipset.Error, IndexError, struct.error) as error:  # nfcpy on a frame cut short
            raise OSError(errno.EIO, f"not an answer: {error}") from error
        return bytes(answer or b"")


def _locked(path: str) -> int:
    """Return a descriptor that holds the port for this program; taken before opening, which throws away input.

    It is the lock that pyserial takes for `exclusive`, so both see each other.
    """
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno, "busy, another program has it open (fuser -v names it)") from error
    return fd


def _target(answer: bytes, *, felica: bool) -> Target | None:
    """Return the target in an answer to InListPassiveTarget (UM0701-02, 7.3.5), or None where nobody is there."""
    start = 5 if felica else 6  # count, number, then POL_RES (length, 01), or SENS_RES (2), SEL_RES, length of NFCID
    if len(answer) < start or answer[0] == 0:
        return None
    size = FELICA_ID_BYTES if felica else answer[5]
    uid = answer[4 : 4 + size] if felica else answer[6 : 6 + size]
    if len(uid) != size:
        return None
    return Target(uid=uid, sak=None if felica else answer[4])


def _no_or_silence(answer: bytes) -> bytes | None:
    """Return None where the card did not answer, nothing where it answered with what the chip takes for a fault."""
    return None if not answer or answer[0] & pn532.STATUS_CODE_MASK == pn532.STATUS_TIMEOUT else b""


def _well_answered(answer: bytes) -> bytes | None:
    """Return what follows a good status byte."""
    if not answer or answer[0] & pn532.STATUS_CODE_MASK != pn532.STATUS_OK:
        return None
    return answer[1:]


class NfcReader(FieldWatch):
    """A PN532 at a serial path; it looks for FeliCa cards where the profile's media name them."""

    def __init__(self, *, path: str, reader: Reader) -> None:
        """Take the path from the site file, timing and media from the profile."""
        felica = "felica" in reader.media
        super().__init__(path=path, reader=reader, opener=lambda: ChipField(path, felica=felica))
