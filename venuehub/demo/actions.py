"""What can be broken in the demo venue: each action does it for real and returns one line about what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from back_office.console.interface import DEMO_ACTIONS, DemoAction
from edge_agent.ledger.reader import LedgerReader
from payment_core.money import Money, money_text
from venuehub.demo.plan import UNIT, Member, Place
from venuehub.demo.stage import Stage
from venuehub.demo.waiting import eventually

COINS: Final = 2
STILL_COMING: Final = 30
"""Entries that may wait while guests go on playing."""


class Actions:
    """The demo's buttons, by name."""

    def __init__(self, stage: Stage) -> None:
        self.cut_at: float | None = None
        self._stage = stage
        self._jam: Place | None = None
        self._do: dict[DemoAction, Callable[[], Awaitable[str]]] = {
            "uplink_cut": self.cut,
            "uplink_heal": self.heal,
            "hub_kill": self.kill_hub,
            "card_copy": self.copy_card,
            "machine_jam": self.jam,
            "machine_clear": self.clear,
        }
        assert set(self._do) == set(DEMO_ACTIONS)

    async def do(self, action: str) -> str:
        """Do one action; an unknown one is answered, not raised."""
        for name, work in self._do.items():
            if name == action:
                return await work()
        return f"there is no action {action!r}: {', '.join(DEMO_ACTIONS)}"

    async def cut(self) -> str:
        """Pull the internet."""
        self._stage.relay.pull()
        self.cut_at = time.monotonic()
        return "The internet is gone. Guests go on playing: every decision is made at the hub, on leased money."

    async def heal(self) -> str:
        """Plug the internet in again and wait until the office has caught up."""
        before = self._unsynced()
        self._stage.relay.plug()
        self.cut_at = None
        await eventually(lambda: self._unsynced() <= STILL_COMING)
        return f"Back online: {before} journal entries waited at the hub, all of them are on their way into the books."

    async def kill_hub(self) -> str:
        """Insert coins and kill the hub at the same moment; see that every coin is booked once."""
        stage = self._stage
        place = stage.plan.places[1]
        await self._quiet(place)
        before = self._coins_at(place)
        stage.guests.insert_coins(place, COINS)
        await asyncio.sleep(0.15)
        stage.hub.kill()
        await eventually(lambda: self._coins_at(place) >= before + COINS)
        booked = self._coins_at(place) - before
        stage.guests.closed.discard(place.number)
        return f"Killed the hub while {COINS} coins fell. It came back by itself and booked {booked}, each once."

    async def copy_card(self) -> str:
        """Play back a recorded tap of a card that proves itself."""
        stage = self._stage
        member = next(member for member in stage.plan.members if member.card.startswith("ntag424:"))
        place = stage.plan.places[2]
        before = stage.observer.declined["card_not_proven"]
        await self._quiet(place)
        stage.guests.tap(place, member)
        await asyncio.sleep(1.5)
        stage.guests.tap_copy(place, member)
        await eventually(lambda: stage.observer.declined["card_not_proven"] > before)
        stage.guests.closed.discard(place.number)
        refused = stage.observer.declined["card_not_proven"] > before
        outcome = "was refused" if refused else "WENT THROUGH"
        return f"A copy of {member.name}'s card {outcome}: without the card's key nobody can make its next tap."

    async def jam(self) -> str:
        """Jam a machine and let somebody tap at it."""
        stage = self._stage
        place = stage.plan.places[3]
        await self._quiet(place)
        stage.machines.say(f"{place.machine_sim} jam")
        self._jam = place
        await asyncio.sleep(0.3)
        member = self._rich_member()
        before = stage.observer.answers.total()
        stage.guests.tap(place, member)
        await eventually(lambda: stage.observer.answers.total() > before)
        price = money_text(Money(stage.plan.prices.rules[0].price[0].minor, UNIT))
        return f"{place.lane.name} is jammed. {member.name} tapped {price}: nothing was charged, and the page says why."

    async def clear(self) -> str:
        """Clear the jam."""
        if self._jam is None:
            return "No machine is jammed."
        self._stage.machines.say(f"{self._jam.machine_sim} clear")
        self._stage.guests.closed.discard(self._jam.number)
        name, self._jam = self._jam.lane.name, None
        return f"{name} takes credits again."

    async def _quiet(self, place: Place) -> None:
        """Keep guests away from a machine and wait until nothing moves there."""
        self._stage.guests.closed.add(place.number)
        await asyncio.sleep(1.5)

    def _coins_at(self, place: Place) -> int:
        """Return how many value events of a machine's acceptor are booked."""
        reader = LedgerReader(self._stage.folder.ledger)
        try:
            rows = reader.rows("SELECT sum(seq) FROM value_marks WHERE device = ?", (place.lane.acceptor,))
        finally:
            reader.close()
        return int(rows[0][0] or 0)

    def _rich_member(self) -> Member:
        return max(self._stage.plan.members, key=lambda member: member.balance)

    def _unsynced(self) -> int:
        reader = LedgerReader(self._stage.folder.ledger)
        try:
            sql = "SELECT (SELECT max(seq) FROM entries) - (SELECT value FROM meta WHERE key = 'acked_seq')"
            return int(reader.rows(sql)[0][0])
        finally:
            reader.close()
