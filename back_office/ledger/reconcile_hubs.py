"""The hub's own sums of a date beside what the office's postings of the same entries add up to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from back_office.ledger.difference import Difference, Found, Missing
from back_office.store import meters, takings
from back_office.store.engine import Transaction
from back_office.store.places import Hub
from payment_core.accounts import Kind
from payment_core.journal import VERSIONS

GUEST: Final = "guest"
"""One name for all places where guests' money may be: how much of it a hub had a right to, the office alone knows."""
_GUEST_KINDS: Final = frozenset({Kind.PURSE.value, Kind.LEASE.value, Kind.PASSING.value, Kind.OVERCLAIM.value})
NAMES: Final = {kind.number(): kind.__name__ for kind in VERSIONS}
Place = tuple[str, int, str, str]
"""Machine (empty: the sum of all), entry type, kind of account, unit."""


class HubSums(msgspec.Struct, frozen=True):
    """What a hub counted by itself: over its entries of the date in `epoch` behind `after_seq` up to `through_seq`.

    by_machine: whether it can tell machines apart. sums: debit positive.
    """

    hub_id: bytes
    epoch: int
    after_seq: int
    through_seq: int
    sums: Mapping[Place, int]
    by_machine: bool = False
    left_out: int = 0


def lumped(kind: str) -> str:
    """Return the name under which a kind of account is compared."""
    return GUEST if kind in _GUEST_KINDS else kind


def compare_hubs(
    tx: Transaction, tenant_id: bytes, hubs: Sequence[Hub], business_date: int, told: Sequence[HubSums]
) -> Found:
    """Compare each hub's own sums with the books. A hub that told none, or not of all, is named."""
    found = Found()
    for hub in hubs:
        own = {sums.epoch: sums for sums in told if sums.hub_id == hub.hub_id}
        booked = meters.epochs_of_date(tx, tenant_id, hub.hub_id, business_date)
        for epoch in sorted(own.keys() | booked.keys()):
            if epoch not in own:
                why = f"it told no sums of its own for this date; the books have its entries up to {booked[epoch]}"
                found.missing.append(Missing("hub_journal", "", hub.name, why))
            else:
                _compare(tx, tenant_id, hub, business_date, own[epoch], booked.get(epoch, 0), found)
    return found


def _compare(
    tx: Transaction, tenant_id: bytes, hub: Hub, business_date: int, own: HubSums, last: int, found: Found
) -> None:
    if own.left_out:
        why = f"{own.left_out} of its sums found no room in what it told"
        found.missing.append(Missing("hub_journal", "", hub.name, why))
    if own.through_seq < last:
        why = f"its sums end at entry {own.through_seq}, the books have entries of this date up to {last}"
        found.missing.append(Missing("hub_journal", "", hub.name, why))
    booked = meters.moved(
        tx, tenant_id, hub.hub_id, epoch=own.epoch, business_date=business_date, after=own.after_seq,
        last=own.through_seq,
    )  # fmt: skip
    expected: defaultdict[Place, int] = defaultdict(int)
    for row in booked:
        expected[row.machine if own.by_machine else "", row.type, lumped(row.kind), row.unit] += row.amount
    said: defaultdict[Place, int] = defaultdict(int)
    for (machine, number, kind, unit), amount in own.sums.items():
        said[machine, number, lumped(kind), unit] += amount
    for place in sorted(expected.keys() | said.keys()):
        found.compared += 1
        if expected[place] != said[place]:
            found.differences.append(_difference(hub, own, place, expected[place], said[place], last))


def _difference(hub: Hub, own: HubSums, place: Place, expected: int, said: int, last: int) -> Difference:
    machine, number, kind, unit = place
    could_be: tuple[str, ...] = ()
    if own.through_seq > last:
        could_be = (f"the hub counted up to entry {own.through_seq}; not all of its entries may have come yet",)
    return Difference(
        kind="hub_journal", machine=machine, hub=hub.name, what=f"{NAMES.get(number, number)} {kind}", unit=unit,
        expected=expected, found=said, amount=said - expected,
        compared="the hub's own journal with the postings of the same entries",
        since=f"entry {own.after_seq}", until=f"entry {own.through_seq}", could_be=could_be,
    )  # fmt: skip


def compare_takings(
    tx: Transaction, tenant_id: bytes, venue_id: bytes, hubs: Sequence[Hub], business_date: int
) -> Found:
    """Compare the takings of a date, which reports and closings are made of, with its postings."""
    found, names = Found(), {hub.hub_id: hub.name for hub in hubs}
    kept: defaultdict[tuple[bytes, Place], int] = defaultdict(int)
    for place, (amount, _) in takings.takings_of(tx, tenant_id, venue_id, business_date).items():
        if place.hub_id in names:
            kept[place.hub_id, (place.machine, place.type, place.kind, place.unit)] += amount
    posted: defaultdict[tuple[bytes, Place], int] = defaultdict(int)
    for hub in hubs:
        for epoch, last in meters.epochs_of_date(tx, tenant_id, hub.hub_id, business_date).items():
            asked = {"epoch": epoch, "business_date": business_date, "after": 0, "last": last}
            for row in meters.moved(tx, tenant_id, hub.hub_id, **asked):
                posted[hub.hub_id, (row.machine, row.type, row.kind, row.unit)] += row.amount
    for at in sorted(kept.keys() | posted.keys()):
        found.compared += 1
        if kept[at] != posted[at]:
            hub_id, (machine, number, kind, unit) = at
            found.differences.append(
                Difference(
                    kind="takings",
                    machine=machine,
                    hub=names[hub_id],
                    what=f"{NAMES.get(number, number)} {kind}",
                    unit=unit,
                    expected=posted[at],
                    found=kept[at],
                    amount=kept[at] - posted[at],
                    compared="the takings of the date with its postings",
                    could_be=("venuehub office verify names the record that was changed",),
                )
            )
    return found
