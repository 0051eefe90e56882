"""A virtual NTAG 424 DNA: its files, SUN messages, authentication, and what a desk needs to encode a blank one."""

from collections.abc import Callable
from typing import Final

from firmware_bridge.simulators.pn532_iso_dep import body_of
from firmware_bridge.simulators.pn532_ntag424_files import (
    BLANK_KEY,
    CAPABILITY,
    CODES,
    FILE_BYTES,
    KEY_NUMBERS,
    NDEF,
    OK,
    OWN,
    WRONG_KEY,
    File,
    Memory,
    blank_files,
    carry_out,
)
from firmware_bridge.wire import aes, ndef_file, ntag424, ntag424_files, ntag424_session
from firmware_bridge.wire.ntag424_files import FREE, PLAIN, Rights, Sdm, Settings

SUN_BASE: Final = "https://card.example/t"

_VERSION_PARTS: Final = (bytes.fromhex("04040230001105"), bytes.fromhex("04040201021105"))
_OK: Final = bytes.fromhex("9000")
_NATIVE_MORE: Final = bytes.fromhex("91AF")
_NATIVE_ABORTED: Final = bytes.fromhex("91CA")
_NATIVE_UNKNOWN: Final = bytes.fromhex("911C")
_NATIVE_LENGTH: Final = bytes.fromhex("917E")
_NOT_FOUND: Final = bytes.fromhex("6A82")
_WRONG_LENGTH: Final = bytes.fromhex("6700")
_WRONG_OFFSET: Final = bytes.fromhex("6B00")
_NO_FILE: Final = bytes.fromhex("6985")
_FORBIDDEN: Final = bytes.fromhex("6982")
_UNKNOWN: Final = bytes.fromhex("6D00")
_NAMES: Final = {ntag424.CAPABILITY_FILE: CAPABILITY, ntag424.NDEF_FILE: NDEF, bytes.fromhex("E105"): OWN}


