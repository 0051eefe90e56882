"""The entries the office writes into its own journal: money in and out, leases, and what staff decide there."""

import msgspec

from payment_core.records import Lot, Part, Record


class Gift(msgspec.Struct, frozen=True, array_like=True):
    """What is given with a top-up: `amount` minor units of `unit`, as a lot of its own."""

    unit: str
    amount: int
    lot: Lot


class ToppedUp(Record, tag=64, frozen=True, array_like=True):
    """Money came in for an account through a channel, once per (channel, payment id)."""

    account_id: bytes
    unit: str
    amount: int
    channel: str
    payment_id: str
    lot: Lot | None = None
    gifts: tuple[Gift, ...] = ()


class LeaseGranted(Record, tag=65, frozen=True, array_like=True):
    """Part of an account's money was leased to `hub`; `granted` is the new total of this lease and lot."""

    account_id: bytes
    unit: str
    hub: bytes
    lease_epoch: int
    granted: int
    added: int
    lot: Lot | None = None


class TopUpReversed(Record, tag=66, frozen=True, array_like=True):
    """A channel took a payment back: `parts` are still in the purse, the `missing` rest the guest owes.

    `forfeited`: what is left of the gifts that came with it.
    """

    account_id: bytes
    unit: str
    parts: tuple[Part, ...]
    missing: int
    forfeited: tuple[Part, ...]
    channel: str
    payment_id: str


class PaidOut(Record, tag=67, frozen=True, array_like=True):
    """What is left of a payment goes back to the guest through its channel; `forfeited` gifts go back to the house."""

    account_id: bytes
    parts: tuple[Part, ...]
    forfeited: tuple[Part, ...]
    channel: str
    payment_id: str
    refund_id: bytes
    rule: str


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """Who stands for an entry: `name`, a public Ed25519 key, and its signature over the entry's content."""

    name: str
    key: bytes
    signature: bytes


class OpeningBooked(Record, tag=68, frozen=True, array_like=True):
    """A balance taken over from an older system, which two people signed. `source`: its name and row."""

    account_id: bytes
    unit: str
    amount: int
    lot: Lot
    source: str
    signed: tuple[Signed, ...]


class LeaseClosed(Record, tag=69, frozen=True, array_like=True):
    """An operator closed a dead hub: what it held for an account is the guest's again, at the venue's risk.

    `passed`: what other hubs took of it by vouchers whose giving nobody heard of; it is theirs, and so settled.
    """

    account_id: bytes
    unit: str
    hub: bytes
    lease_epoch: int
    lot: bytes
    amount: int
    by: str
    passed: int = 0


class OverclaimWrittenOff(Record, tag=70, frozen=True, array_like=True):
    """What a hub claimed beyond its leases is given up as a loss of the venue."""

    account_id: bytes
    unit: str
    hub: bytes
    amount: int
    by: str


class CredentialMoved(Record, tag=71, frozen=True, array_like=True):
    """A lost card's account goes on under another card, decided at the office."""

    old_id: bytes
    new_id: bytes
    account_id: bytes
    life: int
    by: str


class SlipIssued(Record, tag=72, frozen=True, array_like=True):
    """A signed slip is on the guest's phone: its money waits on the way to whatever hub takes it."""

    account_id: bytes
    parts: tuple[Part, ...]
    slip_id: bytes
    venue: bytes
    expires_ms: int


class SlipReturned(Record, tag=73, frozen=True, array_like=True):
    """A slip that no living hub took while it was good: its money is in the purse again.

    `closed`: hubs that are closed and may have taken it unheard. `onward`: what of it is not there any more, for the
    first of these had passed it on; who took it has it, and so it is settled.
    """

    account_id: bytes
    parts: tuple[Part, ...]
    slip_id: bytes
    closed: tuple[bytes, ...] = ()
    onward: tuple[Part, ...] = ()


class PassingReturned(Record, tag=74, frozen=True, array_like=True):
    """A voucher for a hub that is closed, `to_hub`, goes back to the purse.

    `onward`: what of it is not there any more, for that hub had passed it on; who took it has it, and so it is settled.
    """

    account_id: bytes
    parts: tuple[Part, ...]
    from_hub: bytes
    from_epoch: int
    from_seq: int
    by: str
    to_hub: bytes = b""
    onward: tuple[Part, ...] = ()


class LotExpired(Record, tag=75, frozen=True, array_like=True):
    """The rest of a lot ran out: a gift goes back to the house, what was paid becomes unclaimed money."""

    account_id: bytes
    parts: tuple[Part, ...]
    gift: bool


class ReceivablePaid(Record, tag=76, frozen=True, array_like=True):
    """Money in the purse settles what the guest owes from a reversed top-up."""

    account_id: bytes
    parts: tuple[Part, ...]


class OpenSettled(Record, tag=77, frozen=True, array_like=True):
    """Staff decided about an authorization of a closed hub. `captured`: earned at `machine`; else the guest's again.

    `in_doubt`: it was in suspense, else it was held.
    """

    hub: bytes
    authorization: bytes
    account_id: bytes | None
    parts: tuple[Part, ...]
    captured: bool
    in_doubt: bool
    machine: str
    by: str
    note: str
    taxed: tuple[Part, ...] = ()
    """the tax that is part of what was earned, per unit"""
    onward: tuple[Part, ...] = ()
    """what is not the purse's, for the hub had passed it on: who took it has it"""


class CashMoved(Record, tag=78, frozen=True, array_like=True):
    """Cash went from a drawer to the safe, or from the safe to a drawer; `counted` there, `booked` before."""

    from_drawer: str
    to_drawer: str
    unit: str
    counted: int
    booked: int
    by: str


class HouseCharged(Record, tag=79, frozen=True, array_like=True):
    """A customer who pays by invoice has money in his purse now and owes it. `customer`: his number in the books."""

    account_id: bytes
    unit: str
    amount: int
    customer: str
    invoice: str
    lot: Lot | None = None


class HousePaid(Record, tag=80, frozen=True, array_like=True):
    """A customer paid (a part of) what he owed by invoice, through a channel."""

    customer: str
    unit: str
    amount: int
    channel: str
    payment_id: str


class VenuesCleared(Record, tag=81, frozen=True, array_like=True):
    """What one venue earned of money that was taken in at another: `debtor` owes it to `creditor`, both venue ids."""

    debtor: bytes
    creditor: bytes
    unit: str
    amount: int
    business_date: int


class CellLot(msgspec.Struct, frozen=True, array_like=True):
    """`amount` minor units of `unit` of one lot, with the lot's facts: the other cell may not know it."""

    unit: str
    amount: int
    lot: Lot


class CellSent(Record, tag=82, frozen=True, array_like=True):
    """Money of an account left its purse for another cell's books: `to_cell` names them."""

    account_id: bytes
    to_cell: str
    lots: tuple[CellLot, ...]
    by: str


class CellTaken(Record, tag=83, frozen=True, array_like=True):
    """What another cell sent stands in the account's purse here, once for each (from_cell, from_seq).

    `from_seq`: the seq of the CellSent in that cell's own journal.
    """

    account_id: bytes
    from_cell: str
    from_seq: int
    lots: tuple[CellLot, ...]
