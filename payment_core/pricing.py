"""Finding the price of a play: a pure function over a versioned list, which also says why."""

from typing import Final

import msgspec

from payment_core.money import Money

DAY_MINUTES: Final = 1_440
EVERY_DAY: Final = (1, 2, 3, 4, 5, 6, 7)


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Minutes of the venue's day on ISO weekdays (1 Monday); `from_minute` > `to_minute` runs across midnight.

    The weekday is that of the business date, so a Friday band from 22:00 to 02:00 ends on Saturday morning.
    """

    name: str
    from_minute: int
    to_minute: int
    weekdays: tuple[int, ...] = EVERY_DAY


class PriceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`price` in the order it is taken. Empty machine or zone: any. band: name of a band, empty: any time."""

    price: tuple[Money, ...]
    machine: str = ""
    zone: str = ""
    band: str = ""
    credits: int = 1
    tax_code: str = ""

    def __post_init__(self) -> None:
        if not self.price or any(full.minor < 0 for full in self.price) or self.credits < 1:
            message = "a rule needs a price, no amount below zero and at least one credit"
            raise ValueError(message)


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices of a venue. `no_clock_band`: the band that counts while the hub does not know the time."""

    version: int
    unit: str
    rules: tuple[PriceRule, ...]
    bands: tuple[Band, ...] = ()
    no_clock_band: str = ""


class Price(msgspec.Struct, frozen=True):
    """What a play costs and why. `why`: e.g. `machine racer-2, band happy`."""

    price: tuple[Money, ...]
    credits: int
    tax_code: str
    why: str

    def in_unit(self, unit: str) -> int:
        """Return the full price in `unit`, 0 where it cannot be paid in it: caps and coins look at money alone."""
        return sum(money.minor for money in self.price if money.unit == unit)

    @property
    def shown(self) -> Money:
        """What a page shows: the last alternative, which is the usual one."""
        return self.price[-1]


class LocalTime(msgspec.Struct, frozen=True):
    """The venue's wall clock: ISO weekday of the business date, minute of the calendar day."""

    weekday: int
    minute: int


def in_band(band: Band, local: LocalTime) -> bool:
    """Say whether a band counts at `local`."""
    if local.weekday not in band.weekdays:
        return False
    if band.from_minute <= band.to_minute:
        return band.from_minute <= local.minute < band.to_minute
    return local.minute >= band.from_minute or local.minute < band.to_minute


def find_price(prices: PriceList, *, machine: str, zone: str, local: LocalTime | None) -> Price | None:
    """Return the most specific price: machine before zone before venue, a band before none; then the list's order.

    `local` None: the hub does not know the time; then only `no_clock_band` counts.
    """
    if local is None:
        open_bands = {prices.no_clock_band} - {""}
    else:
        open_bands = {band.name for band in prices.bands if in_band(band, local)}
    best: PriceRule | None = None
    best_rank = -1
    for rule in prices.rules:
        if rule.machine not in ("", machine) or rule.zone not in ("", zone):
            continue
        if rule.band and rule.band not in open_bands:
            continue
        rank = 4 * bool(rule.machine) + 2 * bool(rule.zone) + bool(rule.band)
        if rank > best_rank:
            best, best_rank = rule, rank
    if best is None:
        return None
    return Price(price=best.price, credits=best.credits, tax_code=best.tax_code, why=_why(best))


def _why(rule: PriceRule) -> str:
    words = [f"machine {rule.machine}"] if rule.machine else []
    words += [f"zone {rule.zone}"] if rule.zone else []
    words += [f"band {rule.band}"] if rule.band else []
    return ", ".join(words) or "venue"
