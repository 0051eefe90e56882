"""Hypothesis strategies for every journal entry, and for what goes into one."""

from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from payment_core.journal import (
    VERSIONS,
    Actor,
    Cause,
    CellLot,
    Entry,
    Gift,
    Header,
    Lot,
    LotKind,
    Part,
    Signed,
    Source,
    Tender,
    TimeQuality,
)  # fmt: skip

UNITS = ("CNY", "bonus", "play:racing")
numbers = st.integers(0, 2**53 - 1)
amounts = st.integers(0, 2**40)
keys = st.binary(min_size=16, max_size=16)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,11}", fullmatch=True)
units = st.sampled_from(UNITS)
causes = st.sampled_from(Cause)
maybe = st.none()

headers = st.builds(
    Header,
    seq=st.integers(1, 2**53 - 1),
    wall_ms=numbers,
    boot_id=keys,
    boottime_ms=numbers,
    quality=st.sampled_from(TimeQuality),
    business_date=st.integers(20200101, 20991231),
    actor=st.sampled_from(Actor),
    tender=st.sampled_from(Tender),
    venue=maybe | keys,
    zone=maybe | names,
    machine=maybe | names,
    lane=maybe | names,
    authorization_id=maybe | keys,
    price_list_version=maybe | numbers,
    price_list_hash=maybe | st.binary(min_size=8, max_size=8),
    tax_code=maybe | names,
    reasons=maybe | st.text("px-", max_size=12),
    config_version=maybe | numbers,
    shift=maybe | names,
)
parts = st.lists(st.builds(Part, units, amounts, maybe | st.integers(0, 9), st.just(b"") | keys), max_size=4).map(tuple)
lots = st.builds(Lot, keys, st.sampled_from(LotKind), numbers, maybe | numbers, names, names, numbers)
gifts = st.builds(Gift, units, amounts, lots)
signatures = st.builds(Signed, names, keys, st.binary(min_size=64, max_size=64))

_BY_TYPE = {
    int: amounts, str: names, bytes: keys, bool: st.booleans(), Lot: lots, Header: headers, Cause: causes,
    Source: st.sampled_from(Source), Gift: gifts, Signed: signatures,
    CellLot: st.builds(CellLot, units, amounts, lots),
}  # fmt: skip


def _of(kind: object, name: str) -> st.SearchStrategy[object]:
    if name == "version":
        return st.just(1)
    if name == "unit":
        return units
    if kind == tuple[Part, ...]:
        return parts
    if get_origin(kind) is tuple:
        return st.lists(_BY_TYPE[get_args(kind)[0]], max_size=3).map(tuple)
    if get_origin(kind) in {Union, UnionType}:
        return maybe | _of(next(part for part in get_args(kind) if part is not type(None)), name)
    return _BY_TYPE[kind]


ENTRIES: dict[type, st.SearchStrategy[Entry]] = {
    kind: st.builds(kind, **{name: _of(hint, name) for name, hint in get_type_hints(kind).items()}) for kind in VERSIONS
}
"""One strategy per entry type, by the types of its fields."""

entries = st.one_of(*ENTRIES.values())
