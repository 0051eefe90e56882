"""A virtual MIFARE Classic: what the PN532 lets a host do with one. The cipher stays between chip and card."""

from typing import Final

from firmware_bridge.simulators.pn532_cards import RadioAnswer
from firmware_bridge.wire.iso14443 import check_byte

BLOCK_BYTES: Final = 16
FACTORY_KEY: Final = b"\xff" * 6
AUTHENTICATE_A, AUTHENTICATE_B, READ, WRITE = 0x60, 0x61, 0x30, 0xA0

_ACK: Final = RadioAnswer(b"\x0a", nibble=True)
_NAK: Final = RadioAnswer(b"\x04", nibble=True)
_SMALL_SECTORS: Final = 32
_SMALL_BLOCKS: Final = 4
_LARGE_BLOCKS: Final = 16


class ClassicCard:
    """A 1K or 4K card with factory keys. Until a sector is opened it is silent, as on air."""

    ats = b""
    felica = False

    def __init__(self, uid: bytes, *, blocks: int) -> None:
        """Make a fresh card; `blocks` is 64 (1K) or 256 (4K)."""
        self.uid = uid
        self.sens_res = bytes([0x00, (0x02 if blocks > 64 else 0x04) | (0x40 if len(uid) > 4 else 0)])  # noqa: PLR2004
        self.sel_res = 0x18 if blocks > 64 else 0x08  # noqa: PLR2004 - blocks of a 1K
        self._memory = [bytearray(BLOCK_BYTES) for _ in range(blocks)]
        self._memory[0][: len(uid)] = uid
        if len(uid) == 4:  # noqa: PLR2004 - a check byte follows a single-size UID
            self._memory[0][4] = check_byte(uid)
        self._open = -1

    def power_off(self) -> None:
        """Close the sector."""
        self._open = -1

    def activate(self) -> None:
        """Start anew."""
        self._open = -1

    def authenticate(self, frame: bytes) -> bool:
        """Take what a host says for it: 60 or 61, block, key (6), the last four bytes of the UID."""
        if len(frame) != 12 or frame[1] >= len(self._memory):  # noqa: PLR2004 - as above
            return False
        good = frame[2:8] == FACTORY_KEY and frame[8:] == self.uid[-4:]
        self._open = _sector(frame[1]) if good else -1
        return good

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Read or write a block of the open sector."""
        if len(frame) < 2 or self._open < 0:  # noqa: PLR2004 - command, block
            return None
        block = frame[1]
        if block >= len(self._memory) or _sector(block) != self._open:
            self._open = -1
            return _NAK
        if frame[0] == READ and len(frame) == 2:  # noqa: PLR2004 - command, block
            return RadioAnswer(bytes(self._memory[block]))
        if frame[0] == WRITE and len(frame) == 2 + BLOCK_BYTES and block:
            self._memory[block][:] = frame[2:]
            return _ACK
        self._open = -1
        return _NAK


def _sector(block: int) -> int:
    """Return the sector of a block: 32 of four blocks, then (4K) eight of sixteen."""
    small = _SMALL_SECTORS * _SMALL_BLOCKS
    return block // _SMALL_BLOCKS if block < small else _SMALL_SECTORS + (block - small) // _LARGE_BLOCKS
