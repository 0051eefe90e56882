"""The ledger's records as docs/wire/ehb1.md has them: a second reading that shares no line with this project's code."""

from collections.abc import Callable
from typing import Any, Final

import msgpack

# The page's forms: a letter for each field, `-` behind the last that must be there. What a hub writes; 64 on is not.
FORMS: Final = (
    "1 i-iibsm 2 pBBSsiii-bs 3 sii-s 4 pBc-ptpss 5 pBc-tss 6 pB- 7 pBc- 8 pBc-bssp 9 sBBSsii-pb 10 siiiisi- 11 siii- "
    "12 bsiii-L 13 sss-i 14 bps- 15 bpb- 16 bpbii-lb 17 bposb-lps 18 bpsbs-s 19 bbsssiss- 20 bbbssis- 21 bBss-sB "
    "22 biss- 23 bpb-l 24 pB- 25 sssiiss- 26 is-sppp 27 bpssb- 28 bppssbs- 29 bps- 30 siisi- 31 bbbsss-ss 32 bs-s "
    "33 bbbbssiis- 34 bbbsii- 35 siii- 36 siisi-ii 37 ssis-st"
)
_WORDS: Final = FORMS.split()
ENTRIES: Final = {int(kind): form for kind, form in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
HEAD: Final = "iibiqiae-BSSSBIBSSIS"  # q: quality, a: actor, e: tender
EPOCH_OPENED: Final = 1
# Telemetry, from `at_ms` on. n: an integer from 0 to 2^53 - 1, z: also below 0, w: a word of 64 at most, r: rows.
TELEMETRY: Final = {1: "nnnn-", 2: "nnnnnnq-nn", 3: "nwwn-", 4: "nnnnnr-n"}


def is_bookable(record: bytes, *, seq: int, epoch: int) -> bool:
    """Tell whether the page lets the office book this record at this place; a batch with any other is parked."""
    entry = read_record(record)
    if not isinstance(entry, list) or len(entry) < 3 or not all(type(each) is int for each in entry[:2]):
        return False
    kind, version, head = entry[:3]
    if kind not in ENTRIES or version != 1 or not is_row(head, HEAD) or head[0] != seq:
        return False
    opens = kind == EPOCH_OPENED
    return is_row(entry[3:], ENTRIES[kind]) and opens == (seq == 1) and (not opens or entry[3] == epoch)


def is_told(record: bytes) -> bool:
    """Tell whether the page lets the office understand this record of telemetry; it passes over any other."""
    fact = read_record(record)
    if not isinstance(fact, list) or len(fact) < 2 or not all(type(each) is int for each in fact[:2]):
        return False
    return fact[0] in TELEMETRY and fact[1] == 1 and is_row(fact[2:], TELEMETRY[fact[0]])


def read_record(record: bytes) -> Any:
    """Return what a record says, or None: it must be in the one shortest form, without maps, floats and extensions."""
    try:
        value = msgpack.unpackb(record, raw=False)
        return value if _is_plain(value) and msgpack.packb(value) == record else None
    except (ValueError, TypeError):  # TypeError: a map's key that cannot be one
        return None


def is_row(value: Any, form: str) -> bool:
    """Tell whether this is an array of these fields, which may end early behind the `-`."""
    must, may = form.split("-")
    if not isinstance(value, list) or not len(must) <= len(value) <= len(must + may):
        return False
    return all(_IS[letter](field) for field, letter in zip(value, must + may, strict=False))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | str | bytes)


def _a(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


def _up_to(most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 0 <= value <= most


def _rows(form: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(is_row(each, form) for each in value)


_NIL: Final = type(None)
_PART: Final = "si-Ib"
_LOT: Final = "bii-Issi"
_IS: Final[dict[str, Callable[[Any], bool]]] = {
    "i": _a(int),
    "I": _a(int, _NIL),
    "b": _a(bytes),
    "B": _a(bytes, _NIL),
    "s": _a(str),
    "S": _a(str, _NIL),
    "t": _a(bool),
    "p": _rows(_PART),
    "l": _rows(_LOT),
    "L": lambda value: value is None or is_row(value, _LOT),
    "m": lambda value: isinstance(value, list) and len(value) > 0 and all(isinstance(each, str) for each in value),
    "c": _up_to(7),
    "o": _up_to(4),
    "n": _up_to(2**53 - 1),
    "z": lambda value: type(value) is int and abs(value) < 2**53,
    "w": lambda value: isinstance(value, str) and len(value) <= 64,
    "r": lambda value: _rows("nnwwzn-")(value) and len(value) <= 1_024,
    "q": _up_to(4),
    "a": _up_to(4),
    "e": _up_to(7),
}
