"""Whole minor units that carry their unit. No float ever touches an amount."""

from typing import Annotated, Final, Self

import msgspec

from payment_core.errors import UnitMismatchError

MAX_MINOR: Final = 2**53 - 1
"""The largest amount a JSON reader in any language keeps exactly; larger sums are refused as faults."""
Whole = Annotated[int, msgspec.Meta(ge=0, le=MAX_MINOR)]
"""A count, a sum, a version or a time from outside: one that no column and no JSON reader holds is refused as bytes."""


class Money(msgspec.Struct, frozen=True, array_like=True):
    """`minor` whole minor units (fen, points, plays) of `unit` (`CNY`, `bonus`, `play:racing`)."""

    minor: int
    unit: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            message = f"an amount is a whole number of minor units, got {self.minor!r}"
            raise TypeError(message)
        if abs(self.minor) > MAX_MINOR:
            message = f"amount {self.minor} is beyond {MAX_MINOR}"
            raise ValueError(message)

    def _same(self, other: Self) -> None:
        if self.unit != other.unit:
            message = f"{self.unit} met {other.unit} in one sum"
            raise UnitMismatchError(message)

    def __add__(self, other: Self) -> "Money":
        self._same(other)
        return Money(self.minor + other.minor, self.unit)

    def __sub__(self, other: Self) -> "Money":
        self._same(other)
        return Money(self.minor - other.minor, self.unit)

    def __le__(self, other: Self) -> bool:
        self._same(other)
        return self.minor <= other.minor


def shown(minor: int, unit: str) -> Money:
    """Return a sum for a page: one beyond what is ever booked is shown as the largest there is, not as a fault."""
    return Money(max(-MAX_MINOR, min(minor, MAX_MINOR)), unit)


MINOR_DIGITS: Final = {
    "CNY": 2, "HKD": 2, "MOP": 2, "TWD": 0, "USD": 2, "EUR": 2, "SGD": 2, "THB": 2, "MYR": 2,
    "PHP": 2, "JPY": 0, "KRW": 0, "VND": 0, "IDR": 0,
}
"""Digits after the point by ISO 4217 code; TWD and IDR as their tills use them. Other units are whole."""

SYMBOLS: Final = {"CNY": "¥", "HKD": "HK$", "TWD": "NT$", "USD": "$", "EUR": "€", "JPY": "¥", "VND": "₫", "IDR": "Rp"}


def minor_digits(unit: str) -> int:
    """Return how many digits of `unit` stand after the point; 0 for points, plays and minutes."""
    return MINOR_DIGITS.get(unit, 0)


def money_text(amount: Money) -> str:
    """Return the amount as people read it: `¥2.00`, `-¥0.50`, `₫2,000`, `12 point`."""
    digits = minor_digits(amount.unit)
    whole, rest = divmod(abs(amount.minor), 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    sign = "-" if amount.minor < 0 else ""
    symbol = SYMBOLS.get(amount.unit)
    if symbol:
        return f"{sign}{symbol}{number}"
    return f"{sign}{number} {amount.unit}"
