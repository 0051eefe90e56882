"""What of lanes' coins became accounts' on a business date at a hub: counted on from batch to batch.

A day is read once, and from then on only what its journal has got since. What was counted is kept in memory beside the
hash of the journal's end at that place, which commits to every record before it: books that are others, or that took
something else there, do not have that hash, and the day is read anew.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Final, Literal

import msgspec

from back_office.store import chains, dated
from back_office.store.chains import NOTHING, Chain
from back_office.store.engine import Transaction
from payment_core.journal import BroughtIn, Source, decode_entry

_Place = tuple[bytes, str, bool]
Sums = MutableMapping[_Place, int]
"""Minor units by (account, unit, whether the entry itself names the date that it counts to)."""
KEPT_DAYS: Final = 1_024
"""Days of hubs that are kept in memory, those that were asked for last."""
KEPT_ACCOUNTS: Final = 1_000
"""A day on which coins became more accounts' than that is read anew each time."""


class Most(msgspec.Struct, frozen=True):
    """What may become an account's on a date: the cap of a day, and how many days may count to that date."""

    cap: int
    days: Callable[[], int]


class _Day(msgspec.Struct, frozen=True):
    """A chain's place, and what was counted through it."""

    seq: int
    tail: bytes
    sums: Mapping[_Place, int]


_Key = tuple[bytes, bytes, int, int, int, int]
_kept: dict[_Key, _Day] = {}


def given_on(tx: Transaction, tenant_id: bytes, of: Chain, date: int, most: Most) -> Sums:
    """Return what counts of a date in the books; what was beyond the cap then is no part of it. The caller's to change.

    of: the chain's name alone; what it holds is read.
    """
    key = (tenant_id, of.hub_id, of.stream, of.epoch, date, most.cap)
    at = chains.chain(tx, tenant_id, of.hub_id, stream=of.stream, epoch=of.epoch) or of
    day = _kept.pop(key, None)
    if day is None or not _goes_on_from(tx, tenant_id, at, day):
        day = _Day(0, NOTHING, {})
    sums = dict(day.sums)
    number = BroughtIn.number()
    for record in dated.records_of_date(tx, tenant_id, of, date=date, type_number=number, after=day.seq):
        entry = decode_entry(record)
        assert isinstance(entry, BroughtIn), "the query asks for no other type"
        if entry.source is Source.LANE_CREDIT:
            adds_up(sums, entry, date, most)
    if len(sums) <= KEPT_ACCOUNTS:
        _kept[key] = _Day(at.rec_seq, at.tail_hash, dict(sums))
    while len(_kept) > KEPT_DAYS:
        del _kept[next(iter(_kept))]
    return sums


def adds_up(sums: Sums, entry: BroughtIn, date: int, most: Most) -> Literal["", "overclaim", "odd_credit"]:
    """Count what became an account's; what is beyond the cap is not counted, and is a finding.

    `overclaim`: of a day that the hub itself names. `odd_credit`: with the days whose dates the office has put right;
    where one of them ended it cannot know, and the hub may be as honest as its clock is wrong.
    """
    own = entry.header.business_date == date
    for part in entry.parts:
        account = (entry.account_id, part.unit)
        named, odd = sums.get((*account, True), 0), sums.get((*account, False), 0)
        if own and named + part.amount > most.cap:
            return "overclaim"
        if (odd or not own) and named + odd + part.amount > most.cap * most.days():
            return "odd_credit"
        sums[*account, own] = (named if own else odd) + part.amount
    return ""


def _goes_on_from(tx: Transaction, tenant_id: bytes, at: Chain, day: _Day) -> bool:
    """Say whether a chain has what was counted as its beginning."""
    if day.seq == at.rec_seq:
        return day.tail == at.tail_hash
    then = chains.entry(tx, tenant_id, at, day.seq) if 0 < day.seq < at.rec_seq else None
    return then is not None and then.hash == day.tail
