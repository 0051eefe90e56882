"""What an ACR122U says through PC/SC: commands to the reader itself, and answers to reset for cards that have none.

Source: PC/SC part 3, 3.1.3.2.3 (answer to reset of contactless cards); ACS ACR122U application programming interface
2.04, 4.1 to 4.3 (pseudo-APDUs, card names).
"""

from typing import Final

from firmware_bridge.wire.iso14443 import check_byte

GET_UID: Final = bytes.fromhex("FFCA000000")
OK: Final = bytes.fromhex("9000")
REFUSED: Final = bytes.fromhex("6300")

MIFARE_1K, MIFARE_4K, ULTRALIGHT, MIFARE_MINI = 0x0001, 0x0002, 0x0003, 0x0026
FELICA_212, FELICA_424, FELICA = 0xF011, 0xF012, 0x003B
"""The first two are ACS's own names, the last is that of PC/SC, which other readers say."""
UNDEFINED: Final = 0xFF00
"""A card the reader does not know by name; its SAK stands in the low byte."""
ISO_DEP_SAK: Final = 0x20

_STORAGE: Final = bytes.fromhex("804F0CA000000306")
"""Historical bytes of a card without an answer to reset: the registered name of PC/SC; standard and name follow."""
_STORAGE_BYTES: Final = 15
_SAK_OF: Final = {MIFARE_1K: 0x08, MIFARE_4K: 0x18, MIFARE_MINI: 0x09, ULTRALIGHT: 0x00}
_TYPE_A: Final = 0x03
"""The standard (part 3 of ISO/IEC 14443 A), which an ACR122U also says of a FeliCa."""


def direct(frame: bytes) -> bytes:
    """Return the pseudo-APDU that hands a frame (from TFI D4 on) to the reader's PN53x. It has at most 255 bytes."""
    return bytes.fromhex("FF000000") + bytes([len(frame)]) + frame


def direct_frame(command: bytes) -> bytes | None:
    """Return the frame in such a pseudo-APDU, or None where it is none."""
    if command[:4] != bytes.fromhex("FF000000") or len(command) < 6 or command[4] != len(command) - 5:
        return None
    return command[5:]


def storage_atr(name: int) -> bytes:
    """Return the answer to reset of a card that has none, by its name in PC/SC."""
    return _atr(_STORAGE + bytes([_TYPE_A]) + name.to_bytes(2, "big") + bytes(4))


def iso_dep_atr(ats: bytes) -> bytes:
    """Return the answer to reset made of an ISO-DEP card's ATS: its historical bytes."""
    interface = sum(bool(ats[1] & bit) for bit in (0x10, 0x20, 0x40)) if len(ats) > 1 else 0
    return _atr(ats[2 + interface : ats[0]] if ats else b"")


def sak_of(atr: bytes) -> int | None:
    """Return the SAK that an answer to reset stands for: of a storage card by its name, else ISO-DEP; None: FeliCa."""
    historical = atr[4:-1]
    if len(historical) != _STORAGE_BYTES or not historical.startswith(_STORAGE):
        return ISO_DEP_SAK
    name = int.from_bytes(historical[9:11], "big")
    if name in (FELICA_212, FELICA_424, FELICA):
        return None
    if name & 0xFF00 == UNDEFINED:
        return name & 0xFF
    return _SAK_OF.get(name, 0x00)


def _atr(historical: bytes) -> bytes:
    head = bytes([0x80 | len(historical), 0x80, 0x01]) + historical
    return b"\x3b" + head + bytes([check_byte(head)])
