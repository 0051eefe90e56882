"""Guests and accidents: who taps, who inserts coins, who pays in, and what breaks, all thrown with the seeded dice."""

from collections.abc import Callable
from typing import Final

from venuehub.simulator.bridge import Bridge
from venuehub.simulator.hub import Hub
from venuehub.simulator.office import COINS, Office, lanes
from venuehub.simulator.uplink import Uplink
from venuehub.simulator.world import World

_UNKNOWN_UID: Final = "04FFFFFFFFFFFF"


class Guests:
    """`act()` does one thing."""

    def __init__(self, world: World, hub: Hub, bridge: Bridge, office: Office, uplink: Uplink) -> None:
        self._world = world
        self._hub = hub
        self._bridge = bridge
        self._office = office
        self._uplink = uplink
        self._lanes = lanes()
        self._choices: tuple[tuple[int, Callable[[], None]], ...] = (
            (50, self._tap),
            (4, self._tap_twice),
            (3, self._tap_unknown),
            (25, self._coin),
            (8, self._pay_in),
            (2, self._kill_hub),
            (3, self._kill_bridge),
            (2, self._cut_line),
            (3, self._mend_line),
            (1, self._restart_worker),
        )

    def act(self) -> None:
        """Throw the dice and do it."""
        weights = [weight for weight, _act in self._choices]
        self._world.dice.choices(self._choices, weights)[0][1]()

    def _member(self) -> int:
        return self._world.dice.randrange(len(self._office.uids))

    def _tap(self) -> None:
        lane, member = self._world.dice.choice(self._lanes), self._member()
        self._world.note(f"guest: member {member} taps at {lane.id}")
        self._bridge.present_card(lane.reader, self._office.uids[member])

    def _tap_twice(self) -> None:
        lane, member = self._world.dice.choice(self._lanes), self._member()
        self._world.note(f"guest: member {member} taps twice at {lane.id}")
        self._bridge.present_card(lane.reader, self._office.uids[member])
        again = self._world.dice.choice((10, 200, 1_500))
        self._world.after(again, lambda: self._bridge.present_card(lane.reader, self._office.uids[member]))

    def _tap_unknown(self) -> None:
        self._world.note("guest: an unknown card taps")
        self._bridge.present_card(self._world.dice.choice(self._lanes).reader, _UNKNOWN_UID)

    def _coin(self) -> None:
        position = 9 if self._world.chance(0.03) else self._world.dice.choice(tuple(COINS))
        self._bridge.insert_coin(self._world.dice.choice(self._lanes).acceptor, position)

    def _pay_in(self) -> None:
        dice = self._world.dice
        # Members 0 and 1 never pay in: theirs are the empty accounts.
        member = dice.randrange(2, len(self._office.uids))
        self._office.pay_in(member, dice.choice((200, 500, 1_000)), lease=dice.random() < 0.5)  # noqa: PLR2004 - a coin

    def _kill_hub(self) -> None:
        self._hub.die(power_cut=self._world.dice.random() < 0.5)  # noqa: PLR2004 - a coin

    def _kill_bridge(self) -> None:
        self._bridge.die()

    def _cut_line(self) -> None:
        self._world.note("line: cut")
        self._uplink.cut = True
        self._hub.lose_link()

    def _mend_line(self) -> None:
        self._world.note("line: mended")
        self._uplink.cut = False

    def _restart_worker(self) -> None:
        self._uplink.down(self._office.restart())
