"""The actions of a run: drawn beforehand from the seed alone, so that any of them can be left out."""

import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from venuehub.simulator.faults import FAULTS
from venuehub.simulator.guests import GUESTS
from venuehub.simulator.plan import LANES, VenuePlan
from venuehub.simulator.venue import Venue

_PAUSES_MS: Final = (0, 0, 2, 5, 5, 10, 10, 20, 40)
_REST_SHARE: Final = 0.004
_RESTS_MS: Final = (700, 2_500, 5_000, 11_000)
_FAULT_SHARE: Final = 0.025


class Action(msgspec.Struct, frozen=True, array_like=True):
    """One step: somebody does something at a hub, or something breaks there; then `pause_ms` pass."""

    number: int
    kind: str
    hub: int
    account: int
    lane: int
    luck: int
    pause_ms: int

    def __str__(self) -> str:
        """Say it in a line of a trace."""
        return f"step {self.number}: {self.kind} at hub {self.hub}, account {self.account}, lane {self.lane}"


def draw_actions(seed: int, *, steps: int, plan: VenuePlan, faults: Sequence[str]) -> list[Action]:
    """Draw `steps` actions. Guests roam: each stands at one hub until the dice send it on."""
    dice = random.Random(f"actions of {seed}")
    stands = [dice.randrange(plan.hubs) for _account in range(plan.accounts)]
    kinds, weights = list(GUESTS), [guest.weight for guest in GUESTS.values()]
    broken, chances = list(faults), [FAULTS[name].weight for name in faults]
    drawn = dice.choices(kinds, weights, k=steps)
    actions = []
    for number, kind in enumerate(drawn):
        account = dice.randrange(plan.accounts)
        hub, name = stands[account], kind
        if broken and dice.random() < _FAULT_SHARE:
            name, hub = dice.choices(broken, chances)[0], dice.randrange(plan.hubs)
        elif kind == "roam":
            hub = stands[account] = dice.randrange(plan.hubs)
        pause_ms = dice.choice(_RESTS_MS if dice.random() < _REST_SHARE else _PAUSES_MS)
        actions.append(Action(number, name, hub, account, dice.randrange(LANES), dice.getrandbits(16), pause_ms))
    return actions


def carry_out(venue: Venue, action: Action) -> None:
    """Do one thing."""
    venue.world.begin_action(action.number)
    venue.world.note(str(action))
    fault = FAULTS.get(action.kind)
    if fault is not None:
        fault.strike(venue, action.hub)
    else:
        GUESTS[action.kind].act(venue, action)


Carry = Callable[[Venue, Action], None]
