"""The demo's adversary: while the office cannot be asked, cards without money play wherever the floor lets them.

It climbs to the bound that the configuration promises and stops there, because every further tap is declined.
"""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.ledger.reader import LedgerReader
from payment_core.exposure import exposure, hub_terms
from payment_core.journal import Held, decode_entry
from payment_core.money import Money, money_text
from venuehub.demo.actions import Said
from venuehub.demo.places import UNIT
from venuehub.demo.plan import ArcadePlan
from venuehub.demo.stage import Stage

PAUSE_S: Final = 0.2
"""Between two taps: each of the four readers then has time to forget the card before."""


MOST_WAITING: Final = 100_000
"""Entries of one outage of a demo."""


class LossFigures(msgspec.Struct):
    """`bound`: what honest hubs can lose by the configuration; `taken`: what cards without money have played.

    `by_adversary`: what of `taken` its own `cards` have; the rest are guests whose money is not here. `tries`: its
    taps. `climb`: `taken` each time it had grown.
    """

    bound: int = 0
    taken: int = 0
    tries: int = 0
    by_adversary: int = 0
    cards: int = 0
    climb: list[int] = []


def bound_of(plan: ArcadePlan) -> int:
    """Return what the halls' hubs can lose together on their floors."""
    return exposure(UNIT, [hub_terms(hall.name, plan.risk) for hall in plan.halls]).floor_bound


async def attack(stage: Stage, loss: LossFigures, seconds: float) -> None:
    """Tap with every ghost in turn for so long, at two machines of each hall that guests leave alone meanwhile."""
    loss.cards = len(stage.plan.ghosts)
    places = [place for hall in stage.plan.halls for place in hall.places[1:3]]
    stage.guests.closed |= {place.number for place in places}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        for place in places:
            stage.guests.tap(place, stage.plan.ghosts[loss.tries % len(stage.plan.ghosts)])
            loss.tries += 1
            await asyncio.sleep(PAUSE_S)
            note_taken(stage, loss)
    stage.guests.closed -= {place.number for place in places}


def note_taken(stage: Stage, loss: LossFigures) -> None:
    """Read what the hubs have approved without a lease since their last receipts: that is what the bound counts."""
    held = [entry for ledger in stage.ledgers for entry in _held(ledger)]
    loss.taken = sum(_on_floor(entry) for entry in held)
    loss.by_adversary = sum(_on_floor(entry) for entry in held if entry.account_id in stage.arcade.ghosts)
    if loss.taken > max(loss.climb, default=0):
        loss.climb.append(loss.taken)


def standing(loss: LossFigures) -> Said:
    """Say how far the adversary has come, for the office's page; nothing where it has not begun."""
    if not loss.tries:
        return Said("", "")
    own, taken, bound = (money_text(Money(sum_, UNIT)) for sum_ in (loss.by_adversary, loss.taken, loss.bound))
    rest = loss.taken - loss.by_adversary
    others = money_text(Money(rest, UNIT))
    en = f"{taken} of {bound}: {loss.cards} cards without money tapped {loss.tries} times and got {own}"
    zh = f"{taken} / {bound}：{loss.cards} 张没有余额的卡刷了 {loss.tries} 次，得到 {own}"
    if rest:
        en, zh = f"{en}, other guests {others}", f"{zh}，其他客人 {others}"
    return Said(f"{en}.", f"{zh}。", (loss.taken, loss.bound))


def _on_floor(entry: Held) -> int:
    return sum(part.amount for part in entry.parts if part.lease_epoch == 0)


def _held(ledger: Path) -> list[Held]:
    reader = LedgerReader(ledger)
    try:
        acked = reader.rows("SELECT value FROM meta WHERE key = 'acked_seq'")[0][0]
        entries = [decode_entry(record) for record in reader.records(acked, MOST_WAITING)]
    finally:
        reader.close()
    return [entry for entry in entries if isinstance(entry, Held)]
