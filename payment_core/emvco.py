"""Merchant-presented codes (EMV QRCPS, Merchant-Presented Mode 1.1): read, and written for a guest's wallet to scan.

A code is a row of data objects: two digits of id, two digits of length, the value. A length counts characters, the
check sum (object 63, always the last) is over the UTF-8 bytes of all before it and its own `6304`. Templates hold
objects of their own.
"""

import binascii
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

MAX_TEXT: Final = 512
"""The specification's longest code."""
MAX_VALUE: Final = 99
PAYLOAD_FORMAT, POINT_OF_INITIATION, CRC = "00", "01", "63"
MERCHANT_CATEGORY, CURRENCY, AMOUNT = "52", "53", "54"
COUNTRY, MERCHANT_NAME, CITY, EXTRA, LANGUAGE = "58", "59", "60", "62", "64"
REFERENCE, TERMINAL = "05", "07"
"""Objects inside `EXTRA`: the number of the bill, the terminal."""
TEMPLATES: Final = frozenset({*(f"{number:02}" for number in (*range(26, 52), *range(80, 100))), EXTRA, LANGUAGE})
"""Ids whose value is a row of objects: accounts, extra data, the other language, unreserved templates."""
_HEAD: Final = 4

Fault = Literal["too_long", "torn", "repeated", "no_format", "no_check_sum", "wrong_check_sum"]


class Field(msgspec.Struct, frozen=True):
    """One data object."""

    id: str
    value: str


class MerchantCode(msgspec.Struct, frozen=True):
    """The objects of a code in their order, without the check sum."""

    fields: tuple[Field, ...]

    def value(self, id_: str, inner: str = "") -> str:
        """Return the value of an object, or of one inside a template; empty where it is not there."""
        found = next((field.value for field in self.fields if field.id == id_), "")
        if not inner:
            return found
        parts = split_fields(found)
        return "" if isinstance(parts, str) else next((part.value for part in parts if part.id == inner), "")

    @property
    def is_dynamic(self) -> bool:
        """Say whether the code is for one payment (12) and not for all of a shop's (11)."""
        return self.value(POINT_OF_INITIATION) == "12"


def read_merchant_code(text: str) -> MerchantCode | Fault:
    """Return the code, or the first thing that is wrong with it. Never raises on text."""
    if len(text) > MAX_TEXT:
        return "too_long"
    fields = split_fields(text)
    if isinstance(fields, str):
        return fields
    if not fields or fields[0] != Field(PAYLOAD_FORMAT, "01"):
        return "no_format"
    if fields[-1].id != CRC or len(fields[-1].value) != _HEAD:
        return "no_check_sum"
    if check_sum(text[:-_HEAD]) != fields[-1].value:
        return "wrong_check_sum"
    return MerchantCode(fields[:-1])


def write_merchant_code(fields: Iterable[Field]) -> str:
    """Return the text of a code, with its format in front and its check sum behind.

    ValueError where a value is empty or longer than 99 characters, an id comes twice, or the whole is too long.
    """
    whole = (Field(PAYLOAD_FORMAT, "01"), *(field for field in fields if field.id not in (PAYLOAD_FORMAT, CRC)))
    body = join_fields(whole) + CRC + "04"
    text = body + check_sum(body)
    if read_merchant_code(text) != MerchantCode(whole):
        message = f"a merchant code has at most {MAX_TEXT} characters and each id once"
        raise ValueError(message)
    return text


def template(values: Mapping[str, str]) -> str:
    """Return the value of a template: its objects in order of id."""
    return join_fields(Field(id_, value) for id_, value in sorted(values.items()))


def join_fields(fields: Iterable[Field]) -> str:
    """Return objects as text; ValueError names what does not fit."""
    parts = []
    for field in fields:
        if not (len(field.id) == 2 and field.id.isascii() and field.id.isdigit()):  # noqa: PLR2004 - two digits
            message = f"{field.id!r} is no id of a data object: two digits"
            raise ValueError(message)
        if not 1 <= len(field.value) <= MAX_VALUE:
            message = f"object {field.id} has 1 to {MAX_VALUE} characters, not {len(field.value)}"
            raise ValueError(message)
        parts.append(f"{field.id}{len(field.value):02}{field.value}")
    return "".join(parts)


def split_fields(text: str) -> tuple[Field, ...] | Fault:
    """Return the objects in a text, or what is wrong with it."""
    fields: list[Field] = []
    seen: set[str] = set()
    at = 0
    while at < len(text):
        head = text[at : at + _HEAD]
        if len(head) < _HEAD or not (head.isascii() and head.isdigit()):
            return "torn"
        id_, value = head[:2], text[at + _HEAD : at + _HEAD + int(head[2:])]
        if not value or len(value) < int(head[2:]):
            return "torn"
        if id_ in seen:
            return "repeated"
        seen.add(id_)
        fields.append(Field(id_, value))
        at += _HEAD + len(value)
    return tuple(fields)


def check_sum(body: str) -> str:
    """Return CRC-16/CCITT-FALSE (polynomial 1021, start FFFF) over the UTF-8 bytes, four upper-case digits.

    A text that is no Unicode (half a surrogate pair) has none.
    """
    try:
        return f"{binascii.crc_hqx(body.encode(), 0xFFFF):04X}"
    except UnicodeEncodeError:
        return ""
