"""What an NFC reader makes of a card: which media it is, what it may be asked, and when it counts as a new one.

Payment applications are never selected: the only application named here is NDEF. A random UID (4 bytes from 08: a
phone, a payment card) is neither spoken to nor reported.
"""

from typing import Final, Literal, Protocol

import msgspec

from firmware_bridge.wire import ndef_file, ntag424, type2_tag
from payment_core.events import CredentialPresented

CONFIRM_ATTEMPTS: Final = 3
"""Looks for a card that has just answered: it is there at the first or it has left."""

_RANDOM_UID_BYTES: Final = 4
_RANDOM_UID_START: Final = 0x08
_ISO_DEP_SAK: Final = 0x20
_CLASSIC_SAK: Final = 0x08
_SELECT_NDEF: Final = (
    bytes.fromhex("00A40400") + bytes([len(ntag424.NDEF_APPLICATION)]) + ntag424.NDEF_APPLICATION + b"\x00"
)
_SELECT_FILE: Final = bytes.fromhex("00A4000C02") + ntag424.NDEF_FILE
_FIRST_READ_BYTES: Final = 128
_SUCCESS: Final = bytes.fromhex("9000")


class Target(msgspec.Struct, frozen=True):
    """A card that answered. sak: ISO/IEC 14443-3 select acknowledge, None where it is a FeliCa (`uid`: its IDm)."""

    uid: bytes
    sak: int | None


class Field(Protocol):
    """A reader's field. Exchanges return None where the card did not answer well: it may have left."""

    def look(self, *, attempts: int) -> Target | None:
        """Activate a card, if one comes within so many attempts of the chip."""

    def off(self) -> None:
        """Take the power from whatever lies in the field."""

    def apdu(self, command: bytes) -> bytes | None:
        """Exchange an ISO 7816-4 command; the chip runs ISO-DEP."""

    def frame(self, data: bytes) -> bytes | None:
        """Exchange a raw frame; the chip adds and checks the CRC. Nothing (not None): the card said no."""


def is_iso_dep(target: Target) -> bool:
    """Say whether the card speaks APDUs."""
    return target.sak is not None and bool(target.sak & _ISO_DEP_SAK)


def is_type2(target: Target) -> bool:
    """Say whether the card takes Type 2 commands: Ultralight and NTAG21x."""
    return target.sak is not None and not target.sak & (_ISO_DEP_SAK | _CLASSIC_SAK)


def is_random_uid(uid: bytes) -> bool:
    """Say whether the card makes up a UID each time (ISO/IEC 14443-3, 6.4.4)."""
    return len(uid) == _RANDOM_UID_BYTES and uid[0] == _RANDOM_UID_START


def read_credential(field: Field, target: Target) -> CredentialPresented | Literal["torn", "refused"]:
    """Return what to say of a card that has just been activated.

    torn: it left while it was read, look again; refused: a random UID, say nothing.
    """
    if is_random_uid(target.uid):
        return "refused"
    if target.sak is None:
        return _identifier(target, "felica")
    if is_iso_dep(target):
        return _read_iso_dep(field, target)
    return _read_type2(field, target) if is_type2(target) else _identifier(target, "mifare_classic")


def _identifier(target: Target, media: str) -> CredentialPresented:
    """Return a bare identifier: class C."""
    return CredentialPresented(media=media, uid=target.uid.hex().upper(), class_="C")


def _read_type2(field: Field, target: Target) -> CredentialPresented | Literal["torn", "refused"]:
    """Ask for the version; a card that does not know the command goes silent and is then asked once more."""
    version = field.frame(bytes([type2_tag.GET_VERSION]))
    if not version:
        field.off()
        if field.look(attempts=CONFIRM_ATTEMPTS) != target:
            return "torn"
        version = field.frame(bytes([type2_tag.GET_VERSION])) or b""
    if type2_tag.is_ntag21x(version):
        return _identifier(target, "ntag21x")
    # The first Ultralight and the Ultralight C know no version, and all of them have seven bytes.
    ultralight = type2_tag.is_ultralight_ev1(version) or (not version and len(target.uid) == type2_tag.UID_BYTES)
    return _identifier(target, "ultralight" if ultralight else "iso14443a")


def _read_iso_dep(field: Field, target: Target) -> CredentialPresented | Literal["torn", "refused"]:
    """Read the NDEF file: with a SUN message it is an NTAG 424, and this tap's message goes to the hub to be proven."""
    content = b""
    for command in (_SELECT_NDEF, _SELECT_FILE, _read_command(0)):
        answer = field.apdu(command)
        if answer is None:
            return "torn"
        if answer[-2:] != _SUCCESS:
            return _identifier(target, "iso14443a")
        content = answer[:-2]
    missing = 2 + int.from_bytes(content[:2], "big") - len(content)
    if 0 < missing <= _FIRST_READ_BYTES:
        answer = field.apdu(_read_command(len(content), missing))
        if answer is None:
            return "torn"
        content += answer[:-2]
    url = ndef_file.first_uri(content[2:]) or ""
    if not ntag424.is_sun_url(url):
        return _identifier(target, "iso14443a")
    return CredentialPresented(media="ntag424", uid=target.uid.hex().upper(), class_="A", ndef=url)


def _read_command(offset: int, size: int = _FIRST_READ_BYTES) -> bytes:
    return bytes.fromhex("00B0") + offset.to_bytes(2, "big") + bytes([size])


class Presence:
    """Which card lies on the reader: it is presented once, until it was out of sight for `removed_after_s`."""

    def __init__(self, *, removed_after_s: float) -> None:
        """Start with an empty field."""
        self.uid = b""
        self._removed_after_s = removed_after_s
        self._seen_at_s = 0.0

    def is_same(self, uid: bytes, *, at_s: float) -> bool:
        """Say whether this is the card that already lies there; all random UIDs count as one card."""
        same = bool(self.uid) and (uid == self.uid or (is_random_uid(uid) and is_random_uid(self.uid)))
        if same:
            self._seen_at_s = at_s
        return same

    def placed(self, uid: bytes, *, at_s: float) -> None:
        """A new card lies there."""
        self.uid, self._seen_at_s = uid, at_s

    def has_left(self, *, at_s: float) -> bool:
        """Say whether the card has been out of sight long enough; call it when no card was seen."""
        return bool(self.uid) and at_s - self._seen_at_s >= self._removed_after_s

    def clear(self) -> bytes:
        """Forget the card; return its UID."""
        uid, self.uid = self.uid, b""
        return uid
