"""Visits to the demo's booths: what a guest does there, from outside only, once soon and then again and again."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from venuehub.demo.booths import NOTE_CHANNEL, VEND_ITEM, VEND_PRICE
from venuehub.demo.person_visits import PERSON_VISITS
from venuehub.demo.places import Booth, BoothKind

if TYPE_CHECKING:
    from venuehub.demo.stage import Stage

END_S: Final = 6.0
"""How long a guest waits for what becomes of a play; a longer wait is over with its visit."""
REST_S: Final = 1.2
"""Before the next tap of the same card: sooner, it is the same tap."""
ASK_S: Final = 0.5
ASKS: Final = 10
"""A machine that is not ready for a choice is asked again so often."""
AGAIN_S: Final = 15.0
"""Results stand on a page for some seconds; then it shows its price for a while."""
MOST_TRIES: Final = 3
"""So often a guest who got nothing comes again although the demo is over."""
STAGGER_S: Final = 0.3
PRIZE_MS: Final = 80


class Visits:
    """Guests of the booths. inserted: notes by device, also such as were given back."""

    def __init__(self, stage: "Stage") -> None:
        self.inserted: Counter[str] = Counter()
        self._stage = stage

    async def play(self, seconds: float) -> None:
        """Let each booth have its guest, once at least, and again while there is time."""
        async with asyncio.TaskGroup() as group:
            for number, booth in enumerate(self._stage.plan.booths):
                group.create_task(self._come_again(booth, STAGGER_S * number, seconds))

    async def _come_again(self, booth: Booth, late_s: float, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        await asyncio.sleep(late_s)
        for number in itertools.count(1):
            if booth.place.number not in self._stage.guests.closed:
                await visit(self._stage, booth)
            await asyncio.sleep(max(min(AGAIN_S, end - clock()), REST_S))
            if clock() >= end and (number >= MOST_TRIES or self._was_served(booth)):
                return

    def _was_served(self, booth: Booth) -> bool:
        """Say whether a booth has shown what it is there for."""
        wanted = {"approved", "voided"} if booth.kind == "vending" else {"approved"}
        return wanted <= self._stage.observer.ends[booth.place.lane.id]


async def visit(stage: "Stage", booth: Booth) -> None:
    """Let a booth's guest play there once."""
    await _VISITS[booth.kind](stage, booth)


async def tap_and_wait(stage: "Stage", booth: Booth) -> str:
    """Let a booth's guest tap; return how that ended as its page says, empty where nothing came in time."""
    return await ending_of(stage, booth, lambda: stage.guests.tap(booth.place, booth.guest))


async def ending_of(stage: "Stage", booth: Booth, do: Callable[[], None]) -> str:
    """Do something and return how the play ended that came of it, empty where nothing came in time."""
    observer, lane = stage.observer, booth.place.lane.id
    number = observer.endings[lane] + 1
    do()
    ended = await observer.wait_until(lambda: observer.endings[lane] >= number, END_S)
    return observer.ended[lane].state if ended else ""


async def _dispense(stage: "Stage", booth: Booth) -> None:
    """A hopper or a ticket dispenser gives what a card has paid."""
    await tap_and_wait(stage, booth)


async def _claw(stage: "Stage", booth: Booth) -> None:
    """Somebody plays and is lucky: a prize falls through the light barrier."""
    if await tap_and_wait(stage, booth) == "approved":
        stage.say(booth.device.id, f"press prize {PRIZE_MS}ms")


async def _note(stage: "Stage", booth: Booth) -> None:
    """A note pays for a play."""

    def insert() -> None:
        stage.visits.inserted[booth.device.id] += 1
        stage.say(booth.device.id, f"note {NOTE_CHANNEL}")

    await ending_of(stage, booth, insert)


async def _vending(stage: "Stage", booth: Booth) -> None:
    """Somebody buys an item, and another one that does not fall: that one's money is his again at once."""
    await _buy(stage, booth)
    await asyncio.sleep(REST_S)
    stage.say(booth.device.id, "jam on")
    await _buy(stage, booth)
    stage.say(booth.device.id, "jam off")


async def _buy(stage: "Stage", booth: Booth) -> None:
    """Choose first, and pay when the page names the price."""
    lane, shown = booth.place.lane.id, stage.observer.shown
    for _ in range(ASKS):
        stage.say(booth.device.id, f"choose {VEND_ITEM}")
        if await stage.observer.wait_until(lambda: lane in shown and shown[lane].price == VEND_PRICE
                                           and shown[lane].state == "idle", ASK_S):  # fmt: skip
            await tap_and_wait(stage, booth)
            return


_VISITS: Final[Mapping[BoothKind, Callable[["Stage", Booth], Awaitable[None]]]] = {
    "hopper": _dispense,
    "tickets": _dispense,
    "claw": _claw,
    "note": _note,
    "vending": _vending,
    **PERSON_VISITS,
}
