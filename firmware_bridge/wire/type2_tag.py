"""NFC Forum Type 2 tags, NTAG21x and MIFARE Ultralight: commands, version answers and the memory of a fresh tag."""

from typing import Final

import msgspec

from firmware_bridge.wire import ndef_file
from firmware_bridge.wire.iso14443 import CASCADE_TAG, check_byte

READ: Final = 0x30
FAST_READ: Final = 0x3A
WRITE: Final = 0xA2
COMPATIBILITY_WRITE: Final = 0xA0
GET_VERSION: Final = 0x60
PWD_AUTH: Final = 0x1B
READ_CNT: Final = 0x39
READ_SIG: Final = 0x3C
HALT: Final = 0x50

ACK: Final = 0x0A
NAK: Final = 0x00
PAGE_BYTES: Final = 4
UID_BYTES: Final = 7

_VERSION_BYTES: Final = 8
_VENDOR_NXP: Final = 0x04
_PRODUCT_ULTRALIGHT: Final = 0x03
_PRODUCT_NTAG: Final = 0x04


def is_ntag21x(version: bytes) -> bool:
    """Say whether an answer to GET_VERSION is that of an NTAG21x (NXP, product type NTAG)."""
    return len(version) == _VERSION_BYTES and version[1] == _VENDOR_NXP and version[2] == _PRODUCT_NTAG


def is_ultralight_ev1(version: bytes) -> bool:
    """Say whether an answer to GET_VERSION is that of a MIFARE Ultralight EV1; older Ultralights do not know it."""
    return len(version) == _VERSION_BYTES and version[1] == _VENDOR_NXP and version[2] == _PRODUCT_ULTRALIGHT


class Kind(msgspec.Struct, frozen=True):
    """A product: how many pages it has, what it says to GET_VERSION, and where its configuration stands.

    version: empty where it does not know the command (and has no password either). capability: size of the data area
    in 8 bytes, as the capability container says it. locks: page of the dynamic lock bits, 0 where it has none.
    """

    pages: int
    version: bytes
    capability: int
    locks: int = 0

    @property
    def mirror_page(self) -> int:
        """The first of the last four: its byte 3 is AUTH0, the first page that asks for the password."""
        return self.pages - 4

    @property
    def access_page(self) -> int:
        """PROT, CFGLCK, counter and the limit of wrong passwords."""
        return self.pages - 3

    @property
    def password_page(self) -> int:
        """The password; what the card answers to it (PACK) is in the page behind."""
        return self.pages - 2


KINDS: Final = {
    "ultralight": Kind(pages=16, version=b"", capability=0x06),
    "ultralight_ev1": Kind(pages=20, version=bytes.fromhex("0004030101000B03"), capability=0x06),
    "ntag213": Kind(pages=45, version=bytes.fromhex("0004040201000F03"), capability=0x12, locks=40),
    "ntag215": Kind(pages=135, version=bytes.fromhex("0004040201001103"), capability=0x3E, locks=130),
    "ntag216": Kind(pages=231, version=bytes.fromhex("0004040201001303"), capability=0x6D, locks=226),
}


def fresh_memory(kind: Kind, uid: bytes, url: str) -> bytearray:
    """Return the memory of a fresh tag with a 7-byte UID and one URI record.

    Page 3 is the capability container (read and write); AUTH0 is FF: no page asks for the password, which is FF too.
    """
    memory = bytearray(kind.pages * PAGE_BYTES)
    memory[0:3] = uid[0:3]
    memory[3] = check_byte(bytes([CASCADE_TAG]) + uid[0:3])
    memory[4:8] = uid[3:7]
    memory[8] = check_byte(uid[3:7])
    memory[9] = 0x48  # internal byte, as every NTAG21x reads it
    memory[12:16] = bytes([0xE1, 0x10, kind.capability, 0x00])
    area = ndef_file.type2_area(ndef_file.uri_record(url))
    memory[16 : 16 + len(area)] = area
    if kind.locks:
        memory[kind.locks * PAGE_BYTES : kind.locks * PAGE_BYTES + 4] = bytes.fromhex("000000BD")
    if kind.version:
        memory[kind.mirror_page * PAGE_BYTES : kind.access_page * PAGE_BYTES] = bytes.fromhex("040000FF")
        memory[kind.password_page * PAGE_BYTES : kind.password_page * PAGE_BYTES + 4] = bytes.fromhex("FFFFFFFF")
    return memory
