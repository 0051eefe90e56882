"""Finding a price: a pure function over a versioned list, which also says why this rule and not another.

docs/prices.md has the whole of it. Words of the calendar and of a rule are taken from here too.
"""

from functools import cached_property
from typing import Final, Literal

import msgspec

from payment_core.money import Money
from payment_core.price_calendar import (
    DAY_MINUTES,
    EVERY_DAY,
    NO_CALENDAR,
    Band,
    Calendar,
    DayKind,
    EffectiveAt,
    LocalTime,
    in_band,
    local_time,
)
from payment_core.price_index import Asked, PriceIndex, Ranked
from payment_core.price_rule import MAX_QUANTITY, PriceRule, claim_over, words_of

__all__ = [
    "DAY_MINUTES", "EVERY_DAY", "Band", "Calendar", "DayKind", "EffectiveAt", "LocalTime", "Price", "PriceList",
    "PriceRule", "Rounding", "Tax", "find_price", "in_band", "local_time", "tax_in",
]  # fmt: skip

REASONS_KEPT: Final = 8
"""Rules that were beaten and are named; a tap must not get slower where very many rules count at once."""
WHOLE_RATE: Final = 100_000
"""A hundred percent in thousandths of a percent."""


class Tax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tax that a price includes. milli_percent: thousandths of a percent, 6000 is 6 %, 8875 is 8.875 %."""

    milli_percent: int
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.milli_percent <= WHOLE_RATE:
            message = f"milli_percent is 0 to {WHOLE_RATE}: thousandths of a percent, 6000 is 6 %"
            raise ValueError(message)


class Rounding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a price is paid in cash: a multiple of `step` minor units. nearest: half a step goes down, for the guest."""

    step: int
    how: Literal["down", "nearest", "up"] = "down"

    def __post_init__(self) -> None:
        if self.step < 1:
            message = "step is at least 1 minor unit of the currency, e.g. 1000 where the smallest note is 1,000 VND"
            raise ValueError(message)

    def applied(self, minor: int) -> int:
        """Return the sum in cash."""
        below, rest = divmod(minor, self.step)
        up = {"down": False, "nearest": 2 * rest > self.step, "up": rest > 0}[self.how]
        return (below + up) * self.step


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """All prices of a venue, in whole minor units. `no_clock_band`: the band that counts while the time is not known.

    machine_groups: name -> machines. taxes: tax code -> what is in the price. cash: how the currency is rounded in
    cash. `unit`: the venue's currency; some have no minor units, and 20000 VND is written 20000.
    effective_at: from when on it counts; who sends it puts that on the letter.
    """

    version: int
    unit: str
    rules: tuple[PriceRule, ...]
    bands: tuple[Band, ...] = ()
    no_clock_band: str = ""
    machine_groups: dict[str, tuple[str, ...]] = {}
    taxes: dict[str, Tax] = {}
    cash: Rounding | None = None
    effective_at: EffectiveAt | None = None

    @cached_property
    def index(self) -> "PriceIndex[Price]":
        """The rules, quick to ask; built once."""
        return PriceIndex(
            self.rules, bands=self.bands, no_clock_band=self.no_clock_band, machine_groups=self.machine_groups
        )


class Price(msgspec.Struct, frozen=True):
    """What is asked for costs `price` in all, and why. `why`: e.g. `machine racer-2, band happy`.

    asks: the machine names what is due; until it has, `price` is the most it may ask.
    rule: its number in the list, from 1. reasons: the rule, then which others it went before and why. tax: minor units
    of the currency that the full price includes. cash: what is due in cash; None where money cannot buy it.
    """

    price: tuple[Money, ...]
    credits: int
    tax_code: str
    why: str
    rule: int = 0
    reasons: tuple[str, ...] = ()
    quantity: int = 1
    tax: int | None = None
    cash: Money | None = None
    asks: bool = False

    def in_unit(self, unit: str) -> int:
        """Return the full price in `unit`, 0 where it cannot be paid in it: caps and coins look at money alone."""
        minor = 0
        for money in self.price:  # asked many times a tap: a loop is faster than sum() over a generator
            if money.unit == unit:
                minor += money.minor
        return minor

    @property
    def shown(self) -> Money:
        """What a page shows: the last alternative, which is the usual one."""
        return self.price[-1]


