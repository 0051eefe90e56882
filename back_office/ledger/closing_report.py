"""What a business date came to at a venue: the body of an X and of a Z, and how it is counted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from back_office.ledger.statement import TYPE_NAMES
from back_office.store import chains, loose_ends, places, takings
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from back_office.store.places import Hub, Venue
from back_office.store.takings import LateGroup, Takings
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.accounts import Kind
from payment_core.identifiers import uuid_text
from payment_core.journal import InDoubt, Tender, decode_entry

SILENT_MS: Final = 15 * 60_000
"""While a date is not over, a hub that was not heard for so long is named."""
OPEN_DATES: Final = 50
"""So many dates without a Z a report names."""
AT_ONCE_MS: Final = 5 * 60_000
"""An entry that came further from the moment it names was on its way for long, or names the moment of a wrong clock."""
_OF_MACHINES: Final = frozenset({Kind.REVENUE.value, Kind.CASH_BOX.value})


class SumLine(msgspec.Struct, frozen=True):
    """What entries of one type and tender moved on one kind of account: minor units, debit positive; how many."""

    what: str
    tender: str
    kind: str
    unit: str
    amount: int
    entries: int


class MachineLine(msgspec.Struct, frozen=True):
    """What one machine of a hub earned (`revenue`, below nothing: credit) or has in its box (`cash_box`)."""

    hub: str
    machine: str
    kind: str
    unit: str
    amount: int
    entries: int


class HeardHub(msgspec.Struct, frozen=True):
    """A hub that was heard behind the date's end: all it wrote till then is booked, to this entry of this epoch."""

    hub: str
    name: str
    epoch: int
    through_entry: int
    last_heard_ms: int


class SilentHub(msgspec.Struct, frozen=True):
    """A hub whose day may not be whole. since_ms: when it was heard last, None: never.

    why: `not_heard` since the date's end; `batches_missing` that its hello told of; `parked` batches that are kept and
    were not booked since; `frozen`: nothing is taken of it.
    """

    hub: str
    name: str
    epoch: int
    through_entry: int
    since_ms: int | None
    why: Literal["not_heard", "batches_missing", "parked", "frozen"]


class LateDay(msgspec.Struct, frozen=True):
    """What came for one date behind its Z (`z_no`): which entries of which hubs, and what they moved."""

    business_date: int
    z_no: int
    hubs: list["LateHub"]
    sums: list[SumLine]


class LateHub(msgspec.Struct, frozen=True):
    """`entries` of one hub's epoch between two of them."""

    hub: str
    epoch: int
    first_entry: int
    last_entry: int
    entries: int


