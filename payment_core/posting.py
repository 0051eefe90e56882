"""What each journal entry moves, as a pure function of its type and version: postings are never sent."""

from collections.abc import Iterable
from typing import Final, assert_never

from payment_core.accounts import Account, Kind, Posting
from payment_core.epoch_entries import EpochClosed, EpochOpened
from payment_core.hub_entries import (
    BoxCounted,
    BroughtIn,
    Captured,
    CardSold,
    CoinBooked,
    Commanded,
    CredentialBlocked,
    CredentialReplaced,
    Declined,
    DepositReturned,
    DepositTaken,
    Expired,
    Held,
    Increased,
    InDoubt,
    LateEvidence,
    LeasePassed,
    LeaseReturned,
    LeaseTaken,
    ListConflict,
    PaidOutHere,
    Refunded,
    SlipTaken,
    Source,
    Tampered,
    TicketsKept,
    TipGiven,
    Voided,
    VoucherTaken,
)
from payment_core.journal import Entry
from payment_core.machine_entries import CashSold, MeterRead, PrizeSeen
from payment_core.office_entries import (
    CashMoved,
    CellSent,
    CellTaken,
    CredentialMoved,
    HouseCharged,
    HousePaid,
    LeaseClosed,
    LeaseGranted,
    LotExpired,
    OpeningBooked,
    OpenSettled,
    OverclaimWrittenOff,
    PaidOut,
    PassingReturned,
    ReceivablePaid,
    SlipIssued,
    SlipReturned,
    ToppedUp,
    TopUpReversed,
    VenuesCleared,
)
from payment_core.person_entries import ConsentGiven, ConsentWithdrawn, TemplateDeleted, TemplateEnrolled
from payment_core.records import Part

_HELD: Final = Account(Kind.HELD)
_SUSPENSE: Final = Account(Kind.SUSPENSE)
_OVER_SHORT: Final = Account(Kind.OVER_SHORT)
_GIFTS: Final = Account(Kind.PROMOTION_EXPENSE)
_OPENING: Final = Account(Kind.OPENING)
CELL: Final = "cell:"
"""What the names of clearing accounts between cells begin with; those between venues are a venue's id."""

_Authorized = Held | Increased | Captured | Voided | Expired | InDoubt | Refunded
_Guest = (
    LeaseReturned | LeasePassed | VoucherTaken | BroughtIn | PaidOutHere | SlipTaken | LeaseGranted | LeaseClosed
    | SlipIssued | SlipReturned | PassingReturned | DepositTaken | DepositReturned | TipGiven
)  # fmt: skip
_Money = (
    ToppedUp | TopUpReversed | PaidOut | OpeningBooked | OverclaimWrittenOff | LotExpired | ReceivablePaid | OpenSettled
    | HouseCharged
)  # fmt: skip
_Cash = CoinBooked | CardSold | BoxCounted | CashMoved | TicketsKept | HousePaid | VenuesCleared | CashSold


def postings(entry: Entry) -> tuple[Posting, ...]:
    """Return the signed amounts of `entry`, debit positive; they sum to zero per unit. Many entries move nothing."""
    match entry:
        case Held() | Increased() | Captured() | Voided() | Expired() | InDoubt() | Refunded():
            rows = _authorization(entry)
        case (
            LeaseReturned() | LeasePassed() | VoucherTaken() | BroughtIn() | PaidOutHere() | SlipTaken()
            | LeaseGranted() | LeaseClosed() | SlipIssued() | SlipReturned() | PassingReturned() | DepositTaken()
            | DepositReturned() | TipGiven()
        ):  # fmt: skip
            rows = _of_a_guest(entry)
        case (
            ToppedUp() | TopUpReversed() | PaidOut() | OpeningBooked() | OverclaimWrittenOff() | LotExpired()
            | ReceivablePaid() | OpenSettled() | HouseCharged()
        ):  # fmt: skip
            rows = _at_the_office(entry)
        case CellSent() | CellTaken():
            rows = _between_cells(entry)
        case (
            CoinBooked() | CardSold() | BoxCounted() | CashMoved() | TicketsKept() | HousePaid() | VenuesCleared()
            | CashSold()
        ):  # fmt: skip
            rows = _cash(entry)
        case (
            EpochOpened() | Commanded() | Declined() | Tampered() | LeaseTaken() | LateEvidence()
            | CredentialReplaced() | CredentialBlocked() | ListConflict() | EpochClosed() | CredentialMoved()
            | PrizeSeen()
            | MeterRead()
            | ConsentGiven() | ConsentWithdrawn() | TemplateEnrolled() | TemplateDeleted()
        ):  # fmt: skip
            rows = []
        case _:
            assert_never(entry)
    return tuple(row for row in rows if row.amount)


