"""The demo's attendant: makes a bridge die in the middle of a play, looks at the machine, and settles the doubt."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from edge_agent.ledger.reader import LedgerReader
from payment_core.desk import Look, SettleDoubt
from venuehub.demo.audit import read_machine
from venuehub.demo.desk_talk import at_desk
from venuehub.demo.hub_audit import open_ones, read_hubs
from venuehub.demo.places import Place
from venuehub.demo.plan import HallPlan
from venuehub.demo.stage import Stage
from venuehub.demo.waiting import eventually

TRIES: Final = 8
"""How many guests tap until a bridge has died at the right moment."""
BUTTON_S: Final = 10.0
"""After so long a button of the page tries no more: its page waits 20 s for an answer."""
MID_PLAY_S: Final = 0.02
LOOK_S: Final = 0.5
LOOKS: Final = 12


class DoubtFigures(msgspec.Struct):
    """Doubts that were made and settled while the office was away, with their sum in minor units."""

    made: int = 0
    settled: int = 0
    amount: int = 0


async def doubt_and_settle(stage: Stage, figures: DoubtFigures) -> None:
    """Bring one play into doubt in the second hall, and let the attendant settle it."""
    hall = stage.plan.halls[-1]
    async with _to_themselves(stage, hall):
        figures.made += await make_doubt(stage, hall)
        await _settle(stage, hall, hall.places[0], figures)


async def leave_doubt(stage: Stage) -> int:
    """Bring one play into doubt in the first hall, for a person to settle at its desk; return how many are open."""
    hall = stage.plan.halls[0]
    async with _to_themselves(stage, hall):
        await make_doubt(stage, hall, seconds=BUTTON_S)
    return _in_doubt(stage, hall)


async def make_doubt(stage: Stage, hall: HallPlan, *, seconds: float = 60.0) -> int:
    """Kill a hall's bridge in the middle of a play until a doubt came of it; return 1 where one did."""
    end = time.monotonic() + seconds
    for number in range(TRIES):
        if await _dies_in_the_middle(stage, hall, hall.places[0], stage.plan.members[number].card):
            return 1
        if time.monotonic() > end:
            break
    return 0


@contextlib.asynccontextmanager
async def _to_themselves(stage: Stage, hall: HallPlan) -> AsyncIterator[None]:
    """Keep guests out of a hall, from when nothing moves there any more."""
    own = (*hall.places, *(booth.place for booth in hall.booths))
    places = {place.number for place in own} - stage.guests.closed
    stage.guests.closed |= places
    await asyncio.sleep(1.6)
    try:
        yield
    finally:
        stage.guests.closed -= places


async def _dies_in_the_middle(stage: Stage, hall: HallPlan, place: Place, card: str) -> bool:
    """Let a member tap, kill the bridge while it pulses, wait until it is back; say whether a doubt came of it."""
    member = next(member for member in stage.plan.members if member.card == card)
    before, bridge, output = _in_doubt(stage, hall), stage.bridges[hall.name], place.lane.output
    number = stage.observer.commands[output] + 1
    stage.guests.tap(place, member)
    if not await stage.observer.wait_for_command(output, number, timeout_s=3.0):
        return False  # he was declined: his money is out of reach just now
    await asyncio.sleep(MID_PLAY_S)
    restarts = bridge.restarts
    stage.observer.online.discard(output)
    bridge.kill()
    await eventually(lambda: bridge.restarts > restarts and output in stage.observer.online)
    await eventually(lambda: not open_ones(stage.ledger_at(place)))  # now it is known what became of it, or a doubt
    return _in_doubt(stage, hall) > before


def _in_doubt(stage: Stage, hall: HallPlan) -> int:
    reader = LedgerReader(stage.folder.hall(hall.name).ledger)
    try:
        return int(reader.rows("SELECT count(*) FROM authorizations WHERE state = 7")[0][0])
    finally:
        reader.close()


async def _look(stage: Stage, place: Place) -> tuple[int, int]:
    """Return what a machine has counted and what the ledger was paid for it, once neither moves any more.

    A busy computer tells late of a pulse, or of a coin that plays.
    """
    ledger, seen = stage.ledger_at(place), (-1, -1)
    for _ in range(LOOKS):
        now = await read_machine(stage.folder, place), read_hubs([ledger]).output(place.lane.output).debited
        if now == seen and not open_ones(ledger):
            break
        seen = now
        await asyncio.sleep(LOOK_S)
    return seen


async def _settle(stage: Stage, hall: HallPlan, place: Place, figures: DoubtFigures) -> None:
    async with at_desk(stage, hall) as ask:
        seen = await ask(Look("open"))
        for row in seen.open:
            if row.state != "in_doubt":
                continue
            counted, paid = await _look(stage, place)
            delivered = counted > paid
            note = "the machine's own counter went up" if delivered else "the machine's own counter did not move"
            act = SettleDoubt(row.authorization, delivered=delivered, note=note)
            reply = await ask(act)
            if reply.outcome == "done":
                figures.settled += 1
                figures.amount += row.amount
