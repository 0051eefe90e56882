"""What the hubs' journals say happened in the demo: all of it, by output, and by acceptor."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge_agent.ledger.reader import LedgerReader
from payment_core.journal import (
    Captured,
    CoinBooked,
    Commanded,
    Declined,
    Entry,
    Expired,
    Held,
    InDoubt,
    PrizeSeen,
    Refunded,
    Tender,
    Voided,
    VoucherTaken,
    decode_entry,
)


class OutputFigures(msgspec.Struct):
    """What one output was paid for, in the units of its commands. `captured`, `voided`: plays of guests and of coins.

    debited: what it gave as the ledger has it, `by_guests` of it from accounts and the rest from coins and notes.
    in_doubt: what nobody has decided yet; it may have been given.
    """

    captured: int = 0
    voided: int = 0
    debited: int = 0
    by_guests: int = 0
    in_doubt: int = 0


class HubFigures(msgspec.Struct):
    """What journals say. `outputs`: by device. `coins`: coins and notes booked, by acceptor. `prizes`: by sensor.

    approved_at, declined_at: by the reader, module or scanner whose event was answered.
    """

    approved: int = 0
    declined: Counter[str] = msgspec.field(default_factory=Counter)
    captured: int = 0
    voided: int = 0
    expired: int = 0
    refunded: int = 0
    in_doubt: int = 0
    outputs: dict[str, OutputFigures] = msgspec.field(default_factory=dict)
    coins: Counter[str] = msgspec.field(default_factory=Counter)
    prizes: Counter[str] = msgspec.field(default_factory=Counter)
    approved_at: Counter[str] = msgspec.field(default_factory=Counter)
    declined_at: Counter[str] = msgspec.field(default_factory=Counter)
    passed: int = 0
    entries: int = 0

    def output(self, device: str) -> OutputFigures:
        """Return what an output was paid for, also where that is nothing."""
        return self.outputs.get(device) or OutputFigures()


class _Told(msgspec.Struct, frozen=True):
    """A command: to which output, for how many units. `device` empty: a hold that has none."""

    device: str = ""
    credits: int = 0


class _Fold:
    """What is known while a journal is read."""

    def __init__(self) -> None:
        self.figures = HubFigures()
        self.doubts: set[bytes] = set()
        self.told: dict[bytes, _Told] = {}
        self.open: set[bytes] = set()
        """Commands whose end nobody knows: those in doubt, and those that were under way when the journal was read."""

    def take(self, entry: Entry) -> None:
        """Take one entry."""
        figures, authorization_id = self.figures, entry.header.authorization_id or b""
        match entry:
            case Held():
                figures.approved += entry.header.tender is Tender.PURSE
                figures.approved_at[entry.reader] += 1
            case Declined():
                figures.declined_at[entry.reader] += 1
                figures.declined[entry.reason] += 1
            case Commanded():
                self.told[authorization_id] = _Told(entry.device, entry.credits)
                self.open.add(authorization_id)
            case CoinBooked():
                figures.coins[entry.device] += 1
            case PrizeSeen():
                figures.prizes[entry.device] += entry.count
            case VoucherTaken():
                figures.passed += 1
            case _:
                self._take_end(entry, authorization_id)

    def _take_end(self, entry: Entry, authorization_id: bytes) -> None:
        figures, guest = self.figures, entry.header.tender is Tender.PURSE
        told = self.told.get(authorization_id, _Told())
        output = figures.outputs.setdefault(told.device, OutputFigures())
        if isinstance(entry, Captured | Voided | Expired):
            self.open.discard(authorization_id)
        match entry:
            case Captured():
                self.doubts.discard(authorization_id)
                figures.captured += guest
                delivered = delivered_credits(entry, told.credits)
                output.captured += 1
                output.debited += delivered
                output.by_guests += delivered * guest
            case Voided():
                self.doubts.discard(authorization_id)
                figures.voided += 1
                output.voided += 1
            case Expired():
                figures.expired += 1
            case InDoubt():
                self.doubts.add(authorization_id)
            case Refunded():
                figures.refunded += 1
            case _:
                pass

    def end(self) -> HubFigures:
        """Return what came of it: what is in doubt or under way was not decided."""
        self.figures.in_doubt = len(self.doubts)
        for authorization_id in self.open:
            told = self.told[authorization_id]
            self.figures.outputs.setdefault(told.device, OutputFigures()).in_doubt += told.credits
        return self.figures


def read_hubs(ledgers: Iterable[Path]) -> HubFigures:
    """Fold the whole journals of some hubs into one."""
    fold = _Fold()
    for ledger in ledgers:
        reader = LedgerReader(ledger)
        after = 0
        try:
            while records := reader.records(after, 1_000):
                for record in records:
                    fold.take(decode_entry(record))
                after += len(records)
        finally:
            reader.close()
        fold.figures.entries += after
    return fold.end()


def delivered_credits(entry: Captured, credits: int) -> int:
    """Return the credits behind a capture: all, or the share that was not released."""
    kept = sum(part.amount for part in entry.parts)
    back = sum(part.amount for part in entry.released)
    return credits * kept // (kept + back)


def open_ones(ledger: Path) -> int:
    """Return how many answers devices still owe a hub."""
    reader = LedgerReader(ledger)
    try:
        return int(reader.rows("SELECT count(*) FROM authorizations WHERE state IN (2, 3)")[0][0])
    finally:
        reader.close()
