"""A virtual NTAG 424 DNA: ISO-DEP on the card's side, an NDEF file that shows a SUN URL, AuthenticateEV2First."""

from collections.abc import Callable
from typing import Final

import msgspec

from firmware_bridge.simulators.pn532_cards import RadioAnswer
from firmware_bridge.wire import aes, iso14443, ndef_file, ntag424
from firmware_bridge.wire.iso14443 import Block

SUN_BASE: Final = "https://card.example/t"
FILE_BYTES: Final = 256

_CAPABILITIES: Final = bytes.fromhex("0017200100 00FF 0406E104010000FF 0506E10500808283".replace(" ", ""))
_VERSION_PARTS: Final = (bytes.fromhex("04040230001105"), bytes.fromhex("04040201021105"))
_OK: Final = bytes.fromhex("9000")
_NATIVE_OK: Final = bytes.fromhex("9100")
_NATIVE_MORE: Final = bytes.fromhex("91AF")
_NATIVE_ABORTED: Final = bytes.fromhex("91CA")
_NATIVE_WRONG_KEY: Final = bytes.fromhex("91AE")
_NATIVE_UNKNOWN: Final = bytes.fromhex("911C")
_NATIVE_LENGTH: Final = bytes.fromhex("917E")
_NOT_FOUND: Final = bytes.fromhex("6A82")
_WRONG_LENGTH: Final = bytes.fromhex("6700")
_WRONG_OFFSET: Final = bytes.fromhex("6B00")
_NO_FILE: Final = bytes.fromhex("6985")
_FORBIDDEN: Final = bytes.fromhex("6982")
_UNKNOWN: Final = bytes.fromhex("6D00")
_KEY_NUMBERS: Final = 5


class Ntag424:
    """The application layer: APDUs. The card's counter survives power; everything else does not."""

    def __init__(self, uid: bytes, key: bytes, *, dice: Callable[[int], bytes]) -> None:
        """Make a fresh card; all its keys are `key`, its counter is 0, `dice(n)` returns n random bytes."""
        self.uid = uid
        self.counter = 0
        self.session: ntag424.SessionKeys | None = None
        self._key = key
        self._dice = dice
        self._files: dict[bytes, bytes] = {}
        self._file = b""
        self._counted = False
        self._pending: Callable[[bytes], bytes] | None = None

    def reset(self) -> None:
        """Start a new session: nothing selected, nobody authenticated."""
        self._files, self._file, self._counted = {}, b"", False
        self._pending, self.session = None, None

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
                return _FORBIDDEN
            case 0x90, _:
                return self._native(command)
            case _:
                return _UNKNOWN

    def _select(self, command: bytes) -> bytes:
        name = command[5 : 5 + command[4]] if len(command) > 5 else b""  # noqa: PLR2004 - the five header bytes
        if command[2] == 0x04 and name == ntag424.NDEF_APPLICATION:  # noqa: PLR2004 - P1: by name
            self.reset()
            self._files = {ntag424.CAPABILITY_FILE: _CAPABILITIES, ntag424.NDEF_FILE: b""}
            return _OK
        if command[2] in (0x00, 0x02) and name in self._files:
            self._file = name
            return _OK
        return _NOT_FOUND

    def _read(self, command: bytes) -> bytes:
        if not self._file:
            return _NO_FILE
        if self._file == ntag424.NDEF_FILE and not self._counted:
            self._count()
        content = self._files[self._file]
        offset = int.from_bytes(command[2:4], "big")
        wanted = command[4] if len(command) > 4 else 0  # noqa: PLR2004 - Le
        if offset >= len(content):
            return _WRONG_OFFSET
        return content[offset : offset + (wanted or FILE_BYTES)] + _OK

    def _count(self) -> None:
        """Raise the counter for the first read of this session, and compose the file with it."""
        self._counted = True
        self.counter = min(self.counter + 1, ntag424.COUNTER_LIMIT)
        url = ntag424.sun_url(SUN_BASE, self._key, uid=self.uid, counter=self.counter)
        content = ndef_file.type4_file(ndef_file.uri_record(url))
        self._files[ntag424.NDEF_FILE] = content + bytes(FILE_BYTES - len(content))

    def _native(self, command: bytes) -> bytes:
        """Answer a wrapped native command; AF carries on with what the last one began."""
        data = command[5 : 5 + command[4]] if len(command) > 5 else b""  # noqa: PLR2004 - the five header bytes
        pending, self._pending = self._pending, None
        match command[1]:
            case 0xAF if pending is not None:
                return pending(data)
            case 0x60:
                self._pending = self._version_second
                return _VERSION_PARTS[0] + _NATIVE_MORE
            case 0x71:
                return self._challenge(data)
            case 0xAF:
                return _NATIVE_ABORTED
            case _:
                return _NATIVE_UNKNOWN

    def _version_second(self, _data: bytes) -> bytes:
        self._pending = self._version_third
        return _VERSION_PARTS[1] + _NATIVE_MORE

    def _version_third(self, _data: bytes) -> bytes:
        return self.uid + bytes(5) + bytes.fromhex("0122") + _NATIVE_OK

    def _challenge(self, data: bytes) -> bytes:
        """AuthenticateEV2First, first half: send our number."""
        if len(data) < 2 or data[0] >= _KEY_NUMBERS:  # noqa: PLR2004 - key number, length of capabilities
            return _NATIVE_LENGTH
        rnd_b = self._dice(16)
        self._pending = lambda reply: self._prove(rnd_b, reply)
        return aes.cbc_encrypt(self._key, rnd_b) + _NATIVE_MORE

    def _prove(self, rnd_b: bytes, reply: bytes) -> bytes:
        """AuthenticateEV2First, second half: check the host's proof and give ours."""
        if len(reply) != 2 * ntag424.KEY_BYTES:
            return _NATIVE_LENGTH
        plain = aes.cbc_decrypt(self._key, reply)
        rnd_a, proof = plain[:16], plain[16:]
        if proof != ntag424.rotate_left(rnd_b):
            return _NATIVE_WRONG_KEY
        self.session = ntag424.session_keys(self._key, rnd_a=rnd_a, rnd_b=rnd_b)
        answer = self._dice(4) + ntag424.rotate_left(rnd_a) + bytes(12)
        return aes.cbc_encrypt(self._key, answer) + _NATIVE_OK


