"""A price list made quick to ask: its rules by place and in order of rank, and the answers that count now.

Built once per list. Time matters only by the bands that are open, the kind of day and the dates of rules: while these
stay as they are, an answer is kept. What is answered never depends on what was asked before.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from payment_core.price_calendar import Band, Calendar, DayKind, LocalTime, as_number, day_kind, open_bands
from payment_core.price_rule import PriceRule, Rank, rank_of

ANSWERS_KEPT: Final = 4_096
"""Lanes times tiers times quantities of a large hall; beyond it all are forgotten and found again."""
_NO_END: Final = 99_999_999

Answer = TypeVar("Answer")
Key = tuple[str, str, str, str, str, str, str, int]
"""What was asked: machine, zone, machine_group, item, venue, tier, group, quantity."""


class Asked(msgspec.Struct, frozen=True):
    """What a price is asked for. Empty: not known, or does not apply; only rules that do not name it count.

    machine_group: the one that the lane names; the list may know more.
    """

    machine: str
    zone: str
    machine_group: str
    item: str
    venue: str
    tier: str
    group: str
    quantity: int


class Slot(msgspec.Struct, frozen=True):
    """All that a time means to a list. dates: how many of its dates are past, -1 where the date is not known."""

    bands: frozenset[str]
    kind: DayKind | None
    dates: int
    clock: bool


class Ranked(msgspec.Struct, frozen=True):
    """A rule with its number in the list (from 1), its rank, and its dates as yyyymmdd."""

    rule: PriceRule
    number: int
    rank: Rank
    first_day: int
    last_day: int

    @property
    def dated(self) -> bool:
        """Say whether it is valid on some dates only."""
        return self.first_day > 0 or self.last_day < _NO_END


class PriceIndex(Generic[Answer]):
    """The rules of one list. Ask `answers` first, then `find` what is not there: the winner stands first."""

    def __init__(
        self,
        rules: Sequence[PriceRule],
        *,
        bands: Sequence[Band],
        no_clock_band: str,
        machine_groups: Mapping[str, Sequence[str]],
    ) -> None:
        self.ranked = _in_order(rules)
        self._by_place: dict[tuple[str, str], list[int]] = {}
        for position, ranked in enumerate(self.ranked):
            self._by_place.setdefault(_place_of(ranked.rule), []).append(position)
        self._groups_of: dict[str, set[str]] = {}
        for group, machines in machine_groups.items():
            for machine in machines:
                self._groups_of.setdefault(machine, set()).add(group)
        self._places: dict[tuple[str, ...], tuple[Ranked, ...]] = {}
        self._bands = tuple(bands)
        self._no_clock_band = no_clock_band
        self._dates = sorted({ranked.first_day for ranked in self.ranked} | {one.last_day + 1 for one in self.ranked})
        self._asked_at: tuple[LocalTime | None, Calendar] | None = None
        self.slot = Slot(frozenset(), None, -1, clock=False)
        self._answers: dict[Key, tuple[Answer | None]] = {}

    def answers(self, local: LocalTime | None, calendar: Calendar) -> dict[Key, tuple[Answer | None]]:
        """Return the answers that count now, by what was asked; it is the caller who adds to them."""
        asked_at = self._asked_at
        if asked_at is None or asked_at[1] is not calendar or (local is not asked_at[0] and local != asked_at[0]):
            self._asked_at = (local, calendar)
            slot = self._slot(local, calendar)
            if slot != self.slot:
                self.slot = slot
                self._answers = {}
        if len(self._answers) >= ANSWERS_KEPT:
            self._answers = {}
        return self._answers

    def _slot(self, local: LocalTime | None, calendar: Calendar) -> Slot:
        bands = open_bands(self._bands, local, no_clock_band=self._no_clock_band)
        dates = bisect_right(self._dates, local.date) if local is not None and local.date else -1
        return Slot(bands, day_kind(calendar, local), dates, clock=local is not None)

    def find(self, asked: Asked, local: LocalTime | None) -> list[Ranked]:
        """Return the rules that count for what is asked now, the most specific first. `answers` was told the time."""
        day = local.date if local is not None else 0
        kind, bands = self.slot.kind, self.slot.bands
        return [
            ranked
            for ranked in self._at_place(asked)
            if ranked.rule.tier in ("", asked.tier)
            and ranked.rule.group in ("", asked.group)
            and ranked.rule.quantity <= asked.quantity
            and (not ranked.rule.days or kind in ranked.rule.days)
            and (not ranked.rule.band or ranked.rule.band in bands)
            and (not ranked.dated or (day and ranked.first_day <= day <= ranked.last_day))
        ]

    def _at_place(self, asked: Asked) -> tuple[Ranked, ...]:
        key = (asked.machine, asked.zone, asked.machine_group, asked.item, asked.venue)
        found = self._places.get(key)
        if found is None:
            if len(self._places) >= ANSWERS_KEPT:
                self._places.clear()
            found = self._places[key] = self._look_up(asked)
        return found

    def _look_up(self, asked: Asked) -> tuple[Ranked, ...]:
        groups = self._groups_of.get(asked.machine, set()) | {asked.machine_group} - {""}
        keys = {("machine", asked.machine), ("item", asked.item), ("zone", asked.zone), ("", "")}
        keys |= {("machine_group", group) for group in groups}
        positions = sorted(position for key in keys for position in self._by_place.get(key, ()))
        return tuple(
            ranked
            for ranked in (self.ranked[position] for position in positions)
            if ranked.rule.machine in ("", asked.machine)
            and ranked.rule.item in ("", asked.item)
            and (not ranked.rule.machine_group or ranked.rule.machine_group in groups)
            and ranked.rule.zone in ("", asked.zone)
            and ranked.rule.venue in ("", asked.venue)
        )


def _in_order(rules: Sequence[PriceRule]) -> tuple[Ranked, ...]:
    """Return the rules, the most specific first; of equals the one that stands first in the list."""
    ranked = [
        Ranked(
            rule,
            number,
            rank_of(rule),
            as_number(rule.valid_from) if rule.valid_from else 0,
            as_number(rule.valid_to) if rule.valid_to else _NO_END,
        )
        for number, rule in enumerate(rules, start=1)
    ]
    return tuple(sorted(ranked, key=lambda one: one.rank, reverse=True))  # stable: reverse keeps equals in their order


def _place_of(rule: PriceRule) -> tuple[str, str]:
    """Return the one place under which a rule is kept: what is asked for has few of them, a list may have many."""
    for name in ("machine", "item", "machine_group", "zone"):
        value = getattr(rule, name)
        if value:
            return name, value
    return "", ""