def find_price(  # noqa: PLR0913 - each is a fact of the sale, and most have a default
    prices: PriceList,
    *,
    machine: str,
    zone: str,
    local: LocalTime | None,
    machine_group: str = "",
    item: str = "",
    venue: str = "",
    tier: str = "",
    group: str = "",
    quantity: int = 1,
    calendar: Calendar | None = None,
) -> Price | None:
    """Return the price by the most specific rule (price_rule.DIMENSIONS), of equals the first in the list, or None.

    machine_group: what the lane says; the list's own `machine_groups` count too. tier, group: the guest's. `local`
    None: the hub does not know the time; then only `no_clock_band` counts, and no rule that names a kind of day or a
    date. `calendar` None: a day is what its weekday says.
    """
    answers = prices.index.answers(local, calendar or NO_CALENDAR)
    key = (machine, zone, machine_group, item, venue, tier, group, quantity)
    known = answers.get(key)
    if known is None:
        assert 1 <= quantity <= MAX_QUANTITY
        asked = Asked(machine, zone, machine_group, item, venue, tier, group, quantity)
        found = prices.index.find(asked, local)
        known = answers[key] = (_price_by(prices, found, quantity, clock=local is not None) if found else None,)
    return known[0]


def _price_by(prices: PriceList, found: list[Ranked], quantity: int, *, clock: bool) -> Price:
    rule = found[0].rule
    price = tuple(Money(full.minor * quantity // rule.quantity, full.unit) for full in rule.price)
    due = next((full.minor for full in price if full.unit == prices.unit), None)
    cash = due if due is None or prices.cash is None else prices.cash.applied(due)
    tax = prices.taxes.get(rule.tax_code)
    return Price(
        price=price,
        credits=rule.credits * quantity,
        tax_code=rule.tax_code,
        why=words_of(rule),
        rule=found[0].number,
        reasons=_reasons(found, clock=clock),
        quantity=quantity,
        tax=tax_in(due, tax.milli_percent) if due is not None and tax is not None else None,
        cash=Money(cash, prices.unit) if cash is not None and not rule.asks else None,
        asks=rule.asks,
    )


def asked_price(price: Price, amount: int) -> Price:
    """Return what is due where a machine asked for `amount`: never more than the most it may ask, one credit."""
    if not price.asks:
        return price
    most = price.price[0]
    due = Money(min(amount, most.minor), most.unit)
    reasons = (*price.reasons, f"the machine asked {amount} {most.unit}, it may ask {most.minor}")
    return msgspec.structs.replace(price, price=(due,), tax=None, reasons=reasons)


def _reasons(found: list[Ranked], *, clock: bool) -> tuple[str, ...]:
    winner, *beaten = found
    told = [f"rule {winner.number}: {words_of(winner.rule)}"]
    if not clock:
        told.append("the time is not known: of all bands only no_clock_band counts")
    told += [
        f"before rule {loser.number} ({words_of(loser.rule)}): {claim_over(winner.rank, loser.rank)}"
        for loser in beaten[:REASONS_KEPT]
    ]
    if len(beaten) > REASONS_KEPT:
        told.append(f"and before {len(beaten) - REASONS_KEPT} more")
    return tuple(told)


def tax_in(gross: int, milli_percent: int) -> int:
    """Return the tax included in `gross` minor units, rounded to a whole one, half up."""
    return (2 * gross * milli_percent + WHOLE_RATE + milli_percent) // (2 * (WHOLE_RATE + milli_percent))
