"""The bound: the most a venue can lose while its hubs decide alone, from its live configuration, in four terms per hub.

floors C_h (sold without a lease since the last receipt), X_h (what a stolen or rolled-back hub can spend again: leases
and coins, what came from neighbours, by slips and by grants since the last receipt and is spent, and floors and doubts
once more, for their counters came back with the disk), value brought in T_h (guests' money a dead hub has not
reported), doubts D_h (voided for the guest by policy, per day).
Honest hubs on leases lose nothing; honest floors and doubts lose at most the sum of C_h + D_h; k rollbacks of a hub at
most k times X_h of goods, and k times T_h of guests' money. A disk put back to before a receipt counts as two: what it
forgot, and what it sells until the office is heard. docs/money.md derives them, and the simulator's adversary climbs
to them and never past.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

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
    Tampered,
    TicketsKept,
    TipGiven,
    Voided,
    VoucherTaken,
)
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
from payment_core.policy import Caps, RiskDocument


class Term(StrEnum):
    """A term of the bound."""

    FLOOR = "floor"
    LEASE = "lease"
    BROUGHT_IN = "brought_in"
    DOUBT = "doubt"


_NONE: Final[frozenset[Term]] = frozenset()
_LEASE: Final = frozenset({Term.LEASE})

TERMS: Final[dict[type, frozenset[Term]]] = {
    EpochOpened: _NONE,
    Held: frozenset({Term.FLOOR}),
    Increased: frozenset({Term.FLOOR}),
    Commanded: _NONE,
    Captured: _LEASE,
    Voided: frozenset({Term.LEASE, Term.DOUBT}),
    Expired: _LEASE,
    InDoubt: _NONE,
    Refunded: _LEASE,
    Declined: _NONE,
    CoinBooked: frozenset({Term.LEASE, Term.BROUGHT_IN}),
    Tampered: _NONE,
    LeaseTaken: _LEASE,
    LateEvidence: _NONE,
    LeaseReturned: _NONE,
    LeasePassed: _NONE,
    VoucherTaken: _LEASE,
    BroughtIn: frozenset({Term.LEASE, Term.BROUGHT_IN}),
    PaidOutHere: _NONE,
    CardSold: frozenset({Term.BROUGHT_IN}),
    CredentialReplaced: _NONE,
    CredentialBlocked: _NONE,
    ListConflict: _NONE,
    SlipTaken: frozenset({Term.LEASE, Term.FLOOR}),
    BoxCounted: _NONE,
    EpochClosed: _NONE,
    DepositTaken: _NONE,
    DepositReturned: _LEASE,
    TipGiven: _NONE,
    TicketsKept: _NONE,
    PrizeSeen: _NONE,
    CashSold: _NONE,
    MeterRead: _NONE,
    ConsentGiven: _NONE,
    ConsentWithdrawn: _NONE,
    TemplateEnrolled: _NONE,
    TemplateDeleted: _NONE,
    ToppedUp: _NONE,
    LeaseGranted: _LEASE,
    TopUpReversed: _NONE,
    PaidOut: _NONE,
    OpeningBooked: _NONE,
    LeaseClosed: _LEASE,
    OverclaimWrittenOff: _NONE,
    CredentialMoved: _NONE,
    SlipIssued: _NONE,
    SlipReturned: _NONE,
    PassingReturned: _LEASE,
    LotExpired: _NONE,
    ReceivablePaid: _NONE,
    OpenSettled: _NONE,
    CashMoved: _NONE,
    HouseCharged: _NONE,
    HousePaid: _NONE,
    VenuesCleared: _NONE,
    CellSent: _NONE,
    CellTaken: _NONE,
}
"""Which terms an entry can raise at the hub it is about; tests look for a type that is not here, and for a hub whose
terms rise with none that names them."""


class HubTerms(msgspec.Struct, frozen=True):
    """One hub's terms in minor units of the venue's currency."""

    hub: str
    floor: int
    lease: int
    brought_in: int
    doubt: int


class Exposure(msgspec.Struct, frozen=True):
    """A venue's worst case in minor units of `unit`.

    honest: what honest hubs can lose, floors and doubts together. rollback_bound: goods, where each hub's disk is
    restored or stolen `rollbacks` times. topup_bound: guests' money brought in and not yet reported, each of those
    times; once at least, for a hub may be lost for good.
    """

    unit: str
    honest: int
    floor_bound: int
    rollback_bound: int
    topup_bound: int
    doubt_bound: int
    hubs: tuple[HubTerms, ...]


def hub_terms(hub: str, risk: RiskDocument) -> HubTerms:
    """Return a hub's terms from the risk document it has in force."""
    return terms_of(hub, [risk.caps])


def terms_of(hub: str, versions: Sequence[Caps]) -> HubTerms:
    """Return a hub's terms where any of these may be in force: of each term the highest; none: its own defaults."""
    versions = versions or [Caps()]
    return HubTerms(
        hub,
        max(caps.floor_per_hub for caps in versions),
        max(caps.per_rollback for caps in versions),
        max(caps.top_up_cap for caps in versions),
        max(caps.doubt_cap_per_day for caps in versions),
    )


def exposure(unit: str, hubs: Sequence[HubTerms], *, rollbacks: int = 1, days: int = 1) -> Exposure:
    """Return the worst case of a venue whose hubs have these terms."""
    floor = sum(hub.floor for hub in hubs)
    doubt = days * sum(hub.doubt for hub in hubs)
    return Exposure(
        unit=unit,
        honest=floor + doubt,
        floor_bound=floor,
        rollback_bound=rollbacks * sum(hub.lease for hub in hubs),
        topup_bound=max(rollbacks, 1) * sum(hub.brought_in for hub in hubs),
        doubt_bound=doubt,
        hubs=tuple(hubs),
    )
