"""Which notes of a poll's answer are credit, and which were booked before: the whole arithmetic, pure.

A validator has no counter, so the host counts: `Tally.packed()` is written with each credit, in one write.
"""

from typing import Final

import msgspec

from firmware_bridge.wire.ssp import Event, Say

MOST_TOLD: Final = 7
"""A note takes seconds: more credits than this in one answer are none."""
_CREDITS: Final = frozenset({Say.CREDIT, Say.CLEARED_TO_CASHBOX, Say.PAID_IN_AT_POWER_UP})


class Tally(msgspec.Struct, frozen=True):
    """What the host knows of the notes so far.

    credits: how many were booked. told: how many of the last answer, which the validator may give again, are in the
    log. moving: the last one was credited (EE) and not yet said to be stacked (EB). channel: of the last one.
    """

    credits: int = 0
    told: int = 0
    moving: bool = False
    channel: int = 0

    def packed(self) -> int:
        """Return it as one number, which rises with every credit."""
        return self.credits << 12 | self.channel << 4 | self.moving << 3 | self.told

    def settled(self) -> "Tally":
        """The validator has heard that the last answer was taken: it will not give it again."""
        return msgspec.structs.replace(self, told=0)


def unpack(packed: int) -> Tally:
    """Return what `Tally.packed` packed."""
    return Tally(packed >> 12, packed & 7, bool(packed & 8), packed >> 4 & 0xFF)


class Booking(msgspec.Struct, frozen=True):
    """One note to book, and the tally to write with it. `channel` 0: nobody says which note, so it is no credit."""

    channel: int
    tally: Tally


class Counted(msgspec.Struct, frozen=True):
    """What an answer tells: bookings in order, and the tally behind all of it."""

    bookings: tuple[Booking, ...]
    tally: Tally


def count_notes(tally: Tally, events: list[Event]) -> Counted:
    """Compare an answer to a poll with what is written.

    A credit that is in the log is passed over, by its place in the answer. A note that was credited and whose way to
    the box a loss of power cut short is not credited again (E2). Another note at the reader: the last one is stacked.
    """
    bookings: list[Booking] = []
    place, known, last = 0, tally.told, tally.channel
    for event in events:
        if event.code in _CREDITS:
            place += 1
            repeated = place < known or (place == known and event.channel == last)
            same_note = event.code == Say.CLEARED_TO_CASHBOX and tally.moving
            if repeated or same_note or place > MOST_TOLD:
                tally = msgspec.structs.replace(tally, moving=event.code == Say.CREDIT)
                continue
            moving = event.code == Say.CREDIT
            channel = 0 if event.code == Say.PAID_IN_AT_POWER_UP else event.channel
            tally = Tally(tally.credits + 1, place, moving, event.channel)
            bookings.append(Booking(channel, tally))
        elif event.code in {Say.STACKED, Say.CLEARED_TO_FRONT} or (event.code == Say.READ and event.channel):
            tally = msgspec.structs.replace(tally, moving=False)
    return Counted(tuple(bookings), tally if place >= tally.told else tally.settled())
