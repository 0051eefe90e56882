"""A virtual FeliCa card: it answers a polling with its IDm, and a little more, so that hosts see it is there."""

from typing import Final

from firmware_bridge.simulators.pn532_cards import RadioAnswer

POLLING: Final = 0x00
SYSTEM_CODE: Final = bytes.fromhex("88B4")
"""FeliCa Lite-S."""
PMM: Final = bytes.fromhex("00F0000002060300")

_ANY: Final = 0xFF
_IDM_BYTES: Final = 8
_POLLING_BYTES: Final = 5
_NO_SERVICE: Final = bytes.fromhex("FFA6")


class FelicaCard:
    """A card at 212 kbit/s. Frames begin with their length and carry no CRC here: the chip adds it."""

    sens_res = b""
    sel_res = 0
    ats = b""
    felica = True

    def __init__(self, idm: bytes) -> None:
        """Make a card with this IDm (8 bytes)."""
        self.uid = idm

    def power_off(self) -> None:
        """Nothing to forget."""

    def activate(self) -> None:
        """Nothing to begin."""

    def polled(self, frame: bytes) -> bytes | None:
        """Answer a polling (code 00, system code, request, slots); None where it asks for another system."""
        if len(frame) != _POLLING_BYTES or frame[0] != POLLING:
            return None
        wanted = frame[1:3]
        if any(asked not in (_ANY, own) for asked, own in zip(wanted, SYSTEM_CODE, strict=True)):
            return None
        return b"\x01" + self.uid + PMM + (SYSTEM_CODE if frame[3] == 1 else b"")

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer a command; None where its length or IDm is not right."""
        if not frame or frame[0] != len(frame) or len(frame) < 2:  # noqa: PLR2004 - length, command
            return None
        code, rest = frame[1], frame[2:]
        if code == POLLING:
            answer = self.polled(frame[1:])
        elif rest[:_IDM_BYTES] != self.uid:
            answer = None
        else:
            answer = self._answer(code)
        return RadioAnswer(bytes([len(answer) + 1]) + answer) if answer else None

    def _answer(self, code: int) -> bytes | None:
        match code:
            case 0x04:  # Request Response: mode 0
                return bytes([code + 1]) + self.uid + b"\x00"
            case 0x06:  # Read Without Encryption: no such service
                return bytes([code + 1]) + self.uid + _NO_SERVICE
            case 0x0C:  # Request System Code
                return bytes([code + 1]) + self.uid + b"\x01" + SYSTEM_CODE
            case _:
                return None
