"""Reads NFC cards through nfcpy: one thread per reader that looks into its field, watched by the event loop.

nfcpy owns the port and frames the chip's commands. Looking is left to the chip: one InListPassiveTarget with many
attempts keeps the thread asleep until a card comes, so that an idle reader costs two exchanges a second and a card is
seen at once. While a card lies there, the field goes off and on for every look: any card answers that, whatever it
was told before. The port stays at 115,200 baud: nfcpy's own start would raise it (by a shell command), and a chip
left at another rate by a bridge that was killed does not answer the next one until it loses power.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import struct
import termios
import threading
import time
from typing import Any, Final

import nfc.clf.pn532
import nfc.clf.transport

from cloud_sync.ending import pause
from device_profiles.schema import Reader
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, Wish
from firmware_bridge.drivers.nfc_cards import Presence, Target, is_random_uid, read_credential
from firmware_bridge.wire import pn532
from payment_core.events import CredentialPresented, CredentialRemoved

EMPTY_ATTEMPTS: Final = 100
"""Looks of the chip before it says "nobody" (0.5 s and more): so often does an idle reader show that it lives."""
SEEKING_ATTEMPTS: Final = 10
"""Looks for a card that was just there: long enough to sleep, short enough to notice that it left."""
LOOK_TIMEOUT_S: Final = 4.0
EXCHANGE_TIMEOUT_S: Final = 1.0
WRITE_TIMEOUT_S: Final = 1.0
FAULTS_IN_A_ROW: Final = 3
"""Broken answers that are taken for line noise; one more and the port is opened anew."""
FIRST_RETRY_S: Final = 0.2
LAST_RETRY_S: Final = 5.0
WATCH_EVERY_S: Final = 1.0
CLOSE_WAIT_S: Final = 2.0

_WAKE_UP: Final = bytes.fromhex("5555") + bytes(14)
_LOOKS_PER_REMOVAL: Final = 4
_PORT_FAULTS: Final = (OSError, termios.error)


class ChipField:
    """The field of a PN532 at `path` (nfc_cards.Field). OSError or termios.error where the chip cannot be reached."""

    def __init__(self, path: str) -> None:
        """Open the port for this program alone, wake the chip and set it up."""
        logging.getLogger("nfc").setLevel(logging.CRITICAL)  # it logs frames, and a UID is never logged
        self._lock_fd = _locked(path)
        self._transport: Any = None
        try:
            self._transport = nfc.clf.transport.TTY(path)
            self._transport.tty.write_timeout = WRITE_TIMEOUT_S
            self._transport.write(_WAKE_UP)
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

    def look(self, *, attempts: int) -> Target | None:
        """Activate a type A card; the chip tries `attempts` times."""
        if attempts != self._attempts:
            self._command(pn532.RF_CONFIGURATION, bytes([pn532.RF_ITEM_RETRIES, 1, 0, attempts - 1]))
            self._attempts = attempts
        answer = self._command(pn532.IN_LIST_PASSIVE_TARGET, b"\x01\x00", timeout_s=LOOK_TIMEOUT_S)
        if len(answer) < 6 or answer[0] == 0:  # noqa: PLR2004 - count, number, SENS_RES (2), SEL_RES, length of NFCID
            return None
        return Target(uid=answer[6 : 6 + answer[5]], sak=answer[4])

    def off(self) -> None:
        """Switch the field off; the next look switches it on."""
        self._command(pn532.RF_CONFIGURATION, bytes([pn532.RF_ITEM_FIELD, 2]))

    def apdu(self, command: bytes) -> bytes | None:
        """Exchange an APDU with the activated card."""
        return _well_answered(self._command(pn532.IN_DATA_EXCHANGE, b"\x01" + command))

    def frame(self, data: bytes) -> bytes | None:
        """Exchange a raw frame with the activated card."""
        return _well_answered(self._command(pn532.IN_COMMUNICATE_THRU, data))

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
            with contextlib.suppress(*_PORT_FAULTS):
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


def _well_answered(answer: bytes) -> bytes | None:
    """Return what follows a good status byte."""
    if not answer or answer[0] & pn532.STATUS_CODE_MASK != pn532.STATUS_OK:
        return None
    return answer[1:]


class _Session:
    """One thread on one open port, from opening to its end. `said`, in order: online, wishes, offline."""

    def __init__(self, path: str, reader: Reader) -> None:
        self.said: asyncio.Queue[Condition | Wish] = asyncio.Queue()
        self.finished = asyncio.Event()
        self._path = path
        self._removed_after_s = reader.removed_after_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._field: ChipField | None = None
        self._progress_s = time.monotonic()
        self._thread = threading.Thread(target=self._main, name=f"nfc {path}", daemon=True)
        self._thread.start()

    def silent_s(self) -> float:
        """Return the seconds since the thread last got on."""
        return time.monotonic() - self._progress_s

    async def stop(self) -> None:
        """Ask the thread to end and wait a little; one that hangs in the kernel is left behind, unheard."""
        self._stopping.set()
        if self._field is not None:
            self._field.interrupt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self.finished.wait()

    def _main(self) -> None:
        """Run in the thread: open, look until told to stop or the port is gone, close."""
        reason = "closed here"
        try:
            self._field = field = ChipField(self._path)
            try:
                self._tell(self.said.put_nowait, Condition("online", firmware=field.firmware))
                self._watch_field(field)
            finally:
                with contextlib.suppress(*_PORT_FAULTS):
                    field.off()
                field.close()
        except BlockingIOError as error:
            reason = f"{self._path}: {error.strerror}"
        except _PORT_FAULTS as error:
            reason = f"{self._path}: {error}: is the reader plugged in and powered, and set to UART (HSU)?"
        except Exception as error:  # noqa: BLE001 - the thread's supervisor: whoever reads this must not replug in vain
            reason = f"{self._path}: {type(error).__name__}: {error}: a fault of this program, the port is opened anew"
        self._tell(self.said.put_nowait, Condition("offline", reason=reason))
        self._tell(self.finished.set)

    def _watch_field(self, field: ChipField) -> None:
        presence = Presence(removed_after_s=self._removed_after_s)
        faults = 0
        while not self._stopping.is_set():
            try:
                self._look_once(field, presence)
                faults = 0
            except OSError as error:
                faults += 1
                if error.errno != errno.EIO or faults > FAULTS_IN_A_ROW:
                    raise
            self._progress_s = time.monotonic()

    def _look_once(self, field: ChipField, presence: Presence) -> None:
        """Look once; present a card that is new, and say so when the last one has left."""
        if presence.uid:
            field.off()
        target = field.look(attempts=SEEKING_ATTEMPTS if presence.uid else EMPTY_ATTEMPTS)
        at_s = time.monotonic()
        if target is None:
            if presence.has_left(at_s=at_s):
                self._removed(presence, at_s)
        elif presence.is_same(target.uid, at_s=at_s):
            self._stopping.wait(self._removed_after_s / _LOOKS_PER_REMOVAL)
        else:
            if presence.uid:
                self._removed(presence, at_s)
            self._present(field, presence, target, at_s)

    def _present(self, field: ChipField, presence: Presence, target: Target, at_s: float) -> None:
        credential = read_credential(field, target)
        if credential == "torn":
            field.off()  # a card left in mid-session answers the next look only after it had no power
            return
        presence.placed(target.uid, at_s=time.monotonic())
        if isinstance(credential, CredentialPresented):
            self._publish(Wish(credential, at=at_s))

    def _removed(self, presence: Presence, at_s: float) -> None:
        uid = presence.clear()
        if not is_random_uid(uid):
            self._publish(Wish(CredentialRemoved(uid.hex().upper()), at=at_s))

    def _publish(self, wish: Wish) -> None:
        if not self._stopping.is_set():
            self._tell(self.said.put_nowait, wish)

    def _tell(self, call: Any, *arguments: Any) -> None:  # noqa: ANN401 - as call_soon_threadsafe takes them
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)


def _offer(outbox: Outbox, wish: Wish) -> None:
    """Put a wish out, or drop it where the outbox is full: by the time there is room nobody waits for it."""
    with contextlib.suppress(asyncio.QueueFull):
        outbox.put_nowait(wish)


class NfcReader:
    """A PN532 at a serial path (drivers/interface.py). It outlives unplugging: it says offline and opens again."""

    def __init__(self, *, path: str, reader: Reader) -> None:
        """Take the path from the site file and the timing from the profile."""
        self._path = path
        self._reader = reader
        self._said: Condition | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Report cards until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_refuse_commands(inbox, outbox))
            group.create_task(self._keep_open(outbox))

    async def _keep_open(self, outbox: Outbox) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            was_online = await self._one_session(outbox)
            retry_s = FIRST_RETRY_S if was_online else min(2 * retry_s, LAST_RETRY_S)
            await pause(retry_s)

    async def _one_session(self, outbox: Outbox) -> bool:
        """Open the port and serve it until it is gone or hangs; return whether the chip ever answered."""
        session = _Session(self._path, self._reader)
        was_online = False
        try:
            while True:
                said = await self._next_said(session)
                if isinstance(said, Wish):
                    _offer(outbox, said)
                    continue
                if said != self._said:
                    self._said = said
                    await outbox.put(said)
                if said.state != "online":
                    return was_online
                was_online = True
        finally:
            await session.stop()

    async def _next_said(self, session: _Session) -> Condition | Wish:
        """Return what the thread says, or a fault where it has not got on for the profile's `watchdog_ms`."""
        limit_s = self._reader.watchdog_ms / 1000
        while session.silent_s() < limit_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(WATCH_EVERY_S, limit_s)):
                    return await session.said.get()
        reason = f"{self._path}: no answer for {limit_s:g} s: the port hangs, replug the reader"
        return Condition("fault", reason=reason)


async def _refuse_commands(inbox: Inbox, outbox: Outbox) -> None:
    """Answer every command: a bare PN532 has neither lamp nor buzzer."""
    while True:
        command = await inbox.get()
        await outbox.put(Answer(command.id, "refused", reason="not_supported"))
