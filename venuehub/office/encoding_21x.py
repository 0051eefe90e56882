"""Gives an NTAG213, 215 or 216 a password of its own, so that nobody else writes it; reading stays free.

The password goes over the air in clear and proves nothing: the card stays a bare identifier, class C.
"""

from typing import Final

from firmware_bridge.drivers.nfc_cards import CONFIRM_ATTEMPTS, Field, Target, is_type2
from firmware_bridge.wire import type2_tag
from firmware_bridge.wire.type2_tag import PAGE_BYTES, Kind
from provisioning.token_keys import Password
from venuehub.office.encoding import EncodingError

FIRST_PROTECTED: Final = 4
"""AUTH0: the first page of the user's memory. From here on writing asks for the password."""
WRONG_PASSWORDS: Final = 7
"""AUTHLIM: so many wrong ones in a row, and nobody writes this card any more; it goes on playing."""

_AUTH0_AT: Final = 3
_KEPT_OF_ACCESS: Final = 0x78
"""CFGLCK, the counter's switches and a bit for later; PROT (0: writing alone is protected) and AUTHLIM are ours."""


def encode_ntag21x(field: Field, target: Target, password: Password) -> None:
    """Protect the card that lies in the field, or go on where an earlier run ended; EncodingError: it is not good.

    The password first, and what makes the card ask for it last: in between, the card is as open as a blank.
    """
    desk = _Desk(field, target)
    kind = desk.kind()
    if desk.answers(password) is None:
        desk.power_again()
        if desk.page(kind.mirror_page)[_AUTH0_AT] < kind.pages:
            message = "the card asks for a password that is not this office's; scrap it, or give it back to its owner"
            raise EncodingError(message)
    desk.write(kind.password_page, password.password)
    desk.write(kind.password_page + 1, password.pack + bytes(PAGE_BYTES - len(password.pack)))
    if desk.answers(password) != password.pack:
        message = "the card did not take its password; encode it once more, then scrap it"
        raise EncodingError(message)
    access, mirror = desk.page(kind.access_page), desk.page(kind.mirror_page)
    desk.write(kind.access_page, bytes([access[0] & _KEPT_OF_ACCESS | WRONG_PASSWORDS]) + access[1:])
    desk.write(kind.mirror_page, mirror[:_AUTH0_AT] + bytes([FIRST_PROTECTED]))
    desk.power_again()
    asks = desk.page(kind.mirror_page)[_AUTH0_AT] == FIRST_PROTECTED
    limited = desk.page(kind.access_page)[0] & ~_KEPT_OF_ACCESS & 0xFF == WRONG_PASSWORDS
    if not (asks and limited and desk.answers(password) == password.pack):
        message = "the card does not ask for its password; encode it once more, then scrap it"
        raise EncodingError(message)


class _Desk:
    """One card and what is said to it. A card that does not answer has left: EncodingError."""

    def __init__(self, field: Field, target: Target) -> None:
        self._field, self._target = field, target

    def kind(self) -> Kind:
        """Return which NTAG21x it is."""
        version = self._say(bytes([type2_tag.GET_VERSION])) if is_type2(self._target) else b""
        kinds = [kind for kind in type2_tag.KINDS.values() if kind.version == version]
        if not type2_tag.is_ntag21x(version) or not kinds:
            message = "this is no NTAG213, 215 or 216; take another card, or another --media"
            raise EncodingError(message)
        return kinds[0]

    def answers(self, password: Password) -> bytes | None:
        """Return what the card says to its password (PACK), None where it is another's; it then wants power anew."""
        return self._say(bytes([type2_tag.PWD_AUTH]) + password.password) or None

    def page(self, number: int) -> bytes:
        """Return a page."""
        return self._say(bytes([type2_tag.READ, number]))[:PAGE_BYTES].ljust(PAGE_BYTES, b"\x00")

    def write(self, number: int, content: bytes) -> None:
        """Write a page."""
        if self._say(bytes([type2_tag.WRITE, number]) + content) != bytes([type2_tag.ACK]):
            message = f"the card did not take page {number}; encode it once more, then scrap it"
            raise EncodingError(message)

    def power_again(self) -> None:
        """Let the card lose its power and find it again."""
        self._field.off()
        found = self._field.look(attempts=CONFIRM_ATTEMPTS)
        if found is None or found.uid != self._target.uid:
            raise _left()

    def _say(self, command: bytes) -> bytes:
        """Return the answer, empty where the card said no."""
        answer = self._field.frame(command)
        if answer is None:
            raise _left()
        return answer


def _left() -> EncodingError:
    return EncodingError("the card left while it was written; lay it back and encode it once more")
