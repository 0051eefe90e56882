"""Virtual Type 2 cards in a PN532's field: MIFARE Ultralight, Ultralight EV1, NTAG213, 215 and 216."""

from collections.abc import Callable
from typing import Final

from firmware_bridge.simulators.pn532_cards import RadioAnswer
from firmware_bridge.wire import type2_tag
from firmware_bridge.wire.type2_tag import PAGE_BYTES

TYPE2_URL: Final = "https://card.example/hello"
_NTAG213_LOCKS: Final = 40
_COUNTER_ADDRESS: Final = 2
_SIGNATURE: Final = bytes(range(32))
"""Stands where NXP's originality signature is; it verifies against no key."""

_ACK: Final = RadioAnswer(bytes([type2_tag.ACK]), nibble=True)
_NAK: Final = RadioAnswer(bytes([type2_tag.NAK]), nibble=True)


class Type2Card:
    """An Ultralight or NTAG21x: pages, password and locks. After an unknown command or a wrong password it is silent.

    An Ultralight without version does not know passwords either: it goes silent at those commands without a NAK.
    """

    felica = False

    sens_res = bytes.fromhex("0044")
    sel_res = 0x00
    ats = b""

    def __init__(self, name: str, uid: bytes) -> None:
        """Make a fresh card of the kind `name` (type2_tag.KINDS) with one URI record."""
        self.uid = uid
        self.kind = type2_tag.KINDS[name]
        self.memory = type2_tag.fresh_memory(self.kind, uid, TYPE2_URL)
        self._awake = False
        self._trusted = False
        self._wrong_passwords = 0
        self._first_protected = 0xFF
        self._reading_protected = False
        self._commands: dict[int, Callable[[bytes], RadioAnswer]] = {
            type2_tag.READ: self._read,
            type2_tag.WRITE: self._write,
            type2_tag.COMPATIBILITY_WRITE: self._compatibility_write,
        }
        if self.kind.version:
            self._commands |= {
                type2_tag.GET_VERSION: self._version,
                type2_tag.FAST_READ: self._fast_read,
                type2_tag.PWD_AUTH: self._authenticate,
                type2_tag.READ_CNT: self._counter,
                type2_tag.READ_SIG: self._signature,
            }

    def power_off(self) -> None:
        """Forget the password's proof."""
        self._awake = self._trusted = False

    def activate(self) -> None:
        """Wake up, untrusting; AUTH0 and PROT are read now, so that a host can write them before they bite."""
        self._awake, self._trusted = True, False
        if self.kind.version:
            self._first_protected = self.memory[self.kind.mirror_page * PAGE_BYTES + 3]
            self._reading_protected = bool(self.memory[self.kind.access_page * PAGE_BYTES] & 0x80)

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer one Type 2 command."""
        if not self._awake or not frame:
            return None
        if frame[0] == type2_tag.HALT:
            self._awake = False
            return None
        command = self._commands.get(frame[0])
        if command is None and not self.kind.version:
            self.power_off()
            return None
        answer = command(frame[1:]) if command else _NAK
        if answer is _NAK:
            self.power_off()
        return answer

    def _version(self, arguments: bytes) -> RadioAnswer:
        return _NAK if arguments else RadioAnswer(self.kind.version)

    def _read(self, arguments: bytes) -> RadioAnswer:
        if len(arguments) != 1 or not self._readable(arguments[0], arguments[0]):
            return _NAK
        start = arguments[0] * PAGE_BYTES
        shown = self._shown()
        return RadioAnswer((shown + shown)[start : start + 16])

    def _fast_read(self, arguments: bytes) -> RadioAnswer:
        if len(arguments) != 2 or arguments[0] > arguments[1] or not self._readable(*arguments):  # noqa: PLR2004 - a, b
            return _NAK
        return RadioAnswer(self._shown()[arguments[0] * PAGE_BYTES : (arguments[1] + 1) * PAGE_BYTES])

    def _compatibility_write(self, arguments: bytes) -> RadioAnswer:
        """Take page and 16 bytes at once, as the PN532 sends both halves; only the first four are written."""
        return self._write(arguments[: 1 + PAGE_BYTES])

    def _write(self, arguments: bytes) -> RadioAnswer:
        if len(arguments) != 1 + PAGE_BYTES:
            return _NAK
        page, data = arguments[0], arguments[1:]
        if self._locked(page) or (page >= self._first_protected and not self._trusted):
            return _NAK
        at = page * PAGE_BYTES
        if page == 2:  # noqa: PLR2004 - lock bits: only ever set
            self.memory[at + 2] |= data[2]
            self.memory[at + 3] |= data[3]
        elif page in (3, self.kind.locks):  # one-time programmable
            for index, byte in enumerate(data[:3] if page == self.kind.locks else data):
                self.memory[at + index] |= byte
        else:
            self.memory[at : at + PAGE_BYTES] = data
        return _ACK

    def _authenticate(self, arguments: bytes) -> RadioAnswer:
        limit = self.memory[self.kind.access_page * PAGE_BYTES] & 0x07
        at = self.kind.password_page * PAGE_BYTES
        password, pack = self.memory[at : at + PAGE_BYTES], self.memory[at + PAGE_BYTES : at + PAGE_BYTES + 2]
        if (limit and self._wrong_passwords >= limit) or len(arguments) != PAGE_BYTES:
            return _NAK
        if arguments != password:
            self._wrong_passwords += 1
            return _NAK
        self._trusted, self._wrong_passwords = True, 0
        return RadioAnswer(bytes(pack))

    def _counter(self, arguments: bytes) -> RadioAnswer:
        enabled = self.memory[self.kind.access_page * PAGE_BYTES] & 0x10
        return RadioAnswer(bytes(3)) if enabled and arguments == bytes([_COUNTER_ADDRESS]) else _NAK

    def _signature(self, arguments: bytes) -> RadioAnswer:
        return RadioAnswer(_SIGNATURE) if arguments == b"\x00" else _NAK

    def _readable(self, first: int, last: int) -> bool:
        protected = self._reading_protected and not self._trusted and last >= self._first_protected
        return first < self.kind.pages and last < self.kind.pages and not protected

    def _shown(self) -> bytes:
        """Return the memory as a reader sees it: password and PACK read as zero."""
        if not self.kind.version:
            return bytes(self.memory)
        return bytes(self.memory[: self.kind.password_page * PAGE_BYTES]) + bytes(2 * PAGE_BYTES)

    def _locked(self, page: int) -> bool:
        """Apply the static lock bits (pages 3 to 15), an NTAG213's dynamic ones (two pages a bit) and CFGLCK."""
        if page < 2 or page >= self.kind.pages:  # noqa: PLR2004 - the UID's pages
            return True
        if 3 <= page <= 15:  # noqa: PLR2004 - data sheet, 8.5.2
            return bool(int.from_bytes(self.memory[10:12], "little") >> page & 1)
        if 16 <= page < self.kind.locks:  # noqa: PLR2004 - data sheet, 8.5.3; the larger NTAGs lock 16 pages a bit
            pages_a_bit = 2 if self.kind.locks == _NTAG213_LOCKS else 16
            dynamic = int.from_bytes(self.memory[self.kind.locks * PAGE_BYTES :][:2], "little")
            return bool(dynamic >> (page - 16) // pages_a_bit & 1)
        configuration = page in (self.kind.mirror_page, self.kind.access_page) and bool(self.kind.version)
        return configuration and bool(self.memory[self.kind.access_page * PAGE_BYTES] & 0x40)
