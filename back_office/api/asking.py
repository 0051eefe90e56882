"""What requests are made of: ids, dates, cursors, sizes of pages, and how the books' values are told."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, TypeVar

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator, Field

from back_office.api.access import Asked
from back_office.api.cursors import MOST_CURSOR, Place, cursor_of
from back_office.api.models import Amount, Page
from back_office.ledger.booking import MAX_AMOUNT
from payment_core.identifiers import uuid_text

R = TypeVar("R")
T = TypeVar("T")
UUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MOST_ITEMS: Final = 500
"""Of one page."""
SOME_ITEMS: Final = 100
WORD: Final = r"^[^\x00]+$"
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,15}")


def _date(text: str) -> str:
    if not _DATE.fullmatch(text):
        message = "a date is written 2026-11-22"
        raise ValueError(message)
    date.fromisoformat(text)
    return text


def _whole(value: object) -> object:
    """JSON Schema calls 7.0 an integer and false none; pydantic's strict mode refuses the first."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _digits(value: object) -> object:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        message = "a whole number is written in digits"
        raise ValueError(message)
    return value


VenueAsked = Annotated[str | None, Query(alias="venue", pattern=UUID, description="A venue's id.")]
HubAsked = Annotated[str, Query(alias="hub", pattern=UUID, description="A hub's id.")]
IdAsked = Annotated[str, Path(pattern=UUID)]
DateAsked = Annotated[str, Query(json_schema_extra={"format": "date"}), AfterValidator(_date)]
Cursor = Annotated[
    str | None,
    Query(min_length=1, max_length=MOST_CURSOR, pattern=r"^[A-Za-z0-9_-]+$", description="`next` of a page."),
]
Limit = Annotated[int, BeforeValidator(_digits), Query(ge=1, le=MOST_ITEMS, description="Items of a page.")]
Number = Annotated[int, BeforeValidator(_digits), Path(ge=1, le=2**53 - 1)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=WORD)]
AmountAsked = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=1, le=MAX_AMOUNT)]


def day_number(text: str) -> int:
    """Return a date as yyyymmdd."""
    return int(text.replace("-", ""))


def optional_id(raw: bytes | None) -> str | None:
    """Return an id as text; nothing for none."""
    return uuid_text(raw) if raw else None


def amounts(found: Mapping[str, int]) -> list[Amount]:
    """Return sums by unit."""
    return [Amount(amount=amount, unit=unit) for unit, amount in sorted(found.items())]


def page_of(
    asked: Asked,
    rows: Sequence[R],
    limit: int,
    tell: Callable[[R], T],
    place: Callable[[R], Place],
    *bound: Any,  # noqa: ANN401 - what a cursor is bound to
) -> Page[T]:
    """Return a page of rows, of which one more than `limit` was read."""
    more = cursor_of(asked, place(rows[limit - 1]), *bound) if len(rows) > limit else None
    return Page(items=[tell(row) for row in rows[:limit]], next=more)
