"""Relays what the hub has to say to a card (command Transceive): which commands may pass, and how they go.

The bridge has no key: passwords and proofs are made and checked at the hub. A list says what may be said, so that no
payment application is ever selected, whatever the hub asks for: an application that is not on it counts as one.
"""

from typing import Final, Literal

import msgspec

from firmware_bridge.drivers.interface import Answer
from firmware_bridge.drivers.nfc_cards import CONFIRM_ATTEMPTS, Field, Target, is_iso_dep, is_random_uid, is_type2
from firmware_bridge.wire import ntag424, type2_tag
from payment_core.commands import Transceive

OWN_APPLICATIONS: Final = frozenset({ntag424.NDEF_APPLICATION, ntag424.DESFIRE_APPLICATION})
"""NDEF (which is also the NTAG 424's only one) and the DESFire card itself."""
COMMAND_LIMIT: Final = 8
COMMAND_LIMIT_BYTES: Final = 261
"""A short APDU: header, Lc, 255 bytes, Le. It fits one exchange of the chip."""

_FILE_BYTES: Final = 2
_HEADER_BYTES: Final = 4
_TYPE2_COMMANDS: Final = frozenset(
    {
        type2_tag.GET_VERSION, type2_tag.READ, type2_tag.FAST_READ, type2_tag.WRITE, type2_tag.PWD_AUTH,
        type2_tag.READ_CNT, type2_tag.READ_SIG,
    }
)  # fmt: skip

Refusal = Literal["", "payment_application", "not_supported"]


class Order(msgspec.Struct, frozen=True):
    """Commands for the card with this UID, in turn; `id` is that of the bus's command."""

    id: str
    uid: bytes
    commands: tuple[bytes, ...]


def order_of(command_id: str, asked: Transceive) -> Order | None:
    """Return the order, or None where it is not hex, too long or too much."""
    try:
        uid, commands = bytes.fromhex(asked.uid), tuple(bytes.fromhex(text) for text in asked.commands)
    except ValueError:
        return None
    fits = all(0 < len(command) <= COMMAND_LIMIT_BYTES for command in commands)
    return Order(command_id, uid, commands) if uid and fits and 0 < len(commands) <= COMMAND_LIMIT else None


def relay(field: Field, order: Order, *, held: Target | None) -> tuple[Answer, Target | None]:
    """Say the commands; return how it ended, and the card where its session goes on. OSError where the chip is gone.

    `held`: the card whose session is still open from the order before. Nothing is said unless everything may be, and
    nothing at all to a UID that is made up each time: a payment phone, told to nobody, so none that a hub could mean.
    """
    if is_random_uid(order.uid):
        return Answer(order.id, "refused", reason="card_gone"), None
    target = held
    if target is None or target.uid != order.uid:
        field.off()
        target = field.look(attempts=CONFIRM_ATTEMPTS)
    if target is None or target.uid != order.uid:
        return Answer(order.id, "refused", reason="card_gone"), None
    refusal = _first_refusal(target, order.commands)
    if refusal:
        return Answer(order.id, "refused", reason=refusal), None
    answers: list[str] = []
    for command in order.commands:
        said = field.apdu(command) if is_iso_dep(target) else field.frame(command)
        if not said:  # what a card did that was asked and left cannot be known from here
            outcome: Literal["unknown", "failed"] = "unknown" if said is None else "failed"
            reason = "card_gone" if said is None else "card_refused"
            return Answer(order.id, outcome, reason=reason, answers=tuple(answers)), None
        answers.append(said.hex().upper())
    return Answer(order.id, "done", answers=tuple(answers)), target


def _first_refusal(target: Target, commands: tuple[bytes, ...]) -> Refusal:
    """Return why one of the commands must not be said to this card, "" where all may."""
    for command in commands:
        if is_iso_dep(target):
            refusal = apdu_refusal(command)
        else:
            refusal = "" if is_type2(target) and command[0] in _TYPE2_COMMANDS else "not_supported"
        if refusal:
            return refusal
    return ""


def apdu_refusal(command: bytes) -> Refusal:
    """Return why an APDU must not be said, "" where it may: SELECT, READ and UPDATE BINARY, NXP's native ones (90)."""
    if len(command) < _HEADER_BYTES:
        return "not_supported"
    match command[0], command[1], command[2]:
        case (0x00, 0xA4, 0x04):
            return "" if _named(command) in OWN_APPLICATIONS else "payment_application"
        case (0x00, 0xA4, 0x00 | 0x02):
            # Without a name it selects whatever the card has first, which on a payment card is an application.
            return "" if len(_named(command)) == _FILE_BYTES else "payment_application"
        case (_, 0xA4, _):
            return "payment_application"
        case (0x00, 0xB0 | 0xD6, _) | (0x90, _, _):
            return ""
        case _:
            return "not_supported"


def _named(command: bytes) -> bytes:
    """Return the name in a SELECT, or the whole command where its lengths do not fit: nothing hides behind Lc."""
    length = command[_HEADER_BYTES] if len(command) > _HEADER_BYTES else 0
    name, rest = command[_HEADER_BYTES + 1 :][:length], command[_HEADER_BYTES + 1 + length :]
    return name if len(name) == length and len(rest) <= 1 else command