class IsoDepState(msgspec.Struct):
    """Volatile state of the card's half of ISO-DEP."""

    active: bool = False
    number: int = 1
    frame_bytes: int = 256
    received: bytes = b""
    to_send: bytes = b""
    last: bytes = b""


class IsoDepCard:
    """An NTAG 424 on air: RATS, blocks with chaining and repeats, DESELECT (ISO/IEC 14443-4, 7)."""

    sens_res = bytes.fromhex("0344")
    sel_res = 0x20
    ats = bytes.fromhex("067777710280")

    def __init__(self, application: Ntag424) -> None:
        """Wrap the application layer of one card."""
        self.uid = application.uid
        self.application = application
        self._state = IsoDepState()

    def power_off(self) -> None:
        """Forget the session."""
        self._state = IsoDepState()
        self.application.reset()

    def activate(self) -> None:
        """Wait for RATS."""
        self.power_off()

    def apdu(self, command: bytes) -> bytes:
        """Answer a command where the reader's chip runs ISO-DEP."""
        return self.application.apdu(command)

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer one frame where the host runs ISO-DEP."""
        answer = self._in_session(frame) if self._state.active else self._open(frame)
        self._state.last = answer or self._state.last
        return RadioAnswer(answer) if answer else None

    def _open(self, frame: bytes) -> bytes | None:
        if len(frame) != 2 or frame[0] != iso14443.RATS:  # noqa: PLR2004 - RATS and its parameter
            return None
        self._state = IsoDepState(active=True, frame_bytes=iso14443.frame_size(frame[1] >> 4))
        return self.ats

    def _in_session(self, frame: bytes) -> bytes | None:
        state, block = self._state, iso14443.decode_block(frame)
        match block:
            case None:
                return None
            case Block("information"):
                return self._take(block)
            case Block("deselect"):
                self.power_off()
                return frame
            case Block("acknowledge") if block.number != state.number and state.to_send:
                state.number = block.number
                return self._next_piece(block)
            case Block("repeat") if block.number != state.number:
                return iso14443.encode_block(Block("acknowledge", number=state.number, cid=block.cid))
            case _:
                return state.last

    def _take(self, block: Block) -> bytes:
        state = self._state
        state.number = block.number
        state.received += block.data
        if block.more:
            return iso14443.encode_block(Block("acknowledge", number=state.number, cid=block.cid))
        state.to_send, state.received = self.application.apdu(state.received), b""
        return self._next_piece(block)

    def _next_piece(self, asked: Block) -> bytes:
        state = self._state
        room = state.frame_bytes - 3 - (asked.cid is not None)
        piece, state.to_send = state.to_send[:room], state.to_send[room:]
        more = bool(state.to_send)
        return iso14443.encode_block(Block("information", number=state.number, more=more, cid=asked.cid, data=piece))
