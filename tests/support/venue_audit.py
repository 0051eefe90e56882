"""What a venue promises its guests and its owner, checked with counters from outside the hub."""

from collections import Counter
from pathlib import Path

import msgspec

from edge_agent.ledger.reader import LedgerReader
from payment_core.journal import (
    Captured,
    CoinBooked,
    Commanded,
    Declined,
    Expired,
    Held,
    InDoubt,
    Refunded,
    Tampered,
    Tender,
    Voided,
    decode_entry,
)

ENDS = {Captured: "captured", Voided: "voided", Expired: "expired", Refunded: "refunded", InDoubt: "in_doubt"}


class Play(msgspec.Struct):
    """One hold: what it asked for, where, and how it ended."""

    amount: int
    cash: bool
    state: str = "held"
    device: str = ""
    credits: int = 0
    captured: int = 0
    delivered: int = 0


class Ledger(msgspec.Struct):
    """The journal, folded by authorization."""

    plays: dict[bytes, Play] = msgspec.field(default_factory=dict)
    holds_of_event: Counter[tuple[str, int, int]] = msgspec.field(default_factory=Counter)
    coins: int = 0
    coins_of_event: Counter[tuple[str, int, int]] = msgspec.field(default_factory=Counter)
    cash: int = 0
    lost: int = 0
    declined: Counter[str] = msgspec.field(default_factory=Counter)
    entries: int = 0
    coin_credit: int = 0

    @property
    def answers(self) -> int:
        """How many taps were answered."""
        return sum(not play.cash for play in self.plays.values()) + self.declined.total()


def read_ledger(path: Path) -> Ledger:
    """Fold a hub's journal."""
    ledger = Ledger()
    reader = LedgerReader(path)
    try:
        while records := reader.records(ledger.entries, 1_000):
            for record in records:
                _fold(ledger, decode_entry(record))
        ledger.coin_credit = int(reader.rows("SELECT coalesce(sum(amount), 0) FROM coin_credit")[0][0])
    finally:
        reader.close()
    return ledger


def _fold(ledger: Ledger, entry: object) -> None:
    ledger.entries += 1
    play = ledger.plays.get(entry.header.authorization_id or b"")
    match entry:
        case Held():
            amount = sum(part.amount for part in entry.parts)
            cash = entry.header.tender is Tender.CASH
            ledger.plays[entry.header.authorization_id] = Play(amount, cash)
            ledger.holds_of_event[entry.reader, entry.event_epoch, entry.event_seq] += 1
        case Commanded():
            play.state, play.device, play.credits = "commanded", entry.device, entry.credits
        case Captured():
            play.state = "captured"
            play.captured = sum(part.amount for part in entry.parts)
            play.delivered = play.credits * play.captured // play.amount
        case Voided() | Expired() | InDoubt() | Refunded():
            play.state = ENDS[type(entry)]
        case CoinBooked():
            ledger.coins += 1
            ledger.coins_of_event[entry.device, entry.event_epoch, entry.event_seq] += 1
            ledger.cash += entry.amount
        case Declined():
            ledger.declined[entry.reason] += 1
        case Tampered():
            ledger.lost += entry.count
        case _:
            pass


def broken_promises(ledger: Ledger, *, credits_seen: dict[str, int], coins_inserted: int) -> list[str]:
    """Return one sentence per promise that was not kept; `credits_seen` and `coins_inserted` come from the devices."""
    broken = [
        f"a debit of {play.amount} stands in no named end: {play.state}"
        for play in ledger.plays.values()
        if play.state not in ENDS.values()
    ]
    for device, seen in credits_seen.items():
        there = [play for play in ledger.plays.values() if play.device == device]
        captured = sum(play.delivered for play in there)
        doubtful = sum(play.credits for play in there if play.state == "in_doubt")
        if seen > captured + doubtful:
            broken.append(
                f"{device} saw {seen} credits, {captured} captured and {doubtful} in doubt: one was given away"
            )
        if seen < captured:
            broken.append(f"{device} saw {seen} credits of {captured} captured: a guest paid for nothing")
    broken += [f"event {event} was charged twice" for event, count in ledger.holds_of_event.items() if count > 1]
    broken += [f"coin {event} was booked twice" for event, count in ledger.coins_of_event.items() if count > 1]
    if coins_inserted != ledger.coins + ledger.lost:
        broken.append(f"{coins_inserted} coins fell, {ledger.coins} were booked and {ledger.lost} named as lost")
    cash_plays = [play for play in ledger.plays.values() if play.cash]
    spent = sum(play.captured for play in cash_plays) + sum(p.amount for p in cash_plays if p.state == "in_doubt")
    if ledger.cash != spent + ledger.coin_credit:
        broken.append(f"coins of {ledger.cash} became plays of {spent} and credit of {ledger.coin_credit}")
    return broken