def _pair(debit: Account, credit: Account, unit: str, amount: int) -> list[Posting]:
    return [Posting(debit, unit, amount), Posting(credit, unit, -amount)]


def _each(parts: Iterable[Part], *, debit: Account, credit: Account) -> list[Posting]:
    return [row for part in parts for row in _pair(debit, credit, part.unit, part.amount)]


def _source(entry: _Authorized, part: Part) -> Account:
    """Return where a part came from and goes back to: the account's lease, the floor, or the lane's coin credit."""
    if part.lease_epoch is None or entry.account_id is None:
        return Account(Kind.COIN_CREDIT, entry.header.lane or "")
    if part.lease_epoch == 0:
        return Account(Kind.OVERCLAIM, entry.account_id.hex())
    return Account(Kind.LEASE, entry.account_id.hex())


def _back(parts: Iterable[Part], *, out_of: Account, entry: _Authorized) -> list[Posting]:
    """Debit `out_of`, credit each part's own source."""
    return [row for part in parts for row in _pair(out_of, _source(entry, part), part.unit, part.amount)]


def _authorization(entry: _Authorized) -> list[Posting]:
    revenue = Account(Kind.REVENUE, entry.header.machine or "")
    tax = Account(Kind.TAX, entry.header.tax_code or "")
    match entry:
        case Held() | Increased():
            return [row for part in entry.parts for row in _pair(_source(entry, part), _HELD, part.unit, part.amount)]
        case Captured():
            waiting = _SUSPENSE if entry.from_doubt else _HELD
            earned = _each(entry.parts, debit=waiting, credit=revenue)
            taxed = _each(entry.taxed, debit=revenue, credit=tax)
            return earned + taxed + _back(entry.released, out_of=waiting, entry=entry)
        case Voided():
            return _back(entry.parts, out_of=_SUSPENSE if entry.from_doubt else _HELD, entry=entry)
        case Expired():
            return _back(entry.parts, out_of=_HELD, entry=entry)
        case InDoubt():
            return _each(entry.parts, debit=_HELD, credit=_SUSPENSE)
        case Refunded():
            return _back(entry.parts, out_of=revenue, entry=entry) + _each(entry.untaxed, debit=tax, credit=revenue)


_WAYS: Final[dict[type, tuple[Kind, Kind]]] = {
    LeaseReturned: (Kind.LEASE, Kind.PURSE), LeasePassed: (Kind.LEASE, Kind.PASSING),
    VoucherTaken: (Kind.PASSING, Kind.LEASE), SlipTaken: (Kind.PASSING, Kind.LEASE),
    SlipIssued: (Kind.PURSE, Kind.PASSING), SlipReturned: (Kind.PASSING, Kind.PURSE),
    PassingReturned: (Kind.PASSING, Kind.PURSE),
}  # fmt: skip
"""What moves a guest's money from one of his places to another: (out of, into)."""


