"""Cards used at two places closer in time than the way between them: impossible travel (TOK-6). Pure."""

from collections.abc import Callable

import msgspec

from back_office.risk.rule import MINUTE_MS, TravelRule, Ways
from back_office.store.card_uses import CardUse, Mark

KIND = "travel"


class Leap(msgspec.Struct, frozen=True):
    """One card at two hubs, in order of their clocks, and the minutes that the way takes."""

    before: CardUse
    after: CardUse
    minutes: int

    @property
    def mark(self) -> Mark:
        """What the alarm is about: the card and the two hubs, whichever came first."""
        places = sorted((self.before.hub_id.hex(), self.after.hub_id.hex()))
        return Mark(KIND, self.after.credential_id, "+".join(places))


class Travels:
    """Hears uses in order of their clocks and keeps, per card, hub and quality of clock, only the last one.

    Of all uses before this one at another hub, the last is the nearest in time; an earlier one by a better clock may
    prove what a later one cannot, so one of each quality is kept.
    """

    def __init__(self, rule: TravelRule, ways: Ways, is_new: Callable[[CardUse], bool]) -> None:
        """Take the rule; `is_new`: of two uses at least one must be, the others were judged when they came."""
        self._rule = rule
        self._ways = ways
        self._is_new = is_new
        self._last: dict[bytes, dict[tuple[bytes, int], CardUse]] = {}
        self.leaps: dict[Mark, Leap] = {}

    def hear(self, use: CardUse) -> None:
        """Judge one use against what was heard before it."""
        if self._rule.wrong_by_ms(use.quality) is None:
            return
        seen = self._last.setdefault(use.credential_id, {})
        for (hub_id, _quality), before in seen.items():
            if hub_id == use.hub_id or not (self._is_new(use) or self._is_new(before)):
                continue
            minutes = self._ways.minutes(hub_id, use.hub_id)
            if self._too_fast(before, use, minutes):
                leap = Leap(before, use, minutes)
                self.leaps.setdefault(leap.mark, leap)
        seen[use.hub_id, use.quality] = use

    def _too_fast(self, before: CardUse, after: CardUse, minutes: int) -> bool:
        """Say whether even clocks as wrong as they may be leave less time than the way takes."""
        wrong = [self._rule.wrong_by_ms(use.quality) for use in (before, after)]
        at_most_ms = after.wall_ms - before.wall_ms + sum(each for each in wrong if each is not None)
        return at_most_ms < minutes * MINUTE_MS
