"""ISO/IEC 14443 type A: CRC_A, check bytes, ATS and the blocks of part 4 (ISO-DEP)."""

from typing import Final, Literal

import msgspec

_CRC_A_START: Final = 0x6363
_CRC_A_POLYNOMIAL: Final = 0x8408

RATS: Final = 0xE0
DESELECT: Final = 0xC2
CASCADE_TAG: Final = 0x88
FRAME_SIZES: Final = (16, 24, 32, 40, 48, 64, 96, 128, 256)
"""Bytes of a frame by FSDI or FSCI, CRC included."""

_CHAINING: Final = 0x10
_HAS_CID: Final = 0x08
_NUMBER: Final = 0x01


def crc_a(data: bytes) -> bytes:
    """Return the two bytes of CRC_A, low byte first, as they go on air."""
    crc = _CRC_A_START
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ _CRC_A_POLYNOMIAL if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def check_byte(part: bytes) -> int:
    """Return BCC: the exclusive or of all bytes."""
    total = 0
    for byte in part:
        total ^= byte
    return total


def frame_size(index: int) -> int:
    """Return the bytes of a frame for FSDI or FSCI `index`; the unassigned ones mean 256."""
    return FRAME_SIZES[min(index, len(FRAME_SIZES) - 1)]


class Block(msgspec.Struct, frozen=True):
    """One ISO-DEP block. more: another block of the same message follows; cid: card id where the block carries one."""

    kind: Literal["information", "acknowledge", "repeat", "deselect"]
    number: int = 0
    more: bool = False
    cid: int | None = None
    data: bytes = b""


_PCB: Final = {"information": 0x02, "acknowledge": 0xA2, "repeat": 0xB2, "deselect": 0xC2}


def encode_block(block: Block) -> bytes:
    """Return the bytes of a block without CRC."""
    pcb = _PCB[block.kind]
    if block.kind != "deselect":
        pcb |= block.number
    if block.more:
        pcb |= _CHAINING
    if block.cid is None:
        return bytes([pcb]) + block.data
    return bytes([pcb | _HAS_CID, block.cid]) + block.data


def decode_block(frame: bytes) -> Block | None:
    """Return the block in a frame (CRC taken off), or None where a card must stay silent (unknown or with NAD)."""
    if not frame:
        return None
    pcb, data, cid = frame[0], frame[1:], None
    if pcb & _HAS_CID:
        if not data:
            return None
        cid, data = data[0] & 0x0F, data[1:]
    bare = pcb & ~_HAS_CID
    number = pcb & _NUMBER
    if bare & 0xEE == _PCB["information"]:
        return Block("information", number=number, more=bool(pcb & _CHAINING), cid=cid, data=data)
    if bare & 0xFE in (_PCB["acknowledge"], _PCB["repeat"]):
        return Block("repeat" if pcb & _CHAINING else "acknowledge", number=number, cid=cid)
    if bare == DESELECT:
        return Block("deselect", cid=cid)
    return None
