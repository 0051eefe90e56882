"""What a play at a lane costs, by which list, and which lower price was on the lane's page a moment ago.

A price shown is honoured for 30 s. It lives in memory: what was shown before a restart is not remembered, for the page
is shown anew then.
"""

from typing import Final

import msgspec

from payment_core.policy import Lane
from payment_core.price_calendar import Calendar
from payment_core.pricing import LocalTime, Price, PriceList, find_price
from payment_core.records import ListStamp

HONOURED_MS: Final = 30_000
SHOWN_KEPT: Final = 8
"""Prices of one lane within the last 30 s; a list and a band may change at once, hardly more."""


class Quote(msgspec.Struct, frozen=True):
    """A price, and the list it comes from. honoured: it is not today's, but what the page had shown."""

    price: Price
    stamp: ListStamp
    honoured: bool = False


class Tariff(msgspec.Struct, frozen=True):
    """The price list in force."""

    prices: PriceList
    stamp: ListStamp

    def quote(
        self, lane: Lane, local: LocalTime | None, *, calendar: Calendar, venue: str, tier: str = "", group: str = ""
    ) -> Quote | None:
        """Return what a play at a lane costs a guest of this tier and group now, or None."""
        price = find_price(
            self.prices, machine=lane.machine, zone=lane.zone, machine_group=lane.group, local=local, tier=tier,
            group=group, venue=venue, calendar=calendar,
        )  # fmt: skip
        return Quote(price, self.stamp) if price is not None else None


class _Shown(msgspec.Struct):
    """A price on a lane's page; until_ms: when another took its place (boottime), None while it stands there."""

    quote: Quote | None
    until_ms: int | None = None


class ShownPrices:
    """What the lanes' pages show and showed, by the clock that does not jump (boottime ms)."""

    def __init__(self) -> None:
        self._lanes: dict[str, list[_Shown]] = {}

    def note(self, lane: str, quote: Quote | None, boottime_ms: int) -> None:
        """A lane's page now shows this price, or none."""
        shown = self._lanes.setdefault(lane, [])
        if shown:
            if shown[-1].quote == quote:
                return
            shown[-1].until_ms = boottime_ms
        shown.append(_Shown(quote))
        del shown[:-SHOWN_KEPT]

    def price(self, lane: str) -> int | None:
        """Return what stands on a lane's page (minor units, 0: no price), None where nothing does yet."""
        shown = self._lanes.get(lane)
        if not shown:
            return None
        return shown[-1].quote.price.shown.minor if shown[-1].quote else 0

    def forget(self) -> None:
        """The lanes have changed."""
        self._lanes.clear()

    def best(self, lane: str, quote: Quote | None, boottime_ms: int) -> Quote | None:
        """Return what a tap pays: the lowest of `quote` and all that the page showed within the last 30 s."""
        for shown in self._lanes.get(lane, ()):
            known, stands = shown.quote, shown.until_ms is None
            if known is None or (quote is not None and known.price is quote.price):
                continue
            fresh = shown.until_ms is None or boottime_ms - shown.until_ms <= HONOURED_MS
            if fresh and _is_lower(known.price, quote, stands=stands):
                reason = "shown on the page within the last 30 s, and honoured"
                price = msgspec.structs.replace(known.price, reasons=(reason, *known.price.reasons))
                quote = Quote(price, known.stamp, honoured=True)
        return quote


def _is_lower(shown: Price, quote: Quote | None, *, stands: bool) -> bool:
    """Say whether the price on the page is the lower one.

    In another unit than what is due now it is honoured once it has gone; while it stands, this guest's own rule counts.
    """
    if quote is None:
        return True
    if shown.shown.unit != quote.price.shown.unit:
        return not stands
    return shown.shown.minor < quote.price.shown.minor