def _of_a_guest(entry: _Guest) -> list[Posting]:
    """Move a guest's money between its places: purse, lease at a hub, on its way, brought in, paid out."""
    key = entry.account_id.hex()
    purse, lease = Account(Kind.PURSE, key), Account(Kind.LEASE, key)
    match entry:
        case LeaseGranted():
            rows = _pair(purse, lease, entry.unit, entry.added)
        case LeaseClosed():
            passing = _pair(lease, Account(Kind.PASSING, key), entry.unit, entry.passed)
            rows = _pair(lease, purse, entry.unit, entry.amount) + passing
        case BroughtIn():
            lies_at = Account(_LIES_AT[entry.source], entry.place)
            given = _each(entry.gifts, debit=_GIFTS, credit=lease)
            rows = _each(entry.parts, debit=lies_at, credit=lease) + given
        case PaidOutHere():
            rows = _each(entry.parts, debit=lease, credit=Account(Kind.DRAWER, entry.place))
        case DepositTaken() | DepositReturned() | TipGiven():
            rows = _set_aside(entry, lease)
        case _:
            out_of, into = _WAYS[type(entry)]
            rows = _each(entry.parts, debit=Account(out_of, key), credit=Account(into, key))
    return rows


def _set_aside(entry: DepositTaken | DepositReturned | TipGiven, lease: Account) -> list[Posting]:
    match entry:
        case DepositTaken():
            return _each(entry.parts, debit=lease, credit=_deposit(entry))
        case DepositReturned():
            earned = Account(Kind.REVENUE, entry.header.machine or "")
            back = _each(entry.parts, debit=_deposit(entry), credit=lease)
            return back + _each(entry.kept, debit=_deposit(entry), credit=earned)
        case TipGiven():
            return _each(entry.parts, debit=lease, credit=Account(Kind.TIPS, entry.to))


def _deposit(entry: DepositTaken | DepositReturned) -> Account:
    return Account(Kind.CARD_DEPOSIT) if entry.of == "card" else Account(Kind.ROOM_DEPOSIT, entry.for_id)


_LIES_AT: Final = {
    Source.DRAWER: Kind.DRAWER, Source.CASH_BOX: Kind.CASH_BOX, Source.LANE_CREDIT: Kind.COIN_CREDIT,
    Source.WON: Kind.PROMOTION_EXPENSE, Source.KEPT_TICKETS: Kind.TICKETS,
}  # fmt: skip


def _at_the_office(entry: _Money) -> list[Posting]:
    if isinstance(entry, OpenSettled):
        return _open_settled(entry)
    key = entry.account_id.hex()
    purse, owed = Account(Kind.PURSE, key), Account(Kind.GUEST_RECEIVABLE, key)
    match entry:
        case ToppedUp():
            paid = _pair(Account(Kind.PSP_CLEARING, entry.channel), purse, entry.unit, entry.amount)
            rows = paid + [row for gift in entry.gifts for row in _pair(_GIFTS, purse, gift.unit, gift.amount)]
        case TopUpReversed():
            channel = Account(Kind.PSP_CLEARING, entry.channel)
            there = _each(entry.parts, debit=purse, credit=channel) + _each(entry.forfeited, debit=purse, credit=_GIFTS)
            rows = there + _pair(owed, channel, entry.unit, entry.missing)
        case PaidOut():
            channel = Account(Kind.PSP_CLEARING, entry.channel)
            back = _each(entry.parts, debit=purse, credit=channel)
            rows = back + _each(entry.forfeited, debit=purse, credit=_GIFTS)
        case HouseCharged():
            rows = _pair(Account(Kind.HOUSE_ACCOUNT, entry.customer), purse, entry.unit, entry.amount)
        case OpeningBooked():
            rows = _pair(_OPENING, purse, entry.unit, entry.amount)
        case OverclaimWrittenOff():
            lost, claimed = Account(Kind.WRITE_OFF), Account(Kind.OVERCLAIM, key)
            rows = _pair(lost, claimed, entry.unit, entry.amount)
        case LotExpired():
            rows = _each(entry.parts, debit=purse, credit=_GIFTS if entry.gift else Account(Kind.UNCLAIMED))
        case ReceivablePaid():
            rows = _each(entry.parts, debit=purse, credit=owed)
        case _:
            assert_never(entry)
    return rows


