"""What an operator should know of a price list before it counts: rules that never count, and rules that meet.

A hub takes a list with such rules, for it can decide by them; who writes one is told.
"""

from collections.abc import Collection, Mapping
from typing import Final, Literal

import msgspec

from payment_core.policy import Lane
from payment_core.price_calendar import DAY_MINUTES, Band, minutes_of
from payment_core.price_index import Ranked
from payment_core.price_rule import PriceRule, words_of
from payment_core.pricing import PriceList, find_price

PROBLEMS_TOLD: Final = 100
"""A list with more is told so; nobody reads further."""

ProblemKind = Literal["unknown_name", "unreachable", "ambiguous", "split_band", "free_in_cash", "no_price", "truncated"]
Overlap = Literal["no", "meets", "covers"]


class Problem(msgspec.Struct, frozen=True):
    """Something to look at. key: where, as people count (`rule 3`, `band "late"`); remedy: what to do about it."""

    kind: ProblemKind
    key: str
    text: str
    remedy: str


def check_prices(prices: PriceList, *, cutoff_minute: int) -> tuple[Problem, ...]:
    """Return what is odd about a list: names that nothing has, rules that never count, rules that only order tells.

    `cutoff_minute`: of the venue's day; a band on some weekdays that contains it is cut in two.
    """
    minutes = {band.name: minutes_of(prices.bands, band.name) for band in prices.bands}
    problems = _names(prices) + _bands(prices, cutoff_minute) + _cash(prices) + _pairs(prices, minutes)
    if len(problems) > PROBLEMS_TOLD:
        more = Problem("truncated", "the list", f"not told: {len(problems) - PROBLEMS_TOLD} more", "mend these first")
        problems = [*problems[:PROBLEMS_TOLD], more]
    return tuple(problems)


def check_lanes(prices: PriceList, lanes: Collection[Lane], asking: Collection[str]) -> tuple[Problem, ...]:
    """Return the lanes that sell nothing by a list, as far as place alone tells; `asking`: ids of those that vend.

    A machine that names its prices sells by a rule with `asks` only, and every other by one without.
    """
    problems = []
    for lane in lanes:
        asks = lane.id in asking
        found = find_price(prices, machine=lane.machine, zone=lane.zone, machine_group=lane.group, local=None)
        may_count = [found] if found else [rule for rule in prices.rules if _is_for(prices, rule, lane)]
        if any(one.asks == asks for one in may_count):
            continue
        text = f"rule {found.rule} ({found.why}) counts there" if found else "no rule counts there"
        mine = "its machine names its prices" if asks else "its machine names no prices"
        remedy = f'add a rule with machine = "{lane.machine}" and {"" if asks else "without "}asks = true'
        problems.append(Problem("no_price", f'lane "{lane.id}"', f"{mine}, and {text}: it sells nothing", remedy))
    return tuple(problems[:PROBLEMS_TOLD])


def _is_for(prices: PriceList, rule: PriceRule, lane: Lane) -> bool:
    """Say whether a rule may count at a lane at some time, for somebody."""
    in_group = lane.group == rule.machine_group or lane.machine in prices.machine_groups.get(rule.machine_group, ())
    return (
        rule.machine in ("", lane.machine)
        and rule.zone in ("", lane.zone)
        and (not rule.machine_group or in_group)
        and not rule.item
    )


def _key(ranked: Ranked) -> str:
    return f"rule {ranked.number}"


def _names(prices: PriceList) -> list[Problem]:
    """Return the rules that name what the list does not have."""
    bands = {band.name for band in prices.bands} | {prices.no_clock_band}
    used = {rule.band for rule in prices.rules}
    problems = []
    for number, rule in enumerate(prices.rules, start=1):
        key = f"rule {number}"
        if rule.band and rule.band not in bands:
            text = f"names the band {rule.band!r}, which the list does not have: the rule never counts"
            problems.append(Problem("unknown_name", key, text, f"add [[bands]] with name = {rule.band!r}"))
        if rule.machine_group and prices.machine_groups and rule.machine_group not in prices.machine_groups:
            text = (
                f"names the machine group {rule.machine_group!r}, which the list does not have: only lanes may name it"
            )
            problems.append(Problem("unknown_name", key, text, f"add {rule.machine_group!r} to [machine_groups]"))
        if rule.tax_code and prices.taxes and rule.tax_code not in prices.taxes:
            text = f"names the tax code {rule.tax_code!r}, which has no rate: its tax is not known"
            problems.append(Problem("unknown_name", key, text, f"add [taxes.{rule.tax_code}] with milli_percent"))
        if rule.valid_from and rule.valid_to and rule.valid_from > rule.valid_to:
            text = f"is valid from {rule.valid_from} to {rule.valid_to}, which is before: the rule never counts"
            problems.append(Problem("unreachable", key, text, "exchange valid_from and valid_to"))
    if prices.no_clock_band and prices.no_clock_band not in used:
        text = f"names {prices.no_clock_band!r}, which no rule has"
        remedy = "name a band that rules have, or leave it out: then only rules without a band count"
        problems.append(Problem("unknown_name", "no_clock_band", text, remedy))
    return problems


