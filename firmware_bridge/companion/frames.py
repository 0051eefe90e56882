"""Frames of the bridge protocol, as a board hears and says them. The hub's side is firmware_bridge/wire/companion.py.

7E; escaped (7D, byte xor 20): version, kind, channel, payload, CRC-16 (1021, start FFFF, high byte first); 7E.
"""

FLAG = 0x7E
ESCAPE = 0x7D
TURN = 0x20
LONGEST = 256
"""Bytes between two flags when nothing is escaped; longer is noise."""
SHORTEST = 5


def crc16(data: bytes) -> int:
    """Return the checksum of a frame's bytes."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc


def encode(body: bytes) -> bytes:
    """Return version, kind, channel and payload as a frame."""
    out = bytearray([FLAG])
    for byte in body + crc16(body).to_bytes(2, "big"):
        if byte in (FLAG, ESCAPE):
            out += bytes([ESCAPE, byte ^ TURN])
        else:
            out.append(byte)
    out.append(FLAG)
    return bytes(out)


class Decoder:
    """Finds frames in what a line says."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._escaped = False
        self._lost = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they came; return the bodies of whole frames."""
        bodies = []
        for byte in data:
            if byte == FLAG:
                body = bytes(self._bytes)
                whole = not self._escaped and not self._lost and len(body) >= SHORTEST
                if whole and crc16(body) == 0:
                    bodies.append(body[:-2])
                self._bytes = bytearray()
                self._escaped = self._lost = False
            elif byte == ESCAPE and not self._escaped:
                self._escaped = True
            elif len(self._bytes) < LONGEST:
                self._bytes.append(byte ^ TURN if self._escaped else byte)
                self._escaped = False
            else:
                self._lost = True
        return bodies