class Ntag424:
    """The application layer: APDUs. Files, keys and counter survive power; everything else does not."""

    def __init__(self, uid: bytes, key: bytes | None, *, dice: Callable[[int], bytes]) -> None:
        """Make a card whose five keys are `key` and whose NDEF file is set up for SUN messages; None: a blank one.

        `dice(n)` returns n random bytes. The counter is 0.
        """
        self.uid = uid
        self.counter = 0
        self.memory = Memory(uid, [key or BLANK_KEY] * KEY_NUMBERS, blank_files())
        if key is not None:
            self.memory.files[NDEF] = _sun_file()
        self._dice = dice
        self._selected = False
        self._file = 0
        self._shown = b""
        self._pending: Callable[[bytes], bytes] | None = None

    def reset(self) -> None:
        """Start a new session: nothing selected, nobody authenticated."""
        self._selected, self._file, self._shown = False, 0, b""
        self._pending = None
        self.memory.end_session()

    def apdu(self, command: bytes) -> bytes:
        """Answer one command."""
        if len(command) < 4:  # noqa: PLR2004 - CLA INS P1 P2
            return _WRONG_LENGTH
        match command[0], command[1]:
            case 0x00, 0xA4:
                return self._select(command)
            case 0x00, 0xB0:
                return self._read(command)
            case 0x00, 0xD6:
                return self._update(command)
            case 0x90, _:
                return self._native(command)
            case _:
                return _UNKNOWN

    def _select(self, command: bytes) -> bytes:
        name = body_of(command)
        if command[2] == 0x04 and name == ntag424.NDEF_APPLICATION:  # noqa: PLR2004 - P1: by name
            self.reset()
            self._selected = True
            return _OK
        if command[2] in (0x00, 0x02) and self._selected and name in _NAMES:
            self._file = _NAMES[name]
            return _OK
        return _NOT_FOUND

    def _read(self, command: bytes) -> bytes:
        if not self._file:
            return _NO_FILE
        file = self.memory.files[self._file]
        if FREE not in (file.settings.rights.read, file.settings.rights.read_write):
            return _FORBIDDEN
        content = bytes(file.content)
        if file.settings.sdm is not None and self.memory.session is None:
            self._shown = content = self._shown or self._count(file.content, file.settings.sdm)
        offset = int.from_bytes(command[2:4], "big")
        wanted = command[4] if len(command) > 4 else 0  # noqa: PLR2004 - Le
        if offset >= len(content):
            return _WRONG_OFFSET
        return content[offset : offset + (wanted or FILE_BYTES)] + _OK

    def _update(self, command: bytes) -> bytes:
        offset, data = int.from_bytes(command[2:4], "big"), body_of(command)
        if not self._file:
            return _NO_FILE
        file = self.memory.files[self._file]
        if FREE not in (file.settings.rights.write, file.settings.rights.read_write):
            return _FORBIDDEN
        return _OK if file.write(offset, data) else _WRONG_OFFSET

    def _count(self, content: bytearray, sdm: Sdm) -> bytes:
        """Raise the counter for the first read of this session, and compose the file with it."""
        self.counter = min(self.counter + 1, ntag424.COUNTER_LIMIT)
        return ntag424_files.mirrored(
            bytes(content), sdm, self.memory.keys, uid=self.uid, counter=self.counter, filling=self._dice(5)
        )

    def _native(self, command: bytes) -> bytes:
        """Answer a wrapped native command; AF carries on with what the last one began."""
        code, body = command[1], body_of(command)
        pending, self._pending = self._pending, None
        match code:
            case ntag424_session.MORE:
                return pending(body) if pending is not None else _NATIVE_ABORTED
            case 0x60:
                self._pending = self._version_second
                return _VERSION_PARTS[0] + _NATIVE_MORE
            case ntag424_session.AUTHENTICATE:
                return self._challenge(body)
            case _ if code in CODES:
                return carry_out(self.memory, code, body)
            case _:
                return _NATIVE_UNKNOWN

    def _version_second(self, _data: bytes) -> bytes:
        self._pending = self._version_third
        return _VERSION_PARTS[1] + _NATIVE_MORE

    def _version_third(self, _data: bytes) -> bytes:
        return self.uid + bytes(5) + bytes.fromhex("0122") + OK

    def _challenge(self, data: bytes) -> bytes:
        """AuthenticateEV2First, first half: send our number."""
        if len(data) < 2 or data[0] >= KEY_NUMBERS:  # noqa: PLR2004 - key number, length of capabilities
            return _NATIVE_LENGTH
        number, rnd_b = data[0], self._dice(16)
        self._pending = lambda reply: self._prove(number, rnd_b, reply)
        return aes.cbc_encrypt(self.memory.keys[number], rnd_b) + _NATIVE_MORE

    def _prove(self, number: int, rnd_b: bytes, reply: bytes) -> bytes:
        """AuthenticateEV2First, second half: check the host's proof and give ours."""
        if len(reply) != 2 * ntag424.KEY_BYTES:
            return _NATIVE_LENGTH
        transaction = self._dice(ntag424_session.TRANSACTION_BYTES)
        opened = ntag424_session.card_session(self.memory.keys[number], reply, rnd_b=rnd_b, transaction=transaction)
        if opened is None:
            return WRONG_KEY
        self.memory.session, answer = opened
        self.memory.proven = number
        return answer + OK


def _sun_file() -> File:
    """Return an NDEF file whose URL shows UID, counter and MAC in plain, the MAC over an empty text."""
    url = f"{SUN_BASE}?uid={'0' * 14}&ctr={'0' * 6}&mac={'0' * 16}"
    content = ndef_file.type4_file(ndef_file.uri_record(url))
    uid_at, counter_at, mac_at = (content.index(f"{name}=".encode()) + 4 for name in ("uid", "ctr", "mac"))
    sdm = Sdm(meta_read=FREE, file_read=1, mac_from=mac_at, mac_at=mac_at, uid_at=uid_at, counter_at=counter_at)
    rights = Rights(read=FREE, write=0, read_write=0, change=0)
    return File(bytearray(content + bytes(FILE_BYTES - len(content))), Settings(PLAIN, rights, sdm))
