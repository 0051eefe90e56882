"""The proof of the books: everything that is kept beside the entries is computed anew from them and compared."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from back_office.ledger.authorizations import Authorizations
from back_office.ledger.booking import OWED
from back_office.ledger.faults import BooksBrokenError
from back_office.ledger.findings import Writer, full_name
from back_office.ledger.proof import prove_accounts
from back_office.ledger.recount import GUEST_KINDS, Recount
from back_office.ledger.takings import TakingsCount
from back_office.store import books, chains, places, takings
from back_office.store.books import AccountName, Balance
from back_office.store.chains import Chain, EntryRow
from back_office.store.engine import Transaction
from payment_core.errors import VaultError
from payment_core.journal import (
    BroughtIn,
    CashSold,
    CoinBooked,
    Declined,
    Entry,
    Held,
    PaidOutHere,
    PrizeSeen,
    Refunded,
    chain_hash,
    decode_entry,
)
from payment_core.posting import postings

_PAGE: Final = 1_000
_MOST_FAULTS: Final = 20

Sums = defaultdict[tuple[AccountName, str], int]


class Proof(msgspec.Struct, kw_only=True):
    """What was found. `faults`: the first sentences about what is wrong; `gaps` and `duplicates` count entries."""

    ok: bool = True
    balanced: bool = True
    entries: int = 0
    gaps: int = 0
    duplicates: int = 0
    office_equals_hubs: bool | None = None
    faults: list[str] = msgspec.field(default_factory=list)

    def fault(self, text: str) -> None:
        """Note that something is wrong."""
        self.ok = False
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(text)


class _Recomputed(msgspec.Struct):
    """What the entries add up to."""

    balances: Sums
    days: defaultdict[tuple[int, int, int, AccountName, str], int]
    guests: Recount
    events: Counter[tuple[object, ...]]
    takings: TakingsCount
    late: dict[tuple[bytes, int, int, int], int]
    authorizations: Authorizations = msgspec.field(default_factory=Authorizations)
    impossible: list[str] = msgspec.field(default_factory=list)


def prove_books(tx: Transaction, tenant_id: bytes) -> Proof:
    """Recompute postings, balances, days, leases and chains from the entries and compare each with what is kept."""
    proof = Proof()
    venue_of = {hub.hub_id: hub.venue_id for hub in places.hubs(tx, tenant_id)}
    late = {(row.hub_id, row.stream, row.epoch, row.seq): row.told_in for row in takings.late_entries(tx, tenant_id)}
    found = _Recomputed(defaultdict(int), defaultdict(int), Recount(), Counter(), TakingsCount(tenant_id), late)
    first_venue = places.venues(tx, tenant_id)[0].venue_id
    for chain in chains.chains(tx, tenant_id):
        venue_id = venue_of.get(chain.hub_id, first_venue)
        writer = Writer(hub_id=chain.hub_id, venue_id=venue_id, stream=chain.stream, epoch=chain.epoch)
        _prove_chain(tx, tenant_id, chain, writer, proof, found)
    _prove_sums(tx, tenant_id, proof, found)
    _prove_guests(tx, tenant_id, proof, found)
    for text in found.takings.compare(tx):
        proof.fault(text)
    proof.duplicates = sum(count - 1 for count in found.events.values())
    if proof.duplicates:
        proof.fault(f"{proof.duplicates} events are booked more than once")
    for text in found.impossible:
        proof.fault(text)
    return proof


def _prove_chain(
    tx: Transaction, tenant_id: bytes, chain: Chain, writer: Writer, proof: Proof, found: _Recomputed
) -> None:
    where = f"journal {chain.hub_id.hex()} epoch {chain.epoch}"
    found.authorizations = Authorizations()
    seq, tail = 0, chains.NOTHING
    for page in _pages(chains.entries_of(tx, tenant_id, chain)):
        stored = books.postings_of(tx, tenant_id, chain, first=page[0].seq, last=page[-1].seq)
        for row in page:
            if row.seq != seq + 1:
                proof.gaps += row.seq - seq - 1
                proof.fault(f"{where}: entries {seq + 1} to {row.seq - 1} are missing")
            tail = chain_hash(tail, row.record)
            if tail != row.hash:
                proof.fault(f"{where}: entry {row.seq} does not continue the hash chain")
                tail = row.hash
            _prove_entry(row, writer, stored.get(row.seq, []), proof, found)
            seq = row.seq
            proof.entries += 1
    if (seq, tail) != (chain.rec_seq, chain.tail_hash):
        proof.gaps += max(chain.rec_seq - seq, 0)
        proof.fault(f"{where}: it ends at entry {seq}, its watermark says {chain.rec_seq}")


def _pages(rows: Iterator[EntryRow]) -> Iterator[list[EntryRow]]:
    page: list[EntryRow] = []
    for row in rows:
        page.append(row)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _prove_entry(row: EntryRow, writer: Writer, stored: list[Balance], proof: Proof, found: _Recomputed) -> None:
    try:
        entry = decode_entry(row.record)
    except VaultError as error:
        proof.fault(f"entry {row.seq} of {row.hub_id.hex()}: {error}")
        return
    for posting in stored:
        found.balances[posting.account, posting.unit] += posting.amount
        found.days[row.business_date, row.type, entry.header.tender, posting.account, posting.unit] += posting.amount
    said = [Balance(full_name(row.account, writer, entry), row.unit, row.amount) for row in postings(entry)]
    if not _agree(stored, said):
        proof.fault(f"entry {row.seq} of {row.hub_id.hex()}: its postings are not what the entry says")
    told_in = found.late.get((row.hub_id, row.stream, row.epoch, row.seq), 0)
    lines = [(posting.account, posting.unit, posting.amount) for posting in stored]
    found.takings.take(entry, writer, lines, told_in=told_in)
    _count(entry, writer, stored, found)
    wrong = found.authorizations.take(entry)
    if wrong and len(found.impossible) < _MOST_FAULTS:
        what = f"entry {row.seq} of {row.hub_id.hex()}: {type(entry).__name__}"
        found.impossible.append(f"{what} is impossible: {wrong}")


def _agree(stored: list[Balance], said: list[Balance]) -> bool:
    """Say whether stored postings are what the entry says, but for what a hub had no right to.

    That is booked beside the guests: so the two may differ in guests' accounts and over-claims, by nothing in sum.
    Which of these it was to be is proven by the leases, the lots and what is on its way.
    """
    sums: Sums = defaultdict(int)
    units: defaultdict[str, int] = defaultdict(int)
    for row, sign in (*((row, 1) for row in stored), *((row, -1) for row in said)):
        sums[row.account, row.unit] += sign * row.amount
        units[row.unit] += sign * row.amount
    beside = all(name.kind in GUEST_KINDS for (name, _), amount in sums.items() if amount)
    return beside and not any(units.values())


def _count(entry: Entry, writer: Writer, stored: list[Balance], found: _Recomputed) -> None:
    match entry:
        case Held() | Declined():
            found.events[writer.hub_id, "tap", entry.reader, entry.event_epoch, entry.event_seq] += 1
        case CoinBooked() | CashSold() | PrizeSeen():
            found.events[writer.hub_id, "coin", entry.device, entry.event_epoch, entry.event_seq] += 1
        case BroughtIn():
            found.events["intake", entry.intake_id] += 1
        case PaidOutHere():
            found.events["payout", entry.payout_id] += 1
        case Refunded() if entry.refund_id:
            found.events["refund", entry.refund_id] += 1
        case _:
            pass
    found.guests.take(entry, writer, stored)


def _prove_sums(tx: Transaction, tenant_id: bytes, proof: Proof, found: _Recomputed) -> None:
    kept = {(row.account, row.unit): row.amount for row in books.balances(tx, tenant_id)}
    for place in kept.keys() | found.balances.keys():
        if kept.get(place, 0) != found.balances.get(place, 0):
            name, unit = place
            proof.fault(
                f"account {name.kind.value} {name.key} {unit}: its balance says {kept.get(place, 0)}, "
                f"its postings add up to {found.balances.get(place, 0)}"
            )
    days = {
        (row.business_date, row.type, row.tender, row.balance.account, row.balance.unit): row.balance.amount
        for row in books.days(tx, tenant_id)
    }
    for day in days.keys() | found.days.keys():
        if days.get(day, 0) != found.days.get(day, 0):
            date, _, _, name, unit = day
            proof.fault(f"day {date}, {name.kind.value} {name.key} {unit}: the day is not what its postings say")
    for (name, unit), amount in kept.items():
        if name.kind in OWED and amount > 0:
            found.impossible.append(
                f"account {name.kind.value} {name.key} {unit} is impossible: {amount} on the wrong side"
            )
    units: defaultdict[str, int] = defaultdict(int)
    for (_, unit), amount in kept.items():
        units[unit] += amount
    for unit, amount in units.items():
        if amount:
            proof.balanced = False
            proof.fault(f"the books do not balance: {unit} is off by {amount}")


def _prove_guests(tx: Transaction, tenant_id: bytes, proof: Proof, found: _Recomputed) -> None:
    for text in found.guests.compare(tx, tenant_id):
        proof.fault(text)
    try:
        prove_accounts(tx, tenant_id, found.guests.accounts)
    except BooksBrokenError as error:
        proof.fault(str(error))
