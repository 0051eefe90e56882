"""What was counted anew from the entries beside what is kept of guests: leases, lots, what is on its way, payments."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from back_office.ledger.findings import Writer
from back_office.ledger.guest_facts import GuestFacts
from back_office.ledger.proof_report import Wrong
from back_office.ledger.recount import Recount
from back_office.store import grants, lots
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey
from back_office.store.lots import LotKey, PassKey, PassRow, pass_id
from payment_core.accounts import Kind
from payment_core.journal import LeasePassed, Part, SlipTaken, VoucherTaken


def compare(said: Recount, facts: GuestFacts, tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    """Yield what the kept tables say otherwise."""
    ways = lots.passing(tx, tenant_id)
    yield from _count_split(said, ways)
    yield from _leases(said, tx, tenant_id)
    held = lots.lots(tx, tenant_id)
    yield from _lots(said, held)
    yield from facts.compare_lots(held)
    yield from _compare_passing(said, ways)
    yield from facts.compare_passing(ways)
    yield from _payments(said, tx, tenant_id)


def _leases(said: Recount, tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    kept = grants.leases(tx, tenant_id)
    for place in sorted(kept.keys() | said.granted.keys() | said.claimed.keys() | said.taken.keys()):
        row = kept.get(place, grants.LeaseRow())
        kept_as = (row.granted, row.taken, row.settled + row.moved + row.overclaimed + row.beyond)
        sums = (said.granted[place], said.taken[place], said.claimed[place])
        if kept_as != sums:
            yield _lease(place, f"granted, taken and claimed are {kept_as}, the entries say {sums}")
        elif row.granted_seq != said.granted_seq.get(place, 0):
            yield _lease(place, f"its last grant is not entry {row.granted_seq} of the office")


def _lease(place: LeaseKey, text: str) -> Wrong:
    key = f"{place.account_id.hex()} {place.unit} {place.lot.hex() or 'none'} epoch {place.epoch}"
    return Wrong("leases", key, f"the lease of {place.account_id.hex()} {place.unit} at {place.hub_id.hex()}: {text}")


def _lots(said: Recount, held: Mapping[LotKey, lots.LotRow]) -> Iterator[Wrong]:
    for lot in sorted(held.keys() | said.deposited.keys()):
        came = held[lot].deposited if lot in held else 0
        if came != said.deposited[lot]:
            yield Wrong("lots", lot_name(lot), f"{came} came in, the entries say {said.deposited[lot]}")
    stands: defaultdict[tuple[bytes, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for lot, kept_lot in held.items():
        for place, amount in enumerate((kept_lot.covered, kept_lot.paid_out, kept_lot.forgotten)):
            stands[lot.account_id, lot.unit][place] += amount
    for account in sorted(stands.keys() | said.covered.keys() | said.paid_out.keys() | said.forgotten.keys()):
        sums = [said.covered[account], said.paid_out[account], said.forgotten[account]]
        if stands[account] not in (sums, [*sums[:2], 0]):  # behind the last hub that is heard nothing is forgotten
            text = f"covered, paid out and forgotten are {stands[account]}, the entries say {sums}"
            yield Wrong("lots", f"of {account[0].hex()} {account[1]}", text)


def lot_name(lot: LotKey) -> str:
    """Return the key of a lot's row."""
    return f"{lot.account_id.hex()} {lot.unit} {lot.lot.hex() or 'none'}"


def _payments(said: Recount, tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    booked = {
        (row.channel, row.payment_id): (row.account_id, row.unit, row.amount, row.office_seq)
        for row in grants.payments(tx, tenant_id)
    }
    for name in sorted(booked.keys() | said.payments.keys()):
        if booked.get(name) != said.payments.get(name):
            yield Wrong("payments", " ".join(name), "it is not what the entries of top-ups say")


def _compare_passing(said: Recount, ways: Mapping[PassKey, PassRow]) -> Iterator[Wrong]:
    given: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
    received: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
    stead: defaultdict[tuple[bytes, bytes, str], int] = defaultdict(int)
    ahead: defaultdict[tuple[bytes, LotKey], int] = defaultdict(int)
    for key, row in ways.items():
        lot = LotKey(row.account_id, key.unit, key.lot)
        ahead[row.from_hub, lot] += max(-row.waiting, 0)
        by_person = said.by_person[key.pass_id, key.unit, key.lot] if row.given else 0
        said.decided[key.to_hub, lot] += max(row.waiting, 0) + by_person
        unsaid = 0 if (key.pass_id, key.unit, key.lot) in said.given else row.given
        stead[row.from_hub, row.account_id, key.unit] += unsaid
        given[key.pass_id, key.unit, key.lot] += row.given - unsaid
        received[key.pass_id, key.unit, key.lot] += row.taken + row.returned
    for hub_id, lot in said.back.keys() & ahead.keys():
        open_yet = said.decided[hub_id, lot] + said.decided[b"", lot]
        twice = min(said.back[hub_id, lot], ahead[hub_id, lot] - open_yet)
        if twice > 0:
            where = f"{twice} {lot.unit} of {lot.account_id.hex()} that closed hub {hub_id.hex()} passed on"
            yield Wrong("passing", f"from {hub_id.hex()}", f"given back twice: {where} came back into the purse too")
    for giver in sorted(stead.keys() | said.stead.keys()):
        if stead[giver] != said.stead[giver]:
            text = f"what it gave unheard: {stead[giver]} is kept, the entries say {said.stead[giver]}"
            yield Wrong("passing", f"from {giver[0].hex()} {giver[2]}", text)
    for way in sorted(given.keys() | received.keys() | said.given.keys() | said.received.keys()):
        kept_as, sums = (given[way], received[way]), (said.given[way], said.received[way])
        if kept_as != sums:
            text = f"voucher or slip {way[0].hex()}: given and taken are {kept_as}, the entries say {sums}"
            yield Wrong("passing", f"{way[0].hex()} {way[1]}", text)


def _count_split(said: Recount, kept: Mapping[PassKey, PassRow]) -> Iterator[Wrong]:
    """Count what was booked in part: which lots moved, the kept rows say; how much in all, the postings do."""
    there: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
    for way, row in kept.items():
        there[way.pass_id, way.unit, way.lot] += row.taken + row.returned
    for entry, writer, posted in sorted(said.split, key=lambda one: isinstance(one[0], LeasePassed)):
        number = _number_of(entry, writer)
        parts: list[Part] = []
        for part in entry.parts:
            place = (number, part.unit, part.lot)
            parts.append(replace(part, amount=min(max(there[place] - said.received[place], 0), part.amount)))
        for unit in {part.unit for part in parts}:
            moved = sum(part.amount for part in parts if part.unit == unit)
            if not isinstance(entry, LeasePassed) and moved != -posted.get((Kind.LEASE, unit), 0):
                text = f"{moved} {unit} of voucher or slip {number.hex()} were taken late, its postings differ"
                yield Wrong("passing", f"{number.hex()} {unit}", text)
        said.note_received(number, parts)
        if isinstance(entry, LeasePassed):
            for part in parts:
                said.stead[writer.hub_id, entry.account_id, part.unit] += part.amount
        else:
            said.note_arrived(entry.account_id, parts, writer)


def _number_of(entry: LeasePassed | VoucherTaken | SlipTaken, writer: Writer) -> bytes:
    match entry:
        case LeasePassed():
            return pass_id(writer.hub_id, writer.epoch, entry.header.seq)
        case VoucherTaken():
            return pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
        case SlipTaken():
            return entry.slip_id
