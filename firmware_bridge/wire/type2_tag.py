"""NFC Forum Type 2 tags of the NTAG21x family: commands, version answers and the memory of an NTAG213."""

from typing import Final

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

NTAG213_PAGES: Final = 45
NTAG213_VERSION: Final = bytes.fromhex("0004040201000F03")
DYNAMIC_LOCK_PAGE: Final = 40
MIRROR_PAGE: Final = 41
ACCESS_PAGE: Final = 42
PASSWORD_PAGE: Final = 43
PACK_PAGE: Final = 44

_VERSION_BYTES: Final = 8
_VENDOR_NXP: Final = 0x04
_PRODUCT_NTAG: Final = 0x04


def is_ntag21x(version: bytes) -> bool:
    """Say whether an answer to GET_VERSION is that of an NTAG21x (NXP, product type NTAG)."""
    return len(version) == _VERSION_BYTES and version[1] == _VENDOR_NXP and version[2] == _PRODUCT_NTAG


def ntag213_memory(uid: bytes, url: str) -> bytearray:
    """Return the 180 bytes of a fresh NTAG213 with a 7-byte UID and one URI record.

    Page 3 is the capability container (144 bytes, read and write); AUTH0 is FF: no page asks for the password.
    """
    memory = bytearray(NTAG213_PAGES * PAGE_BYTES)
    memory[0:3] = uid[0:3]
    memory[3] = check_byte(bytes([CASCADE_TAG]) + uid[0:3])
    memory[4:8] = uid[3:7]
    memory[8] = check_byte(uid[3:7])
    memory[9] = 0x48  # internal byte, as every NTAG21x reads it
    memory[12:16] = bytes.fromhex("E1101200")
    area = ndef_file.type2_area(ndef_file.uri_record(url))
    memory[16 : 16 + len(area)] = area
    memory[DYNAMIC_LOCK_PAGE * PAGE_BYTES : MIRROR_PAGE * PAGE_BYTES] = bytes.fromhex("000000BD")
    memory[MIRROR_PAGE * PAGE_BYTES : ACCESS_PAGE * PAGE_BYTES] = bytes.fromhex("040000FF")
    memory[PASSWORD_PAGE * PAGE_BYTES : PACK_PAGE * PAGE_BYTES] = bytes.fromhex("FFFFFFFF")
    return memory
