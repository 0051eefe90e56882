"""What goes into the till from the venue's desks, its person already checked, and what comes out for them."""

import msgspec

from payment_core.desk import Act, CardShown, DeskReply
from payment_core.staff_policy import StaffDocument


class StaffActed(msgspec.Struct, frozen=True):
    """Somebody of the staff, who proved to be `staff`, asks for an act. `request_id`: 16 bytes, one for each act.

    `by_pin`: it was a PIN that proved it, and no card.
    """

    request_id: bytes
    terminal: str
    staff: str
    act: Act
    by_pin: bool = True


class PinRefused(msgspec.Struct, frozen=True):
    """Somebody gave a wrong PIN for `staff` at a terminal."""

    terminal: str
    staff: str


StaffFact = StaffActed | PinRefused


class Reply(msgspec.Struct, frozen=True):
    """Answer a terminal's request."""

    terminal: str
    reply: DeskReply


class TellCard(msgspec.Struct, frozen=True):
    """Tell a terminal which card was shown at its reader."""

    terminal: str
    card: CardShown


class StaffLocked(msgspec.Struct, frozen=True):
    """Too many wrong PINs: nobody may try as `staff` until then (UTC ms); 0: they may again."""

    staff: str
    until_ms: int


class StaffKnown(msgspec.Struct, frozen=True):
    """Who the staff are by the document in force, and until when (UTC ms) nobody may try as somebody of them."""

    document: StaffDocument
    locked: dict[str, int]


StaffEffect = Reply | TellCard | StaffLocked | StaffKnown
