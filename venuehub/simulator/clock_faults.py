"""A hub's wall clock jumps, and comes right again after a while."""

from typing import Final

from payment_core.journal import TimeQuality
from venuehub.simulator.venue import Venue
from venuehub.simulator.world import START_WALL_MS

_DAY_MS: Final = 24 * 3_600_000
_FOR_MS: Final = (500, 8_000)


def jump_forward(venue: Venue, hub: int) -> None:
    """Jump ahead by a minute, a day or more than a year."""
    dice = venue.world.dice
    _jump(venue, hub, "clock-forward", dice.choice((60_000, _DAY_MS, 400 * _DAY_MS)), TimeQuality.HELD)


def jump_back(venue: Venue, hub: int) -> None:
    """Jump back by a minute, a day or more than a year."""
    dice = venue.world.dice
    _jump(venue, hub, "clock-back", -dice.choice((60_000, _DAY_MS, 400 * _DAY_MS)), TimeQuality.HELD)


def jump_to_1970(venue: Venue, hub: int) -> None:
    """Wake up in 1970, as a Pi without a battery does."""
    _jump(venue, hub, "clock-1970", -START_WALL_MS, TimeQuality.NONE)


def _jump(venue: Venue, hub: int, fault: str, by_ms: int, quality: TimeQuality) -> None:
    venue.world.happened[fault] += 1
    venue.world.note(f"hub {hub}: its clock jumps by {by_ms} ms")
    clock = venue.hubs[hub].clock
    clock.offset_ms, clock.quality = by_ms, quality
    venue.world.after(venue.world.dice.randrange(*_FOR_MS), clock.mend)
