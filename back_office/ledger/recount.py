"""Guests' money counted anew from the entries and their stored postings, for recount_compare.py to compare.

How much of an entry a hub had a right to depends on the order in which the hubs were heard; so the split is read off
the stored postings, and only sums that do not depend on any order are compared.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from back_office.ledger.findings import Writer
from back_office.store.books import Balance
from back_office.store.grants import LeaseKey
from back_office.store.lots import LotKey, pass_id
from payment_core.accounts import Kind
from payment_core.journal import (
    BroughtIn,
    CellSent,
    CellTaken,
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
_FORGETS: Final = (LeaseGranted, *_COMES_BACK)
"""What the venue stands for at no hub, and what settles that; an over-claim of the tenant's own is of nothing else."""
_ASIDE: Final = (DepositTaken, DepositReturned, TipGiven)
_BACK: Final = frozenset({LeaseStep.RELEASE, LeaseStep.REFUND})
_OUT: Final = frozenset({LeaseStep.COMMIT})


class Recount:
    """Sums over all entries: what the office granted, what hubs claim and took, what came in, what is on its way."""

    def __init__(self, tenant_id: bytes) -> None:
        """Nothing is counted yet."""
        self._tenant_id = tenant_id
        self.accounts: set[bytes] = set()
        self.granted: defaultdict[LeaseKey, int] = defaultdict(int)
        self.claimed: defaultdict[LeaseKey, int] = defaultdict(int)
        self.taken: defaultdict[LeaseKey, int] = defaultdict(int)
        self.deposited: defaultdict[LotKey, int] = defaultdict(int)
        self.given: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        self.received: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        self.covered: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        self.forgotten: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        """What the venue stands for at no hub, since a restore."""
        self.paid_out: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        self.stead: defaultdict[tuple[bytes, bytes, str], int] = defaultdict(int)
        """What the office said in dead givers' stead, without what they said late themselves."""
        self.back: defaultdict[tuple[bytes, LotKey], int] = defaultdict(int)
        """What of closed hubs came back into purses."""
        self.by_person: defaultdict[tuple[bytes, str, bytes], int] = defaultdict(int)
        """What of vouchers and slips came back without the word of a closed hub."""
        self.decided: defaultdict[tuple[bytes, LotKey], int] = defaultdict(int)
        """What a closed hub may have passed on of vouchers and slips that are open yet, or that somebody decided."""
        self.payments: dict[tuple[str, str], tuple[bytes, str, int, int]] = {}
        """By channel and payment id: account, unit, amount, and the office's entry."""
        self.granted_seq: dict[LeaseKey, int] = {}
        self.split: list[tuple[LeasePassed | VoucherTaken | SlipTaken, Writer, dict[tuple[Kind, str], int]]] = []
        """What closed hubs said late of what was settled in their stead: only a part of it moved anything."""

    def take(self, entry: Entry, writer: Writer, stored: list[Balance]) -> None:
        """Count one entry."""
        account_id = getattr(entry, "account_id", None)
        if account_id is not None and any(row.account.kind in GUEST_KINDS for row in stored):
            self.accounts.add(account_id)
        for row in stored:
            at_no_hub = row.account.kind is Kind.OVERCLAIM and row.account.scope_id == self._tenant_id
            if at_no_hub and account_id is not None and isinstance(entry, _FORGETS):
                self.forgotten[account_id, row.unit] += row.amount
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

    # ---- inside ----

    def _of_office(self, entry: Entry) -> None:
        match entry:
            case ToppedUp():
                lot = entry.lot.lot if entry.lot else b""
                self.deposited[LotKey(entry.account_id, entry.unit, lot)] += entry.amount
                for gift in entry.gifts:
                    self.deposited[LotKey(entry.account_id, gift.unit, gift.lot.lot)] += gift.amount
                self.payments[entry.channel, entry.payment_id] = (
                    entry.account_id, entry.unit, entry.amount, entry.header.seq
                )  # fmt: skip
            case OpeningBooked() | HouseCharged():
                lot = entry.lot.lot if entry.lot else b""
                self.deposited[LotKey(entry.account_id, entry.unit, lot)] += entry.amount
            case CellTaken():
                for one in entry.lots:
                    self.deposited[LotKey(entry.account_id, one.unit, one.lot.lot)] += one.amount
            case LeaseGranted():
                lot = entry.lot.lot if entry.lot else b""
                grant = LeaseKey(entry.account_id, entry.unit, entry.hub, entry.lease_epoch, lot)
                self.granted[grant] += entry.added
                self.granted_seq[grant] = entry.header.seq
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
            case CellSent():
                for one in entry.lots:
                    self.paid_out[entry.account_id, one.unit] += one.amount
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
                self.note_arrived(entry.account_id, parts, writer)
                for part in parts:
                    self.deposited[LotKey(entry.account_id, part.unit, part.lot)] += part.amount
            case VoucherTaken() | SlipTaken() if _is_split(entry, stored):
                self.split.append((entry, writer, _posted(stored)))
            case VoucherTaken() if Kind.LEASE in posted:
                self.note_arrived(entry.account_id, entry.parts, writer)
                if Kind.PASSING in posted:
                    number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
                    self.note_received(number, entry.parts)
            case SlipTaken() if Kind.LEASE in posted:
                self.note_arrived(entry.account_id, entry.parts, writer)
                if Kind.PASSING in posted:
                    self.note_received(entry.slip_id, entry.parts)
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
        self.note_received(number, (*entry.parts, *entry.onward))
        for part in entry.parts:
            self.by_person[number, part.unit, part.lot] += 0 if any(closed) else part.amount
            for hub_id in closed:
                self.back[hub_id, LotKey(entry.account_id, part.unit, part.lot)] += part.amount
        for part in entry.onward:
            self.stead[closed[0], entry.account_id, part.unit] += part.amount

    def note_received(self, number: bytes, parts: Iterable[Part]) -> None:
        """Count what of a voucher or slip was taken, or came back."""
        for part in parts:
            self.received[number, part.unit, part.lot] += part.amount

    def _left(self, account_id: bytes, parts: Iterable[Part], writer: Writer, *, sign: int = 1) -> None:
        for part in parts:
            epoch = part.lease_epoch or writer.epoch
            self.claimed[LeaseKey(account_id, part.unit, writer.hub_id, epoch, part.lot)] += sign * part.amount

    def note_arrived(self, account_id: bytes, parts: Iterable[Part], writer: Writer) -> None:
        """Count what a hub's leases rose by."""
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


def _counted(entry: BroughtIn, stored: list[Balance]) -> tuple[Part, ...]:
    """Return what became a guest's of an intake, as its postings say: all of it, or all but its gifts."""
    leased = -sum(row.amount for row in stored if row.account.kind is Kind.LEASE)
    whole = (*entry.parts, *entry.gifts)
    return whole if leased == sum(part.amount for part in whole) else entry.parts
