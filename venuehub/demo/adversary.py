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
from venuehub.demo.plan import UNIT, ArcadePlan
from venuehub.demo.stage import Stage

PAUSE_S: Final = 0.2
"""Between two taps: each of the four readers then has time to forget the card before."""


MOST_WAITING: Final = 100_000
"""Entries of one outage of a demo."""


class LossFigures(msgspec.Struct):
    """`bound`: what honest hubs can lose by the configuration; `taken`: what cards without money have played."""

    bound: int = 0
    taken: int = 0
    tries: int = 0


def bound_of(plan: ArcadePlan) -> int:
    """Return what the halls' hubs can lose together on their floors."""
    return exposure(UNIT, [hub_terms(hall.name, plan.risk) for hall in plan.halls]).floor_bound


async def attack(stage: Stage, loss: LossFigures, seconds: float) -> None:
    """Tap with every ghost in turn for so long, at two machines of each hall that guests leave alone meanwhile."""
    places = [place for hall in stage.plan.halls for place in hall.places[1:3]]
    stage.guests.closed |= {place.number for place in places}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        for place in places:
            stage.guests.tap(place, stage.plan.ghosts[loss.tries % len(stage.plan.ghosts)])
            loss.tries += 1
            await asyncio.sleep(PAUSE_S)
    stage.guests.closed -= {place.number for place in places}


def taken_on_floors(stage: Stage) -> int:
    """Return what the hubs have approved without a lease since their last receipts: that is what the bound counts."""
    return sum(_on_floor(ledger) for ledger in stage.ledgers)


def _on_floor(ledger: Path) -> int:
    reader = LedgerReader(ledger)
    try:
        acked = reader.rows("SELECT value FROM meta WHERE key = 'acked_seq'")[0][0]
        entries = [decode_entry(record) for record in reader.records(acked, MOST_WAITING)]
    finally:
        reader.close()
    held = [entry for entry in entries if isinstance(entry, Held)]
    return sum(part.amount for entry in held for part in entry.parts if part.lease_epoch == 0)
