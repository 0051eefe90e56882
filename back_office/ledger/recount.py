"""Guests' money counted anew from the entries and their stored postings, to compare with leases, lots and vouchers.

How much of an entry a hub had a right to depends on the order in which the hubs were heard; so the split is read off
the stored postings, and only sums that do not depend on any order are compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from back_office.ledger.findings import Writer
from back_office.store import grants, lots
from back_office.store.books import Balance
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey
from back_office.store.lots import LotKey, PassKey, PassRow, pass_id
from payment_core.accounts import Kind
from payment_core.journal import (
    BroughtIn,
    DepositReturned,
    DepositTaken,
    Entry,
    HouseCharged,
    LeaseClosed,
    LeaseGranted,
    LeasePassed,
    LeaseReturned,
    LotExpired,
    OpeningBooked,
    OpenSettled,
    PaidOut,
    PaidOutHere,
    Part,
    PassingReturned,
    ReceivablePaid,
    SlipIssued,
    SlipReturned,
    SlipTaken,
    TipGiven,
    ToppedUp,
    TopUpReversed,
    VoucherTaken,
)
from payment_core.lease import LeaseStep, lease_moves

GUEST_KINDS: Final = frozenset({Kind.PURSE, Kind.LEASE, Kind.PASSING, Kind.OVERCLAIM, Kind.HELD, Kind.SUSPENSE})
"""Where stored postings may differ from what an entry says; the last two: what a closed hub says late."""
_COVERS: Final = (LeasePassed, VoucherTaken, SlipTaken, LeaseGranted)
"""What may hand a guest more than was there: the venue stands for it."""
_COMES_BACK: Final = (LeaseReturned, LeaseClosed, PassingReturned, SlipReturned, OpenSettled, ToppedUp, OpeningBooked)
"""What fills the purse, and may settle what the venue stands for since a restore."""
_ASIDE: Final = (DepositTaken, DepositReturned, TipGiven)
_BACK: Final = frozenset({LeaseStep.RELEASE, LeaseStep.REFUND})
_OUT: Final = frozenset({LeaseStep.COMMIT})


class Recount:
    """Sums over all entries: what the office granted, what hubs claim and took, what came in, what is on its way."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.accounts: set[bytes] = set()
        self.granted: defaultdict[LeaseKey, int] = defaultdict(int)
        self.claimed: defaultdict[LeaseKey, int] = defaultdict(int)
        self.taken: defaultdict[LeaseKey, int] = defaultdict(int)
        self.deposited: defaultdict[LotKey, int] = defaultdict(int)
        self.given: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        self.received: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        self.covered: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        self.paid_out: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        self.stead: defaultdict[tuple[bytes, bytes, str], int] = defaultdict(int)
        """What the office said in dead givers' stead, without what they said late themselves."""
        self.back: defaultdict[tuple[bytes, LotKey], int] = defaultdict(int)
        """What of closed hubs came back into purses."""
        self.by_person: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        """What of vouchers and slips came back without the word of a closed hub."""
        self.decided: defaultdict[tuple[bytes, LotKey], int] = defaultdict(int)
        """What a closed hub may have passed on of vouchers and slips that are open yet, or that somebody decided."""
        self.payments: dict[tuple[str, str], tuple[bytes, str, int]] = {}
        self.split: list[tuple[LeasePassed | VoucherTaken | SlipTaken, Writer, dict[tuple[Kind, str], int]]] = []
        """What closed hubs said late of what was settled in their stead: only a part of it moved anything."""

    def take(self, entry: Entry, writer: Writer, stored: list[Balance]) -> None:
        """Count one entry."""
        account_id = getattr(entry, "account_id", None)
        if account_id is not None and any(row.account.kind in GUEST_KINDS for row in stored):
            self.accounts.add(account_id)
        for row in stored:
            if (
                account_id is not None
                and row.account.kind is Kind.OVERCLAIM
                and (
                    isinstance(entry, _COVERS)
                    or (isinstance(entry, _COMES_BACK) and row.account.scope_id != getattr(entry, "hub", None))
                )
            ):
                self.covered[account_id, row.unit] += row.amount
            elif isinstance(entry, PaidOutHere) and row.account.kind is Kind.LEASE:
                self.paid_out[entry.account_id, row.unit] += row.amount
        for move in lease_moves(entry) if not isinstance(entry, _ASIDE) else ():
            key = LeaseKey(move.account_id, move.unit, writer.hub_id, move.epoch, move.lot)
            if move.step in _OUT:
                self.claimed[key] += move.amount
            elif move.step in _BACK:
                self.claimed[key] -= move.amount
        self._of_office(entry)
        if isinstance(entry, OpenSettled) and entry.account_id is not None and not entry.captured:
            self._put_aside(entry, entry.account_id, stored)
        self._of_hub(entry, writer, stored)

    def compare(self, tx: Transaction, tenant_id: bytes) -> Iterator[str]:
        """Yield what the kept tables say otherwise."""
        yield from self._count_split(lots.passing(tx, tenant_id))
        kept = grants.leases(tx, tenant_id)
        for place in kept.keys() | self.granted.keys() | self.claimed.keys() | self.taken.keys():
            row = kept.get(place, grants.LeaseRow())
            kept_as = (row.granted, row.taken, row.settled + row.moved + row.overclaimed + row.beyond)
            said = (self.granted[place], self.taken[place], self.claimed[place])
            if kept_as != said:
                where = f"lease of {place.account_id.hex()} {place.unit} at {place.hub_id.hex()}"
                yield f"{where}: granted, taken and claimed are {kept_as}, the entries say {said}"
        held = lots.lots(tx, tenant_id)
        for lot in held.keys() | self.deposited.keys():
            came = held[lot].deposited if lot in held else 0
            if came != self.deposited[lot]:
                where = f"lot {lot.lot.hex() or 'none'} of {lot.account_id.hex()} {lot.unit}"
                yield f"{where}: {came} came in, the entries say {self.deposited[lot]}"
        stands: defaultdict[tuple[bytes, str], list[int]] = defaultdict(lambda: [0, 0])
        for lot, kept_lot in held.items():
            stands[lot.account_id, lot.unit][0] += kept_lot.covered
            stands[lot.account_id, lot.unit][1] += kept_lot.paid_out
        for account in stands.keys() | self.covered.keys() | self.paid_out.keys():
            if stands[account] != [self.covered[account], self.paid_out[account]]:
                said_so = (self.covered[account], self.paid_out[account])
                yield f"lots of {account[0].hex()} {account[1]}: covered and paid out are not {said_so}"
        yield from self._compare_passing(tx, tenant_id)
        booked = {
            (row.channel, row.payment_id): (row.account_id, row.unit, row.amount)
            for row in grants.payments(tx, tenant_id)
        }
        if booked != self.payments:
            yield "the payments are not what the top-up entries say"

    # ---- inside ----

    def _compare_passing(self, tx: Transaction, tenant_id: bytes) -> Iterator[str]:
        given: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        received: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        stead: defaultdict[tuple[bytes, bytes, str], int] = defaultdict(int)
        ahead: defaultdict[tuple[bytes, LotKey], int] = defaultdict(int)
        for key, row in lots.passing(tx, tenant_id).items():
            lot = LotKey(row.account_id, key.unit, key.lot)
            ahead[row.from_hub, lot] += max(-row.waiting, 0)
            by_person = self.by_person[key.pass_id, key.unit, key.lot] if row.given else 0
            self.decided[key.to_hub, lot] += max(row.waiting, 0) + by_person
            unsaid = 0 if (key.pass_id, key.unit, key.lot) in self.given else row.given
            stead[row.from_hub, row.account_id, key.unit] += unsaid
            given[key.pass_id, key.unit, key.lot] += row.given - unsaid
            received[key.pass_id, key.unit, key.lot] += row.taken + row.returned
        for hub_id, lot in self.back.keys() & ahead.keys():
            open_yet = self.decided[hub_id, lot] + self.decided[b"", lot]
            twice = min(self.back[hub_id, lot], ahead[hub_id, lot] - open_yet)
            if twice > 0:
                where = f"{twice} {lot.unit} of {lot.account_id.hex()} that closed hub {hub_id.hex()} passed on"
                yield f"given back twice: {where} came back into the purse too"
        for giver in stead.keys() | self.stead.keys():
            if stead[giver] != self.stead[giver]:
                yield f"what {giver[0].hex()} gave unheard: {stead[giver]} is kept, the entries say {self.stead[giver]}"
        for way in given.keys() | received.keys() | self.given.keys() | self.received.keys():
            kept_as, said = (given[way], received[way]), (self.given[way], self.received[way])
            if kept_as != said:
                yield f"voucher or slip {way[0].hex()}: given and taken are {kept_as}, the entries say {said}"

    def _count_split(self, kept: Mapping[PassKey, PassRow]) -> Iterator[str]:
        """Count what was booked in part: which lots moved, the kept rows say; how much in all, the postings do."""
        there: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        for way, row in kept.items():
            there[way.pass_id, way.unit, way.lot] += row.taken + row.returned
        for entry, writer, posted in sorted(self.split, key=lambda one: isinstance(one[0], LeasePassed)):
            number = _number_of(entry, writer)
            parts: list[Part] = []
            for part in entry.parts:
                place = (number, part.unit, part.lot)
                parts.append(replace(part, amount=min(max(there[place] - self.received[place], 0), part.amount)))
            for unit in {part.unit for part in parts}:
                moved = sum(part.amount for part in parts if part.unit == unit)
                if not isinstance(entry, LeasePassed) and moved != -posted.get((Kind.LEASE, unit), 0):
                    yield f"voucher or slip {number.hex()}: {moved} {unit} of it were taken late, its postings differ"
            self._received(number, parts)
            if isinstance(entry, LeasePassed):
                for part in parts:
                    self.stead[writer.hub_id, entry.account_id, part.unit] += part.amount
            else:
                self._arrived(entry.account_id, parts, writer)

    def _of_office(self, entry: Entry) -> None:
        match entry:
            case ToppedUp():
                lot = entry.lot.lot if entry.lot else b""
                self.deposited[LotKey(entry.account_id, entry.unit, lot)] += entry.amount
                for gift in entry.gifts:
                    self.deposited[LotKey(entry.account_id, gift.unit, gift.lot.lot)] += gift.amount
                self.payments[entry.channel, entry.payment_id] = (entry.account_id, entry.unit, entry.amount)
            case OpeningBooked() | HouseCharged():
                lot = entry.lot.lot if entry.lot else b""
                self.deposited[LotKey(entry.account_id, entry.unit, lot)] += entry.amount
            case LeaseGranted():
                lot = entry.lot.lot if entry.lot else b""
                self.granted[LeaseKey(entry.account_id, entry.unit, entry.hub, entry.lease_epoch, lot)] += entry.added
            case LeaseClosed():
                place = LeaseKey(entry.account_id, entry.unit, entry.hub, entry.lease_epoch, entry.lot)
                self.claimed[place] += entry.amount + entry.passed
                self.stead[entry.hub, entry.account_id, entry.unit] += entry.passed
                self.back[entry.hub, LotKey(entry.account_id, entry.unit, entry.lot)] += entry.amount
            case _:
                self._out_of_purse(entry)

    def _put_aside(self, entry: OpenSettled, account_id: bytes, stored: list[Balance]) -> None:
        beyond = any(row.account.kind is Kind.OVERCLAIM for row in stored)
        for part in entry.parts:
            lot = LotKey(account_id, part.unit, part.lot)
            if part.lease_epoch is None:
                self.deposited[lot] += part.amount
            elif not beyond:
                self.back[entry.hub, lot] += part.amount
        for row in stored:
            if row.account.kind is Kind.PASSING:
                self.stead[entry.hub, account_id, row.unit] -= row.amount

    def _out_of_purse(self, entry: Entry) -> None:
        match entry:
            case SlipIssued():
                for part in entry.parts:
                    self.given[entry.slip_id, part.unit, part.lot] += part.amount
            case SlipReturned():
                self._settled(entry, entry.slip_id, entry.closed)
            case PassingReturned():
                number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
                self._settled(entry, number, (entry.to_hub,))
            case TopUpReversed() | PaidOut() | LotExpired() | ReceivablePaid():
                forfeited = entry.forfeited if isinstance(entry, TopUpReversed | PaidOut) else ()
                for part in (*entry.parts, *forfeited):
                    self.paid_out[entry.account_id, part.unit] += part.amount
            case _:
                pass

    def _of_hub(self, entry: Entry, writer: Writer, stored: list[Balance]) -> None:
        posted = {row.account.kind for row in stored}
        match entry:
            case LeaseReturned() | PaidOutHere() | DepositTaken() | TipGiven() | DepositReturned():
                sign = -1 if isinstance(entry, DepositReturned) else 1
                self._left(entry.account_id, entry.parts, writer, sign=sign)
            case LeasePassed():
                self._left(entry.account_id, entry.parts, writer)
                self._passed(entry, writer, stored)
            case BroughtIn() if Kind.LEASE in posted:
                parts = _counted(entry, stored)
                self._arrived(entry.account_id, parts, writer)
                for part in parts:
                    self.deposited[LotKey(entry.account_id, part.unit, part.lot)] += part.amount
            case VoucherTaken() | SlipTaken() if _is_split(entry, stored):
                self.split.append((entry, writer, _posted(stored)))
            case VoucherTaken() if Kind.LEASE in posted:
                self._arrived(entry.account_id, entry.parts, writer)
                if Kind.PASSING in posted:
                    number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
                    self._received(number, entry.parts)
            case SlipTaken() if Kind.LEASE in posted:
                self._arrived(entry.account_id, entry.parts, writer)
                if Kind.PASSING in posted:
                    self._received(entry.slip_id, entry.parts)
            case _:
                pass

    def _passed(self, entry: LeasePassed, writer: Writer, stored: list[Balance]) -> None:
        number = pass_id(writer.hub_id, writer.epoch, entry.header.seq)
        for part in entry.parts:
            self.given[number, part.unit, part.lot] += part.amount
            self.stead[writer.hub_id, entry.account_id, part.unit] -= part.amount
        for row in stored:
            if row.account.kind is Kind.PASSING:
                self.stead[writer.hub_id, entry.account_id, row.unit] -= row.amount
        if sum(part.amount for part in entry.parts) != -sum(r.amount for r in stored if r.account.kind is Kind.PASSING):
            self.split.append((entry, writer, _posted(stored)))

    def _settled(self, entry: SlipReturned | PassingReturned, number: bytes, closed: tuple[bytes, ...]) -> None:
        self._received(number, (*entry.parts, *entry.onward))
        for part in entry.parts:
            self.by_person[number, part.unit, part.lot] += 0 if any(closed) else part.amount
            for hub_id in closed:
                self.back[hub_id, LotKey(entry.account_id, part.unit, part.lot)] += part.amount
        for part in entry.onward:
            self.stead[closed[0], entry.account_id, part.unit] += part.amount

    def _received(self, number: bytes, parts: Iterable[Part]) -> None:
        for part in parts:
            self.received[number, part.unit, part.lot] += part.amount

    def _left(self, account_id: bytes, parts: Iterable[Part], writer: Writer, *, sign: int = 1) -> None:
        for part in parts:
            epoch = part.lease_epoch or writer.epoch
            self.claimed[LeaseKey(account_id, part.unit, writer.hub_id, epoch, part.lot)] += sign * part.amount

    def _arrived(self, account_id: bytes, parts: Iterable[Part], writer: Writer) -> None:
        for part in parts:
            epoch = part.lease_epoch or writer.epoch
            self.taken[LeaseKey(account_id, part.unit, writer.hub_id, epoch, part.lot)] += part.amount