class Doubt(msgspec.Struct, frozen=True):
    """A play of the date that nobody can say yet whether it was delivered."""

    authorization: str
    hub: str
    machine: str
    unit: str
    amount: int
    since_ms: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One business date of a venue at one moment. z_no: of its Z; 0: this is an X of a date that has none.

    late: of earlier dates, told here; after_z: of this date, behind its Z. open_dates: earlier dates on which something
    moved and that have no Z, and dates to come, which only a wrong clock can say: the first of them, and
    more_open_dates: how many there are beside. Amounts are minor units, debit positive; times UTC ms.
    """

    venue: str
    venue_name: str
    business_date: int
    z_no: int
    begins_ms: int
    ends_ms: int
    made_ms: int
    by: str
    sums: list[SumLine]
    machines: list[MachineLine]
    late: list[LateDay]
    after_z: list[LateDay]
    heard: list[HeardHub]
    silent: list[SilentHub]
    doubts: list[Doubt]
    open_dates: list[int]
    more_open_dates: int = 0


def sums_of(found: Takings) -> list[SumLine]:
    """Return takings added up over machines, lanes, shifts and hubs."""
    sums: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for place, (amount, entries) in found.items():
        tender = Tender(place.tender).name.lower()
        total = sums[TYPE_NAMES.get(place.type, str(place.type)), tender, place.kind, place.unit]
        total[0] += amount
        total[1] += entries
    return [SumLine(*key, *total) for key, total in sorted(sums.items())]


def machines_of(found: Takings, names: Mapping[bytes, str]) -> list[MachineLine]:
    """Return what each machine earned and has in its box."""
    sums: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for place, (amount, entries) in found.items():
        if place.kind in _OF_MACHINES:
            total = sums[names.get(place.hub_id, ""), place.machine, place.kind, place.unit]
            total[0] += amount
            total[1] += entries
    return [MachineLine(*key, *total) for key, total in sorted(sums.items())]


def late_days(groups: Iterable[LateGroup], found: Takings, z_of: Mapping[int, int]) -> list[LateDay]:
    """Return what came late, date by date."""
    hubs: dict[int, list[LateHub]] = defaultdict(list)
    for group in groups:
        late = LateHub(uuid_text(group.hub_id), group.epoch, group.first_seq, group.last_seq, group.entries)
        hubs[group.business_date].append(late)
    return [
        LateDay(
            date, z_of.get(date, 0), hubs[date],
            sums_of({place: row for place, row in found.items() if place.business_date == date}),
        )
        for date in sorted(hubs)
    ]  # fmt: skip


def hubs_of(
    tx: Transaction, tenant_id: bytes, venue: Venue, *, begins_ms: int, ends_ms: int, now_ms: int
) -> tuple[list[HeardHub], list[SilentHub]]:
    """Return which hubs of a venue told their day, and which may not have; those of other days are not in it."""
    heard, silent = [], []
    for hub in places.hubs(tx, tenant_id):
        ended = hub.closed_ms is not None and hub.closed_ms < begins_ms
        if hub.venue_id != venue.venue_id or hub.enrolled_ms >= ends_ms or ended:
            continue
        chain = _chain(tx, tenant_id, hub, max(hub.epoch, 1))
        where = (uuid_text(hub.hub_id), hub.name, hub.epoch, chain.rec_seq)
        words = _words(tx, tenant_id, hub, chain)
        why = _silence(tx, tenant_id, hub, chain, words, ends_ms=ends_ms, due_ms=min(ends_ms, now_ms - SILENT_MS))
        if why is None:
            heard.append(HeardHub(*where, max(*words, 0)))
        else:
            silent.append(SilentHub(*where, max(words) if max(words) >= 0 else None, why))
    return heard, silent


def heard_ms(tx: Transaction, tenant_id: bytes, hub: Hub) -> int:
    """Return when a hub last gave its own word, an entry or a hello, UTC ms by its clock; -1: never."""
    return max(_words(tx, tenant_id, hub, _chain(tx, tenant_id, hub, max(hub.epoch, 1))))


def _silence(
    tx: Transaction, tenant_id: bytes, hub: Hub, booked: Chain, words: tuple[int, int], *, ends_ms: int, due_ms: int
) -> Literal["not_heard", "batches_missing", "parked", "frozen"] | None:
    """Return why a hub's day may not be whole. That something of it came says nothing: a neighbour may have brought it.

    What counts is its own word: its newest booked entry where that came at once, for all before that is booked too; or
    its newest hello, once the journal is booked as far as it went then.
    """
    wrote_ms, _ = words
    closed = hub.closed_ms is not None
    if closed and hub.closed_epoch >= booked.epoch:  # it signed that nothing is left
        return None
    if hub.frozen and not closed:
        return "frozen"
    if max(words) < due_ms:
        return "not_heard"
    if wrote_ms < ends_ms and _is_missing(tx, tenant_id, hub):
        return "batches_missing"
    kept = chains.unbooked(tx, tenant_id, hub.hub_id, stream=STREAM_LEDGER, kind="parked")
    return "parked" if kept else None


def _words(tx: Transaction, tenant_id: bytes, hub: Hub, booked: Chain) -> tuple[int, int]:
    """Return when a hub wrote its newest booked entry and when it said its newest hello, UTC ms; -1: nobody knows.

    An entry says when it was written only where it came at once: what a clock that was ahead for a moment wrote may
    come long behind, when a neighbour brings it, while all that was written since is still on the hub's disk.
    """
    newest = chains.entry(tx, tenant_id, booked, booked.rec_seq)
    came_at_once = newest is not None and abs(newest.received_ms - newest.wall_ms) <= AT_ONCE_MS
    wrote_ms = min(newest.wall_ms, newest.received_ms) if newest is not None and came_at_once else -1
    return wrote_ms, hub.told_ms if hub.told_ms is not None and hub.told_epoch >= hub.epoch else -1


def _is_missing(tx: Transaction, tenant_id: bytes, hub: Hub) -> bool:
    """Say whether a hub's newest hello told of what is not booked; a hello of an epoch before counts no more."""
    epoch = max(hub.epoch, hub.told_epoch, 1)
    chain = _chain(tx, tenant_id, hub, epoch)
    through = hub.told_through if hub.told_epoch == epoch else 0
    sealed = hub.sealed_seq if hub.told_epoch in {0, epoch} else 0  # 0: an older release heard it
    return chain.rec_seq < through or chain.batch_seq < sealed


def _chain(tx: Transaction, tenant_id: bytes, hub: Hub, epoch: int) -> Chain:
    chain = chains.chain(tx, tenant_id, hub.hub_id, stream=STREAM_LEDGER, epoch=epoch)
    return chain or Chain(hub_id=hub.hub_id, stream=STREAM_LEDGER, epoch=epoch)


def doubts_of(
    tx: Transaction, tenant_id: bytes, venue: Venue, business_date: int, names: Mapping[bytes, str]
) -> list[Doubt]:
    """Return the doubts of a venue's date that nobody has settled yet."""
    here = {hub.hub_id for hub in places.hubs(tx, tenant_id) if hub.venue_id == venue.venue_id}
    found = []
    for row in loose_ends.doubts(tx, tenant_id):
        entry = decode_entry(row.record)
        assert isinstance(entry, InDoubt), "the query asks for no other type"
        header = entry.header
        if row.hub_id not in here or row.business_date != business_date:
            continue
        sums: dict[str, int] = defaultdict(int)
        for part in entry.parts:
            sums[part.unit] += part.amount
        found += [
            Doubt((header.authorization_id or b"").hex(), names[row.hub_id], header.machine or "", unit, amount,
                  header.wall_ms)
            for unit, amount in sorted(sums.items())
        ]  # fmt: skip
    return found


def open_dates(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, before: int, today: int) -> tuple[list[int], int]:
    """Return dates on which something moved and that have no Z: before a date, or that no clock should say yet.

    The first OPEN_DATES of them, and how many there are beside: a Z is kept for ever, whatever hubs say.
    """
    dates = [date for date in takings.dates(tx, tenant_id, venue_id) if date < before or date > today]
    closed = takings.closed_dates(tx, tenant_id, venue_id, dates)
    found = [date for date in dates if date not in closed]
    return found[:OPEN_DATES], len(found[OPEN_DATES:])
