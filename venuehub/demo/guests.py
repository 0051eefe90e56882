"""The demo's guests: they tap, insert coins, tap twice, bring unknown cards and run out of money, all from a seed."""

import asyncio
import random
from typing import Final

from venuehub.demo.places import Member, Place
from venuehub.demo.plan import COIN_POSITION, UNKNOWN_CARDS, ArcadePlan
from venuehub.demo.processes import Child

TAP_MS: Final = 220
"""How long a card is held to the reader."""
OFF_MS: Final = 380
"""How long it is away before it is held on again at once; a reader forgets a card after 300 ms."""
BETWEEN_S: Final = 0.045
"""Mean time between two guests of the whole arcade."""
MACHINE_REST_S: Final = 1.5
"""A machine is left alone so long after a guest, as its reader would be in a real hall."""


class Guests:
    """Acts on the walls of simulated devices until told to stop."""

    def __init__(self, plan: ArcadePlan, *, readers: Child, acceptors: Child) -> None:
        self.taps = 0
        self.coins = 0
        self.closed: set[int] = set()
        """Machines nobody goes to: the one that is being jammed."""
        self._plan = plan
        self._readers = readers
        self._acceptors = acceptors
        self._dice = random.Random(plan.seed)  # noqa: S311 - a demo's guests, not a secret
        self._away_at: dict[str, float] = {}
        self._card_taps: dict[str, int] = {}
        self._free_at: dict[int, float] = {}
        self._loop = asyncio.get_running_loop()

    async def play(self, seconds: float) -> None:
        """Let guests come and go for so long."""
        end = self._loop.time() + seconds
        while self._loop.time() < end:
            self._one_guest()
            await asyncio.sleep(self._dice.uniform(0.4, 1.6) * BETWEEN_S)

    def _one_guest(self) -> None:
        place = self._free_place()
        if place is None:
            return
        chance = self._dice.random()
        if chance < 0.12:  # noqa: PLR2004 - shares of the guests
            self.insert_coins(place, 2)
        elif chance < 0.16:  # noqa: PLR2004
            self._tap(place, self._dice.choice(UNKNOWN_CARDS))
        elif chance < 0.24:  # noqa: PLR2004
            self.tap_twice(place, self._free_member())
        else:
            self.tap(place, self._free_member())

    def _free_place(self) -> Place | None:
        free = [place for place in self._plan.places if self.is_free(place)]
        return self._dice.choice(free) if free else None

    def is_free(self, place: Place) -> bool:
        """Say whether nobody is at a machine just now."""
        return place.number not in self.closed and self._free_at.get(place.number, 0.0) <= self._loop.time()

    def _free_member(self) -> Member:
        """Return a member who is not at another machine just now: a card is only in one place."""
        now = self._loop.time()
        free = [member for member in self._plan.members if self._away_at.get(member.card, 0.0) <= now]
        return self._dice.choice(free or self._plan.members)

    def tap(self, place: Place, member: Member) -> None:
        """One member taps once. A card that proves itself counts its taps, at whichever reader."""
        counter = self._card_taps[member.card] = self._card_taps.get(member.card, 0) + 1
        self._away_at[member.card] = self._loop.time() + MACHINE_REST_S
        keyed = member.card.startswith("ntag424:")
        self._tap(place, f"{member.card}:{counter}" if keyed else member.card)

    def tap_copy(self, place: Place, member: Member) -> None:
        """Somebody plays back what a member's card said at its first tap."""
        self._tap(place, f"{member.card}:0")

    def tap_twice(self, place: Place, member: Member) -> None:
        """A member holds the card on, takes it off and holds it on again at once."""
        self.tap(place, member)
        self._readers.say(f"{place.lane.reader} pause {OFF_MS}ms")
        self.tap(place, member)

    def insert_coins(self, place: Place, count: int) -> None:
        """Somebody without a card inserts coins."""
        self._rest(place)
        for _ in range(count):
            self._acceptors.say(f"{place.lane.acceptor} coin {COIN_POSITION}")
            self._acceptors.say(f"{place.lane.acceptor} pause 300ms")
            self.coins += 1

    def _tap(self, place: Place, card: str) -> None:
        self._rest(place)
        self._readers.say(f"{place.lane.reader} tap {card} for {TAP_MS}ms")
        self.taps += 1

    def _rest(self, place: Place) -> None:
        self._free_at[place.number] = self._loop.time() + MACHINE_REST_S