def _posted(stored: list[Balance]) -> dict[tuple[Kind, str], int]:
    sums: defaultdict[tuple[Kind, str], int] = defaultdict(int)
    for row in stored:
        sums[row.account.kind, row.unit] += row.amount
    return sums


def _is_split(entry: VoucherTaken | SlipTaken, stored: list[Balance]) -> bool:
    """Say whether a lease rose by a part of what was taken alone."""
    leased = -sum(row.amount for row in stored if row.account.kind is Kind.LEASE)
    return 0 < leased < sum(part.amount for part in entry.parts)


def _number_of(entry: LeasePassed | VoucherTaken | SlipTaken, writer: Writer) -> bytes:
    match entry:
        case LeasePassed():
            return pass_id(writer.hub_id, writer.epoch, entry.header.seq)
        case VoucherTaken():
            return pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
        case SlipTaken():
            return entry.slip_id


def _counted(entry: BroughtIn, stored: list[Balance]) -> tuple[Part, ...]:
    """Return what became a guest's of an intake, as its postings say: all of it, or all but its gifts."""
    leased = -sum(row.amount for row in stored if row.account.kind is Kind.LEASE)
    whole = (*entry.parts, *entry.gifts)
    return whole if leased == sum(part.amount for part in whole) else entry.parts
