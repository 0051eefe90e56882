"""Virtual cards in a PN532's field: what every card does on air, the NTAG213, and how a card is written in a script."""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire import type2_tag
from firmware_bridge.wire.type2_tag import (
    ACCESS_PAGE,
    DYNAMIC_LOCK_PAGE,
    MIRROR_PAGE,
    PACK_PAGE,
    PAGE_BYTES,
    PASSWORD_PAGE,
)

NTAG213_URL: Final = "https://card.example/hello"
_COUNTER_ADDRESS: Final = 2
_SIGNATURE: Final = bytes(range(32))
"""Stands where NXP's originality signature is; it verifies against no key."""


class RadioAnswer(msgspec.Struct, frozen=True):
    """What a card sends back, CRC not included. nibble: four bits without CRC (ACK and NAK of Type 2)."""

    data: bytes
    nibble: bool = False


class Card(Protocol):
    """One card. `ats` is empty where it does not speak ISO-DEP."""

    uid: bytes
    sens_res: bytes
    sel_res: int
    ats: bytes

    def power_off(self) -> None:
        """The card left the field, or the field went off: all volatile state is gone."""

    def activate(self) -> None:
        """The card was selected by anticollision."""

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer a frame on air (CRC taken off); None where the card stays silent."""

    def apdu(self, command: bytes) -> bytes:
        """Answer an ISO 7816-4 command; only where `ats` is not empty."""


_ACK: Final = RadioAnswer(bytes([type2_tag.ACK]), nibble=True)
_NAK: Final = RadioAnswer(bytes([type2_tag.NAK]), nibble=True)


class Ntag213:
    """An NTAG213 with its 45 pages, password and locks. After an unknown command or a wrong password it goes silent."""

    sens_res = bytes.fromhex("0044")
    sel_res = 0x00
    ats = b""

    def __init__(self, uid: bytes) -> None:
        """Make a fresh card with one URI record."""
        self.uid = uid
        self.memory = type2_tag.ntag213_memory(uid, NTAG213_URL)
        self._awake = False
        self._trusted = False
        self._wrong_passwords = 0
        self._first_protected = 0xFF
        self._reading_protected = False
        self._commands: dict[int, Callable[[bytes], RadioAnswer]] = {
            type2_tag.GET_VERSION: self._version,
            type2_tag.READ: self._read,
            type2_tag.FAST_READ: self._fast_read,
            type2_tag.WRITE: self._write,
            type2_tag.COMPATIBILITY_WRITE: self._compatibility_write,
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
        self._first_protected = self.memory[MIRROR_PAGE * PAGE_BYTES + 3]
        self._reading_protected = bool(self.memory[ACCESS_PAGE * PAGE_BYTES] & 0x80)

    def apdu(self, command: bytes) -> bytes:
        """Never called: the card has no ATS."""
        raise NotImplementedError(command.hex())

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer one Type 2 command."""
        if not self._awake or not frame:
            return None
        if frame[0] == type2_tag.HALT:
            self._awake = False
            return None
        command = self._commands.get(frame[0])
        answer = command(frame[1:]) if command else _NAK
        if answer is _NAK:
            self.power_off()
        return answer

    def _version(self, arguments: bytes) -> RadioAnswer:
        return _NAK if arguments else RadioAnswer(type2_tag.NTAG213_VERSION)

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
        elif page in (3, DYNAMIC_LOCK_PAGE):  # one-time programmable
            for index, byte in enumerate(data[:3] if page == DYNAMIC_LOCK_PAGE else data):
                self.memory[at + index] |= byte
        else:
            self.memory[at : at + PAGE_BYTES] = data
        return _ACK

    def _authenticate(self, arguments: bytes) -> RadioAnswer:
        limit = self.memory[ACCESS_PAGE * PAGE_BYTES] & 0x07
        password = self.memory[PASSWORD_PAGE * PAGE_BYTES : PACK_PAGE * PAGE_BYTES]
        if (limit and self._wrong_passwords >= limit) or len(arguments) != PAGE_BYTES:
            return _NAK
        if arguments != password:
            self._wrong_passwords += 1
            return _NAK
        self._trusted, self._wrong_passwords = True, 0
        return RadioAnswer(bytes(self.memory[PACK_PAGE * PAGE_BYTES : PACK_PAGE * PAGE_BYTES + 2]))

    def _counter(self, arguments: bytes) -> RadioAnswer:
        enabled = self.memory[ACCESS_PAGE * PAGE_BYTES] & 0x10
        return RadioAnswer(bytes(3)) if enabled and arguments == bytes([_COUNTER_ADDRESS]) else _NAK

    def _signature(self, arguments: bytes) -> RadioAnswer:
        return RadioAnswer(_SIGNATURE) if arguments == b"\x00" else _NAK

    def _readable(self, first: int, last: int) -> bool:
        protected = self._reading_protected and not self._trusted and last >= self._first_protected
        return first < type2_tag.NTAG213_PAGES and last < type2_tag.NTAG213_PAGES and not protected

    def _shown(self) -> bytes:
        """Return the memory as a reader sees it: password and PACK read as zero."""
        return bytes(self.memory[: PASSWORD_PAGE * PAGE_BYTES]) + bytes(2 * PAGE_BYTES)

    def _locked(self, page: int) -> bool:
        """Apply the static lock bits (pages 3 to 15), the dynamic ones (two pages a bit) and CFGLCK."""
        static = int.from_bytes(self.memory[10:12], "little")
        dynamic = int.from_bytes(self.memory[DYNAMIC_LOCK_PAGE * PAGE_BYTES :][:2], "little")
        if page < 2 or page >= type2_tag.NTAG213_PAGES:  # noqa: PLR2004 - the UID's pages
            return True
        if 3 <= page <= 15:  # noqa: PLR2004 - data sheet, 8.5.2
            return bool(static >> page & 1)
        if 16 <= page < DYNAMIC_LOCK_PAGE:  # noqa: PLR2004 - data sheet, 8.5.3
            return bool(dynamic >> (page - 16) // 2 & 1)
        return page in (MIRROR_PAGE, ACCESS_PAGE) and bool(self.memory[ACCESS_PAGE * PAGE_BYTES] & 0x40)


CARD_USAGE: Final = "ntag213:UID or ntag424:UID:KEY or ntag424:UID:KEY:COUNTER (UID 14 hex, KEY 32 hex)"


class CardText(msgspec.Struct, frozen=True):
    """A card as scripts write it. counter: what the card's read counter is set to first, or None to leave it."""

    kind: str
    uid: bytes
    key: bytes = b""
    counter: int | None = None


def read_card_text(text: str) -> CardText:
    """Return the card a script names; ScriptError says how it is written."""
    kind, *rest = text.split(":")
    try:
        uid, *more = (bytes.fromhex(part) for part in rest[:2])
        counter = int(rest[2]) if len(rest) > 2 else None  # noqa: PLR2004 - kind, UID, key, counter
    except ValueError:
        uid, more, counter = b"", [], None
    card = CardText(kind=kind, uid=uid, key=b"".join(more), counter=counter)
    fits = {"ntag213": (1, 0), "ntag424": (2, 16)}.get(kind)
    allowed = fits is not None and len(rest) in {fits[0], fits[0] + (kind == "ntag424")} and len(card.key) == fits[1]
    if not allowed or len(uid) != type2_tag.UID_BYTES or (counter is not None and not 0 <= counter < 1 << 24):
        message = f"card {text!r} is not known: write {CARD_USAGE}"
        raise ScriptError(message)
    return card