def _bands(prices: PriceList, cutoff_minute: int) -> list[Problem]:
    """Return the bands on some weekdays that the change of the business date cuts in two."""
    return [
        Problem(
            "split_band",
            f'band "{band.name}"',
            f"contains {cutoff_minute // 60:02}:{cutoff_minute % 60:02}, where the business date changes: what is "
            "before it belongs to the weekday before",
            "make two bands of the same name, one to each side",
        )
        for band in prices.bands
        if len(set(band.weekdays)) < 7 and _cut_inside(band, cutoff_minute)  # noqa: PLR2004 - days of a week
    ]


def _cut_inside(band: Band, cutoff_minute: int) -> bool:
    """Say whether the cut-off lies within a band, not at one of its ends. Midnight is an end of no band across it."""
    length = (band.to_minute - band.from_minute) % DAY_MINUTES or DAY_MINUTES
    whole_day = length == DAY_MINUTES
    return not whole_day and 0 < (cutoff_minute - band.from_minute) % DAY_MINUTES < length


def _cash(prices: PriceList) -> list[Problem]:
    if prices.cash is None:
        return []
    return [
        Problem("free_in_cash", f"rule {number}", f"{full.minor} {full.unit} is rounded to nothing in cash",
                f"choose a price of at least {prices.cash.step}, or a smaller cash.step")
        for number, rule in enumerate(prices.rules, start=1)
        for full in rule.price
        if full.unit == prices.unit and full.minor and not prices.cash.applied(full.minor)
    ]  # fmt: skip


def _pairs(prices: PriceList, minutes: Mapping[str, int]) -> list[Problem]:
    """Return rules that another always goes before, and pairs of equal rank that can both count."""
    peers: dict[tuple[object, ...], list[Ranked]] = {}
    problems = []
    for ranked in prices.index.ranked:
        rule = ranked.rule
        alike = (ranked.rank, rule.machine, rule.item, rule.zone, rule.venue, rule.tier, rule.group)
        earlier = peers.setdefault(alike, [])
        problems += _meets(prices, ranked, earlier, minutes)
        earlier.append(ranked)
    return problems


def _meets(prices: PriceList, ranked: Ranked, earlier: list[Ranked], minutes: Mapping[str, int]) -> list[Problem]:
    """Return how a rule meets those of the same rank before it; being covered by one says it all."""
    ambiguous = []
    for first in earlier:
        overlap = _overlap(prices, first, ranked, minutes)
        if overlap == "covers":
            text = f"never counts: rule {first.number} ({words_of(first.rule)}) counts whenever it would"
            return [Problem("unreachable", _key(ranked), text, "remove it, put it before, or name more in it")]
        if overlap == "meets" and _due(first.rule) != _due(ranked.rule):
            text = (
                f"is as specific as rule {first.number} ({words_of(first.rule)}) and can count with it: the first wins"
            )
            remedy = "name more in the one that shall win, or part their bands, days or machines"
            ambiguous.append(Problem("ambiguous", _key(ranked), text, remedy))
    return ambiguous


def _due(rule: PriceRule) -> tuple[object, ...]:
    return rule.price, rule.credits, rule.asks


def _overlap(prices: PriceList, first: Ranked, second: Ranked, minutes: Mapping[str, int]) -> Overlap:
    """Say whether `first` counts whenever `second` does (covers), sometimes together with it (meets), or never."""
    if first.first_day > first.last_day or second.first_day > second.last_day:
        return "no"
    one, two = first.rule, second.rule
    groups = prices.machine_groups
    sides = {
        _side(set(groups.get(one.machine_group, ())), set(groups.get(two.machine_group, ()))),
        _side(set(one.days), set(two.days)),
        _bands_meet(one.band, two.band, minutes, prices.no_clock_band),
        "covers" if first.last_day >= second.last_day else "meets",  # of one rank: both begin on the same day
    }
    for weaker in ("no", "meets"):
        if weaker in sides:
            return weaker
    return "covers"


def _side(first: set[str], second: set[str]) -> Overlap:
    """Compare what two rules of one rank name; neither names anything: both take all."""
    if second <= first:
        return "covers"
    return "meets" if first & second else "no"


def _bands_meet(first: str, second: str, minutes: Mapping[str, int], no_clock_band: str) -> Overlap:
    """Compare two bands by their minutes; without a clock only one of two counts."""
    if first == second:
        return "covers"
    one, two = minutes.get(first, 0), minutes.get(second, 0)
    if not one & two:
        return "no"
    return "meets" if two & ~one or second == no_clock_band else "covers"
