"""What the books say that happened at machines between two readings of a meter: pulses, coins, tickets, prizes."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.store.meters import Happened
from payment_core.journal import (
    BroughtIn,
    Captured,
    CashSold,
    CoinBooked,
    Commanded,
    Entry,
    InDoubt,
    LateEvidence,
    PrizeSeen,
    Source,
    Tampered,
    Tender,
    TicketsKept,
    decode_entry,
)

LOOKED_AT: Final = tuple(
    TYPE_NUMBERS[kind]
    for kind in (
        BroughtIn, Captured, CashSold, CoinBooked, Commanded, InDoubt, LateEvidence, PrizeSeen, Tampered, TicketsKept,
    )
)  # fmt: skip


class Sums(msgspec.Struct):
    """Credits by who paid them, money that fell, tickets and prizes that came out; and what could explain a rest."""

    pulses: int = 0
    test: int = 0
    remote: int = 0
    by_coins: int = 0
    coins: int = 0
    tickets: int = 0
    prizes: int = 0
    in_doubt: int = 0
    late: int = 0
    tampered: int = 0
    entries: int = 0

    def explanations(self) -> tuple[str, ...]:
        """Say what is known of the time that could explain a difference."""
        told = (
            (self.in_doubt, "credits in doubt, which may have been given"),
            (self.late, "answers of devices that came too late to count"),
            (self.tampered, "counts of a device that its hub did not book"),
        )
        return tuple(f"{count} {what}" for count, what in told if count)


class MachineBooks:
    """The entries of machines in their order, each counted by itself; sums are taken between two places."""

    def __init__(self, happened: Iterable[Happened]) -> None:
        """Read them once; a capture needs the command that it answers."""
        self._of: defaultdict[str, list[tuple[Happened, Entry, int]]] = defaultdict(list)
        told: dict[tuple[bytes, bytes], int] = {}
        for at in happened:
            entry = decode_entry(at.record)
            name = entry.header.authorization_id or b""
            if isinstance(entry, Commanded):
                told[at.hub_id, name] = told.get((at.hub_id, name), 0) + entry.credits
            credits = told.get((at.hub_id, name), 0) if name else 0
            if isinstance(entry, Captured):
                credits = _delivered(entry, credits)
            self._of[entry.header.machine or ""].append((at, entry, credits))

    def between(self, machine: str, after: "Reading", until: "Reading") -> Sums:
        """Return what happened at a machine behind one reading, up to another."""
        sums = Sums()
        for at, entry, credits in self._of[machine]:
            if after.is_before(at) and not until.is_before(at):
                sums.entries += 1
                _count(sums, entry, credits)
        return sums

    def machines(self, business_date: int) -> set[str]:
        """Return the machines at which anything happened on a business date."""
        dates = ((name, at.business_date) for name, rows in self._of.items() for at, _, _ in rows)
        return {name for name, date in dates if name and date == business_date}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a meter. From a hub's desk it has a place in its journal; else it has a moment alone."""

    machine: str
    meter: str
    value: int
    reset: bool
    business_date: int
    at_ms: int
    by: str
    note: str
    hub_id: bytes = b""
    epoch: int = 0
    seq: int = 0

    def is_before(self, at: Happened) -> bool:
        """Say whether an entry was written behind this reading."""
        if (self.hub_id, self.epoch) == (at.hub_id, at.epoch):
            return at.seq > self.seq
        return at.wall_ms > self.at_ms


def _delivered(entry: Captured, wanted: int) -> int:
    """Return how many credits a capture says that there were: of a part, as many as its money is worth."""
    earned, back = (sum(part.amount for part in parts) for parts in (entry.parts, entry.released))
    if not back or not wanted:
        return wanted
    return next(count for count in range(wanted + 1) if (earned + back) * count // wanted >= earned)


def _count(sums: Sums, entry: Entry, credits: int) -> None:
    match entry:
        case Captured():
            _count_credits(sums, entry.header.tender, credits)
        case CoinBooked() | CashSold():
            sums.coins += entry.amount
        case BroughtIn(source=Source.CASH_BOX):
            sums.coins += sum(part.amount for part in entry.parts)
        case BroughtIn(source=Source.WON, staff=""):
            sums.tickets += sum(part.amount for part in entry.parts)
        case TicketsKept():
            sums.tickets += entry.amount
        case PrizeSeen():
            sums.prizes += entry.count
        case InDoubt():
            sums.in_doubt += credits
        case LateEvidence():
            sums.late += 1
        case Tampered():
            sums.tampered += entry.count
        case _:
            pass


def _count_credits(sums: Sums, tender: Tender, credits: int) -> None:
    match tender:
        case Tender.TEST:
            sums.test += credits
        case Tender.COMP:
            sums.remote += credits
        case Tender.CASH:
            sums.by_coins += credits
        case _:
            sums.pulses += credits