def _between_cells(entry: CellSent | CellTaken) -> list[Posting]:
    purse = Account(Kind.PURSE, entry.account_id.hex())
    if isinstance(entry, CellSent):
        debit, credit = purse, clearing_of(entry.to_cell)
    else:
        debit, credit = clearing_of(entry.from_cell), purse
    return [row for lot in entry.lots for row in _pair(debit, credit, lot.unit, lot.amount)]


def clearing_of(cell: str) -> Account:
    """Return what stands between these books and another cell's: over all cells it sums to nothing."""
    return Account(Kind.CLEARING, f"{CELL}{cell}")


def _open_settled(entry: OpenSettled) -> list[Posting]:
    waiting = _SUSPENSE if entry.in_doubt else _HELD
    if entry.captured:
        revenue, tax = Account(Kind.REVENUE, entry.machine), Account(Kind.TAX, entry.header.tax_code or "")
        return _each(entry.parts, debit=waiting, credit=revenue) + _each(entry.taxed, debit=revenue, credit=tax)
    if entry.account_id is None:
        return _each(entry.parts, debit=waiting, credit=Account(Kind.UNCLAIMED))
    key = entry.account_id.hex()
    back = _each(entry.parts, debit=waiting, credit=Account(Kind.PURSE, key))
    return back + _each(entry.onward, debit=waiting, credit=Account(Kind.PASSING, key))


def _cash(entry: _Cash) -> list[Posting]:
    match entry:
        case CoinBooked():
            box = Account(Kind.CASH_BOX, entry.header.machine or "")
            rows = _pair(box, Account(Kind.COIN_CREDIT, entry.header.lane or ""), entry.unit, entry.amount)
        case CardSold():
            rows = _pair(Account(Kind.DRAWER, entry.place), Account(Kind.CARD_DEPOSIT), entry.unit, entry.deposit)
        case BoxCounted():
            emptied = Account(Kind.CASH_BOX if entry.kind == "cash_box" else Kind.DRAWER, entry.box)
            rows = _counted(emptied, _drawer_or_safe(entry.place), entry.unit, entry.booked, entry.counted)
        case CashMoved():
            emptied, into = _drawer_or_safe(entry.from_drawer), _drawer_or_safe(entry.to_drawer)
            rows = _counted(emptied, into, entry.unit, entry.booked, entry.counted)
        case CashSold():
            machine = entry.header.machine or ""
            box, revenue = Account(Kind.CASH_BOX, machine), Account(Kind.REVENUE, machine)
            tax = Account(Kind.TAX, entry.header.tax_code or "")
            rows = _pair(box, revenue, entry.unit, entry.amount) + _pair(revenue, tax, entry.unit, entry.taxed)
        case TicketsKept():
            kept = Account(Kind.TICKETS, entry.header.lane or "")
            rows = _pair(_GIFTS, kept, entry.unit, entry.amount)
        case HousePaid():
            owed = Account(Kind.HOUSE_ACCOUNT, entry.customer)
            rows = _pair(Account(Kind.PSP_CLEARING, entry.channel), owed, entry.unit, entry.amount)
        case VenuesCleared():
            owes, earns = Account(Kind.CLEARING, entry.debtor.hex()), Account(Kind.CLEARING, entry.creditor.hex())
            rows = _pair(owes, earns, entry.unit, entry.amount)
        case _:
            assert_never(entry)
    return rows


def _drawer_or_safe(name: str) -> Account:
    return Account(Kind.SAFE) if name == "safe" else Account(Kind.DRAWER, name)


def _counted(emptied: Account, into: Account, unit: str, booked: int, counted: int) -> list[Posting]:
    """What was booked leaves; what was counted arrives; the difference is named."""
    short = Posting(_OVER_SHORT, unit, booked - counted)
    return [Posting(emptied, unit, -booked), Posting(into, unit, counted), short]


def imbalance(rows: Iterable[Posting]) -> dict[str, int]:
    """Return the units whose postings do not sum to zero, with the sum; empty is balanced."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.unit] = sums.get(row.unit, 0) + row.amount
    return {unit: total for unit, total in sums.items() if total}
