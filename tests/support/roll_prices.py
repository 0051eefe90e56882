"""Verbs of a till roll about prices: lists that change or begin later, happy hours, the clock on the wall."""

from collections.abc import Callable
from typing import Any

import msgspec

from edge_agent.messages import DocumentArrived, Effect, Input
from payment_core.pricing import LocalTime
from tests.support.hall import Hall
from tests.support.roll_words import RollError, minor

MINUTES = {"s": 1_000, "min": 60_000, "h": 3_600_000}


def minute_of(text: str) -> int:
    """Return the minute behind `10:30`."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


class PriceVerbs:
    """Part of TillRoll; every hall gets the same list, as from its office."""

    list_version = 1
    everywhere: Callable[[Callable[[Hall], Input]], None]
    step: Callable[..., list[Effect]]
    lan: Any

    def _new_list(self, *rules: dict[str, Any], in_ms: int = 0, bands: tuple[dict[str, Any], ...] = ()) -> None:
        """Send a list to every hall; it begins at once, or later."""
        self.list_version += 1
        document = {"version": self.list_version, "unit": "CNY", "rules": rules, "bands": bands}
        content = msgspec.json.encode(document)

        def letter(hall: Hall) -> DocumentArrived:
            return DocumentArrived("prices", self.list_version, content, hall.wall_ms + in_ms if in_ms else 0)

        self.everywhere(letter)

    def _prices_line(self, _become: str, amount: str, unit: str, *when: str) -> None:
        """`become 3.00 CNY`, or `become 3.00 CNY in 10 min`."""
        match when:
            case []:
                self._new_list({"price": [[minor(amount), unit]]})
            case ["in", count, measure]:
                self._new_list({"price": [[minor(amount), unit]]}, in_ms=int(count) * MINUTES[measure])
            case _:
                message = f"prices become an amount, or an amount in 10 min, not {' '.join(when)}"
                raise RollError(message)

    def _cheaper_line(self, low: str, _from: str, start: str, _to: str, end: str, _else: str, high: str) -> None:
        """`1.00 from 09:00 to 10:00, else 2.00`: a band of the day with its own price."""
        band = {"name": "happy", "from_minute": minute_of(start), "to_minute": minute_of(end.rstrip(","))}
        happy = {"price": [[minor(low), "CNY"]], "band": "happy"}
        self._new_list({"price": [[minor(high), "CNY"]]}, happy, bands=(band,))

    def _clock_line(self, _is: str, text: str) -> None:
        """`is 10:00`: what the clock on the wall shows, in every hall."""
        for n, hall in enumerate(self.lan.halls, start=1):
            hall.local = LocalTime(6, minute_of(text), hall.business_date)
            self.step(at=n)
