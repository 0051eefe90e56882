"""One rule of a price list: what it names, what it costs, and how specific it is."""

from datetime import date
from typing import Final

import msgspec

from payment_core.money import MAX_MINOR, Money
from payment_core.price_calendar import DayKind, as_number

MAX_QUANTITY: Final = 10_000
MAX_PRICE: Final = MAX_MINOR // MAX_QUANTITY
"""The most one rule may ask for, so that no quantity of it is beyond what an amount holds."""


class PriceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`price` in the order it is taken, for `quantity` pieces; `credits` for each piece. What is empty means any.

    machine, item, zone, venue: where. machine_group: a name of the list's `machine_groups`. tier, group: the guest's.
    days: kinds of day. band: name of a band. valid_from, valid_to: business dates, both included.
    quantity: the rule counts from so many pieces on, at the same rate, rounded down. asks: the machine names the price
    (a vending machine), and `price` is the most it may ask; such a rule counts only where a machine asks.
    """

    price: tuple[Money, ...]
    machine: str = ""
    zone: str = ""
    band: str = ""
    credits: int = 1
    tax_code: str = ""
    item: str = ""
    machine_group: str = ""
    venue: str = ""
    tier: str = ""
    group: str = ""
    days: tuple[DayKind, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    quantity: int = 1
    asks: bool = False

    def __post_init__(self) -> None:
        if not self.price or any(full.minor < 0 for full in self.price) or self.credits < 1:
            message = "a rule needs a price, no amount below zero and at least one credit"
            raise ValueError(message)
        if any(full.minor > MAX_PRICE for full in self.price):
            message = f"no price is above {MAX_PRICE} minor units"
            raise ValueError(message)
        if len({full.unit for full in self.price}) < len(self.price):
            message = "a price names each unit once, with the full price in that unit"
            raise ValueError(message)
        if self.asks and (len(self.price) > 1 or self.credits > 1 or self.quantity > 1):
            message = "where the machine asks, the rule has one unit, one credit and no quantity"
            raise ValueError(message)
        if not 1 <= self.quantity <= MAX_QUANTITY:
            message = f"quantity is 1 to {MAX_QUANTITY} pieces"
            raise ValueError(message)


class Dimension(msgspec.Struct, frozen=True):
    """Something a rule may name. `claim`: what is said for a rule that names it where another does not."""

    name: str
    claim: str


DIMENSIONS: Final = (
    Dimension("machine", "it names the machine"),
    Dimension("item", "it names the item"),
    Dimension("machine_group", "it names the machine's group"),
    Dimension("zone", "it names the zone"),
    Dimension("venue", "it names the venue"),
    Dimension("tier", "it names the guest's tier"),
    Dimension("group", "it names the guest's group"),
    Dimension("days", "it names the kind of day"),
    Dimension("band", "it names a band"),
    Dimension("dates", "it is valid for dates, or from a later one"),
    Dimension("quantity", "it is for more pieces"),
)
"""Most telling first: place before guest, guest before time, time before quantity. The first that differs decides."""

Rank = tuple[int, ...]


def rank_of(rule: PriceRule) -> Rank:
    """Return how specific a rule is, one number a dimension; the larger tuple goes before."""
    return (
        int(bool(rule.machine)),
        int(bool(rule.item)),
        int(bool(rule.machine_group)),
        int(bool(rule.zone)),
        int(bool(rule.venue)),
        int(bool(rule.tier)),
        int(bool(rule.group)),
        int(bool(rule.days)),
        int(bool(rule.band)),
        as_number(rule.valid_from) if rule.valid_from else int(bool(rule.valid_to)),
        rule.quantity,
    )


def claim_over(winner: Rank, loser: Rank) -> str:
    """Return why one rule goes before another."""
    for dimension, mine, other in zip(DIMENSIONS, winner, loser, strict=True):
        if mine != other:
            return dimension.claim
    return "as specific, but it stands first in the list"


def words_of(rule: PriceRule) -> str:
    """Return what a rule names, e.g. `machine racer-2, band happy`; `venue` for one that names nothing."""
    named = (
        ("machine", rule.machine),
        ("item", rule.item),
        ("machine group", rule.machine_group),
        ("zone", rule.zone),
        ("venue", rule.venue),
        ("tier", rule.tier),
        ("group", rule.group),
        ("days", " or ".join(rule.days)),
        ("band", rule.band),
        ("from", rule.valid_from.isoformat() if rule.valid_from else ""),
        ("to", rule.valid_to.isoformat() if rule.valid_to else ""),
        ("quantity", str(rule.quantity) if rule.quantity > 1 else ""),
    )
    return ", ".join(f"{name} {value}" for name, value in named if value) or "venue"
