"""Virtual cards in a PN532's field: what every card does on air, and how a card is written in a script."""

from typing import Final, Protocol

import msgspec

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire import type2_tag


class RadioAnswer(msgspec.Struct, frozen=True):
    """What a card sends back, CRC not included. nibble: four bits without CRC (ACK and NAK of Type 2)."""

    data: bytes
    nibble: bool = False


class Card(Protocol):
    """One card. `ats` is empty where it does not speak ISO-DEP; `felica` cards have neither SENS_RES nor SEL_RES."""

    uid: bytes
    sens_res: bytes
    sel_res: int
    ats: bytes
    felica: bool

    def power_off(self) -> None:
        """The card left the field, or the field went off: all volatile state is gone."""

    def activate(self) -> None:
        """The card was selected by anticollision, or answered a FeliCa polling."""

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer a frame on air (CRC taken off); None where the card stays silent."""


class Writing(msgspec.Struct, frozen=True):
    """How a kind of card is written in a script: bytes of its UID, and whether a key (16 bytes) belongs to it."""

    uid_bytes: tuple[int, ...]
    keyed: bool = False


_SEVEN: Final = (type2_tag.UID_BYTES,)
WRITINGS: Final = {
    **{name: Writing(_SEVEN) for name in type2_tag.KINDS},
    "ntag424": Writing(_SEVEN, keyed=True),
    "blank424": Writing(_SEVEN),
    "classic1k": Writing((4, 7)),
    "classic4k": Writing((4, 7)),
    "felica": Writing((8,)),
    "payment": Writing((4, 7)),
}
CARD_USAGE: Final = (
    "ntag424:UID:KEY or ntag424:UID:KEY:COUNTER (UID 14 hex, KEY 32 hex), or KIND:UID with KIND one of "
    + ", ".join(name for name, writing in WRITINGS.items() if not writing.keyed)
)


class CardText(msgspec.Struct, frozen=True):
    """A card as scripts write it. counter: what the card's read counter is set to first, or None to leave it."""

    kind: str
    uid: bytes
    key: bytes = b""
    counter: int | None = None


def read_card_text(text: str) -> CardText:
    """Return the card a script names; ScriptError says how it is written."""
    kind, *rest = text.split(":")
    writing = WRITINGS.get(kind, Writing(()))
    try:
        uid, *more = (bytes.fromhex(part) for part in rest[:2])
        counter = int(rest[2]) if len(rest) > 2 else None  # noqa: PLR2004 - kind, UID, key, counter
    except ValueError:
        uid, more, counter = b"", [], None
    card = CardText(kind=kind, uid=uid, key=b"".join(more), counter=counter)
    parts = {2, 3} if writing.keyed else {1}
    fits = len(rest) in parts and len(card.uid) in writing.uid_bytes and len(card.key) == 16 * writing.keyed
    if not fits or (counter is not None and not 0 <= counter < 1 << 24):
        message = f"card {text!r} is not known: write {CARD_USAGE}"
        raise ScriptError(message)
    return card
