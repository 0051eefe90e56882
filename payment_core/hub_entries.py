"""The entries a hub writes; docs/wire/ehb1.md lists their fields in order, payment_core.posting says what they move."""

from enum import IntEnum

from payment_core.records import Cause, Lot, Part, Record


class Held(Record, tag=2, frozen=True, array_like=True):
    """Money was put aside. The event that asked for it is (reader, event_epoch, event_seq)."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    credential_id: bytes | None
    credential_class: str | None
    reader: str
    event_epoch: int
    event_seq: int
    expires_ms: int
    facts: bytes = b""
    """what the decision looked at, packed (payment_core.facts): enough to take it again"""
    right: str = ""
    """the pass that paid, where no money did"""


class Commanded(Record, tag=3, frozen=True, array_like=True):
    """The device is told: from here on an answer is owed."""

    device: str
    command_seq: int
    credits: int
    boot_id: str = ""
    """the bridge's start the command was meant for: who asks later must ask about that one"""


class Captured(Record, tag=4, frozen=True, array_like=True):
    """Delivered: `parts` are earned, `released` goes back to where it came from. from_doubt: it was in suspense."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    cause: Cause
    released: tuple[Part, ...] = ()
    from_doubt: bool = False
    taxed: tuple[Part, ...] = ()
    """the tax that is part of what was earned, per unit"""
    staff: str = ""
    note: str = ""
    """why the attendant settled it so"""


class Voided(Record, tag=5, frozen=True, array_like=True):
    """Not delivered: all of it goes back."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    cause: Cause
    from_doubt: bool = False
    staff: str = ""
    note: str = ""


class Expired(Record, tag=6, frozen=True, array_like=True):
    """Never sent to the device in time: all of it goes back."""

    parts: tuple[Part, ...]
    account_id: bytes | None


class InDoubt(Record, tag=7, frozen=True, array_like=True):
    """Nobody can say whether it was delivered: it waits in suspense."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    cause: Cause


class Refunded(Record, tag=8, frozen=True, array_like=True):
    """Captured money goes back to the guest, at this hub at once."""

    parts: tuple[Part, ...]
    account_id: bytes | None
    """None: to the credit of the lane whose coins paid"""
    cause: Cause
    refund_id: bytes = b""
    """16 bytes, made by who asked: the same refund asked for twice is one"""
    staff: str = ""
    note: str = ""
    untaxed: tuple[Part, ...] = ()
    """the tax that goes back with it"""


class Declined(Record, tag=9, frozen=True, array_like=True):
    """A tap was refused; no money moved. `reason` is the first check that failed."""

    reason: str
    credential_id: bytes | None
    account_id: bytes | None
    credential_class: str | None
    reader: str
    event_epoch: int
    event_seq: int
    price: tuple[Part, ...] = ()
    facts: bytes = b""


class CoinBooked(Record, tag=10, frozen=True, array_like=True):
    """A coin fell into a machine's box and became credit at its lane."""

    device: str
    event_epoch: int
    event_seq: int
    counter: int
    position: int
    unit: str
    amount: int


class Tampered(Record, tag=11, frozen=True, array_like=True):
    """A device's own counter and the journal differ by `count`: counted, shown, never credited."""

    device: str
    event_epoch: int
    event_seq: int
    count: int


class LeaseTaken(Record, tag=12, frozen=True, array_like=True):
    """The hub has taken over a grant: `granted` is the new total. The office moved the money when it signed."""

    account_id: bytes
    unit: str
    lease_epoch: int
    granted: int
    added: int
    lot: Lot | None = None


class LateEvidence(Record, tag=13, frozen=True, array_like=True):
    """An answer behind the end that says another thing: kept for staff, moves nothing. `credits`: as a `done` says."""

    state: str
    outcome: str
    device: str
    credits: int = 0


class LeaseReturned(Record, tag=14, frozen=True, array_like=True):
    """Leased money goes back to the office's purse. why: `idle`, `closing`, `recall`, `over_cap`, `hub_closed`."""

    account_id: bytes
    parts: tuple[Part, ...]
    why: str


class LeasePassed(Record, tag=15, frozen=True, array_like=True):
    """Leased money left for another hub of the venue; its voucher is (this hub, this epoch, this entry's seq)."""

    account_id: bytes
    parts: tuple[Part, ...]
    to_hub: bytes


