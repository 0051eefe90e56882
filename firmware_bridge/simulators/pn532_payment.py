"""A virtual payment card: it offers its applications as one does, and writes down whoever asks for them."""

from typing import Final

from firmware_bridge.simulators.pn532_iso_dep import body_of

DIRECTORY: Final = b"2PAY.SYS.DDF01"
APPLICATION: Final = bytes.fromhex("A0000000031010")

_OK: Final = bytes.fromhex("9000")
_NOT_FOUND: Final = bytes.fromhex("6A82")
_UNKNOWN: Final = bytes.fromhex("6D00")
_WRONG_LENGTH: Final = bytes.fromhex("6700")
_DIRECTORY_FCI: Final = bytes.fromhex(
    "6F29 840E325041592E5359532E4444463031 A517 BF0C14 6112 4F07A0000000031010 500456495341 870101".replace(" ", "")
)
_APPLICATION_FCI: Final = bytes.fromhex("6F0E8407A0000000031010A503500156")
_SELECT: Final = 0xA4
_BY_NAME: Final = 0x04
"""P1 from here on names an application or a way to it (ISO/IEC 7816-4); below, a file by its number."""
_FILE_BYTES: Final = 2


class PaymentCard:
    """The application layer. `log`: every APDU it was asked; `payment_selects`: how often its applications were."""

    def __init__(self, uid: bytes) -> None:
        """Make a card with a fixed or (4 bytes from 08) a random-looking UID."""
        self.uid = uid
        self.log: list[bytes] = []
        self.payment_selects = 0

    def reset(self) -> None:
        """It remembers: the log is an auditor's."""

    def apdu(self, command: bytes) -> bytes:
        """Answer one command."""
        self.log.append(command)
        if len(command) < 4:  # noqa: PLR2004 - CLA INS P1 P2
            return _WRONG_LENGTH
        if command[1] != _SELECT:
            return _UNKNOWN
        name = body_of(command)
        if command[2] < _BY_NAME and len(name) == _FILE_BYTES:
            return _NOT_FOUND  # the number of a file, whatever letters it would be
        # A card also takes the beginning of a name, and the empty one for its first application.
        if DIRECTORY.startswith(name):
            self.payment_selects += 1
            return _DIRECTORY_FCI + _OK
        if APPLICATION.startswith(name):
            self.payment_selects += 1
            return _APPLICATION_FCI + _OK
        return _NOT_FOUND
