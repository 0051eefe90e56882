"""What `venuehub config` does with price lists: reads them, asks them, and says the answer to a person."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from device_profiles.loading import convert_strictly, read_table
from payment_core.money import Money, money_text
from payment_core.price_calendar import NO_CALENDAR, day_kind, open_bands
from payment_core.price_check import Problem, check_prices
from payment_core.price_rule import MAX_QUANTITY
from payment_core.pricing import Calendar, LocalTime, Price, PriceList, find_price, local_time
from venuehub.errors import CliError, ExitCode

DAY_STARTS_MINUTE: Final = 6 * 60
"""When a business day begins where nothing else is said, as in hub.toml."""
UNKNOWN: Final = "unknown"
"""The word for a hub that does not know the time."""

T = TypeVar("T", PriceList, Calendar)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a price is asked for; the names are those of a rule."""

    machine: str
    zone: str = ""
    machine_group: str = ""
    item: str = ""
    venue: str = ""
    tier: str = ""
    group: str = ""
    quantity: int = 1


def read_document(file: Path, shape: type[T]) -> T:
    """Return the price list or calendar in a TOML or JSON file; SettingsError names file, key and remedy."""
    return convert_strictly({"version": 0, **read_table(file)}, shape, file=file.name)


def read_moment(text: str, *, timezone: str, day_starts: str) -> LocalTime | None:
    """Return the venue's time behind `2026-10-01 14:30`, None for `unknown`; CliError where there is no such time."""
    zone, cutoff_minute = _zone(timezone), minute_of_day(day_starts)
    if text == UNKNOWN:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "write it as 2026-10-01 14:30 by the venue's wall clock, or unknown for a hub without a clock"
        raise _wrong("--at", f"{text!r} is no date and time", hint) from None
    if moment.tzinfo is not None:
        return local_time(moment.astimezone(zone), cutoff_minute=cutoff_minute)
    there = moment.replace(tzinfo=zone)
    if datetime.fromtimestamp(there.timestamp(), zone).replace(tzinfo=None) != moment:
        hint = "the clock springs forward there on that day: choose a time before or after it"
        raise _wrong("--at", f"{text} does not come in {timezone}", hint)
    return local_time(there, cutoff_minute=cutoff_minute)


def minute_of_day(text: str) -> int:
    """Return the minute behind `06:00`."""
    try:
        at = datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise _wrong("--day-starts", f"{text!r} is no time of day", "write it as 06:00") from None
    return at.hour * 60 + at.minute


def ask(prices: PriceList, question: Question, local: LocalTime | None, calendar: Calendar | None) -> Price:
    """Return the price; CliError where the list has none for it."""
    if not 1 <= question.quantity <= MAX_QUANTITY:
        raise _wrong("--quantity", f"{question.quantity} pieces cannot be priced", f"choose 1 to {MAX_QUANTITY}")
    found = find_price(prices, local=local, calendar=calendar, **msgspec.structs.asdict(question))
    if found is None:
        hint = "add a rule that names less: one with a price only counts for everything, at any time"
        raise CliError("no_price", f"no rule counts for {_words(question)}", where="--list", hint=hint)
    return found


def answer(prices: PriceList, price: Price, local: LocalTime | None, calendar: Calendar | None) -> dict[str, Any]:
    """Return what `--json` prints of a price."""
    rate = prices.taxes.get(price.tax_code)
    bands = open_bands(prices.bands, local, no_clock_band=prices.no_clock_band)
    return {
        "price": [{"minor": money.minor, "unit": money.unit} for money in price.price],
        "quantity": price.quantity,
        "credits": price.credits,
        "cash": price.cash.minor if price.cash else None,
        "tax_code": price.tax_code,
        "tax_milli_percent": rate.milli_percent if rate else None,
        "tax": price.tax,
        "rule": price.rule,
        "why": price.why,
        "reasons": list(price.reasons),
        "time": {
            "business_date": local.date if local else None,
            "weekday": local.weekday if local else None,
            "minute": local.minute if local else None,
            "day": day_kind(calendar or NO_CALENDAR, local),
            "bands": sorted(bands),
        },
        "list": {"version": prices.version, "unit": prices.unit, "effective_at": prices.effective_at},
    }


def lines(prices: PriceList, price: Price) -> list[str]:
    """Return a price as a person reads it."""
    told = [" or ".join(money_text(money) for money in price.price) + _pieces(price)]
    if price.cash is not None and price.cash.minor != price.in_unit(prices.unit):
        told.append(f"in cash: {money_text(price.cash)}")
    if price.tax is not None:
        rate = prices.taxes[price.tax_code]
        percent = f"{rate.milli_percent / 1000:g} %"
        told.append(
            f"tax included: {money_text(Money(price.tax, prices.unit))} ({rate.name or price.tax_code}, {percent})"
        )
    elif price.tax_code:
        told.append(f"tax code: {price.tax_code}, without a rate in the list")
    return [*told, *price.reasons]


def problems_of(content: object) -> tuple[Problem, ...]:
    """Return what is odd about a document, where it is a price list and its venue's day begins as usual."""
    return check_prices(content, cutoff_minute=DAY_STARTS_MINUTE) if isinstance(content, PriceList) else ()


def problem_line(file: Path, problem: Problem) -> str:
    """Return a problem as a person reads it."""
    return f"{file}: {problem.key}: {problem.text}. Remedy: {problem.remedy}"


def _pieces(price: Price) -> str:
    plays = f" for {price.quantity} pieces" if price.quantity > 1 else ""
    return plays + (f", {price.credits} credits" if price.credits != price.quantity else "")


def _words(question: Question) -> str:
    named = {name: value for name, value in msgspec.structs.asdict(question).items() if value and value != 1}
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong("--timezone", f"{name!r} is not known", "write a name such as Asia/Shanghai") from None


def _wrong(option: str, message: str, hint: str) -> CliError:
    return CliError("settings", message, where=option, hint=hint, exit_code=ExitCode.USAGE)