class VoucherTaken(Record, tag=16, frozen=True, array_like=True):
    """A voucher of another hub became lease here. Parts are of this hub's epoch; `voucher`: what the giver signed."""

    account_id: bytes
    parts: tuple[Part, ...]
    from_hub: bytes
    from_epoch: int
    from_seq: int
    lots: tuple[Lot, ...] = ()
    voucher: bytes = b""


class Source(IntEnum):
    """What a guest brought in with, and where it lies now."""

    DRAWER = 0
    """cash at a counter"""
    CASH_BOX = 1
    """a note or coin in a machine's box, for the account and not for the lane"""
    LANE_CREDIT = 2
    """coins at a lane that had bought no play yet"""
    WON = 3
    """tickets from a machine"""
    KEPT_TICKETS = 4
    """tickets that had waited at a lane for their owner"""


class BroughtIn(Record, tag=17, frozen=True, array_like=True):
    """A guest brought value in at this hub: it is his lease here at once. `gifts` come with it.

    `intake_id`: 16 bytes made by who took it; the same one twice is one. `place`: the drawer, machine or lane.
    """

    account_id: bytes
    parts: tuple[Part, ...]
    source: Source
    place: str
    intake_id: bytes
    lots: tuple[Lot, ...] = ()
    gifts: tuple[Part, ...] = ()
    staff: str = ""


class PaidOutHere(Record, tag=18, frozen=True, array_like=True):
    """Value that lay at this hub was paid out in cash from `place`. `payout_id` as in BroughtIn."""

    account_id: bytes
    parts: tuple[Part, ...]
    place: str
    payout_id: bytes
    staff: str
    note: str = ""


class CardSold(Record, tag=19, frozen=True, array_like=True):
    """A card became somebody's. `deposit` minor units of `unit` lie in the drawer `place`."""

    credential_id: bytes
    account_id: bytes
    credential_class: str
    media: str
    unit: str
    deposit: int
    place: str
    staff: str


class CredentialReplaced(Record, tag=20, frozen=True, array_like=True):
    """A lost card's account goes on under another card: the old one pays nothing any more, the history stays."""

    old_id: bytes
    new_id: bytes
    account_id: bytes
    credential_class: str
    media: str
    life: int
    staff: str


class CredentialBlocked(Record, tag=21, frozen=True, array_like=True):
    """A card was taken out of use here, or at the hub `heard_from`. status: `blocked` or `lost`."""

    credential_id: bytes
    account_id: bytes | None
    status: str
    staff: str
    note: str = ""
    heard_from: bytes | None = None


class ListConflict(Record, tag=22, frozen=True, array_like=True):
    """The office's list says something else than this hub knew; the list counts, but no block is lifted by it."""

    credential_id: bytes
    list_version: int
    list_status: str
    known_status: str


class SlipTaken(Record, tag=23, frozen=True, array_like=True):
    """A slip that the office had signed became lease here, once."""

    account_id: bytes
    parts: tuple[Part, ...]
    slip_id: bytes
    lots: tuple[Lot, ...] = ()


class Increased(Record, tag=24, frozen=True, array_like=True):
    """More is put aside under the same authorization."""

    parts: tuple[Part, ...]
    account_id: bytes | None


class BoxCounted(Record, tag=25, frozen=True, array_like=True):
    """A box was emptied into `place`: `counted` by hand, `booked` since the last time. `kind`: `cash_box`, `drawer`."""

    box: str
    kind: str
    unit: str
    counted: int
    booked: int
    place: str
    staff: str


class DepositTaken(Record, tag=27, frozen=True, array_like=True):
    """Leased money stands as a deposit: `of` is `room` or `card`, `for_id` says which one."""

    account_id: bytes
    parts: tuple[Part, ...]
    of: str
    for_id: str
    deposit_id: bytes


class DepositReturned(Record, tag=28, frozen=True, array_like=True):
    """A deposit goes back to where it came from; what is `kept` of it is earned."""

    account_id: bytes
    parts: tuple[Part, ...]
    kept: tuple[Part, ...]
    of: str
    for_id: str
    deposit_id: bytes
    staff: str


class TipGiven(Record, tag=29, frozen=True, array_like=True):
    """Leased money is owed to the staff member `to`."""

    account_id: bytes
    parts: tuple[Part, ...]
    to: str


class TicketsKept(Record, tag=30, frozen=True, array_like=True):
    """Tickets came out at a lane where nobody was known: they wait there for their owner."""

    device: str
    event_epoch: int
    event_seq: int
    unit: str
    amount: int
