"""What is found wrong about entries that are booked all the same, and who writes the entries."""

import msgspec

from back_office.store.books import AccountName
from payment_core.accounts import CHART, Account
from payment_core.journal import Entry, LeaseClosed, LeaseGranted, OpenSettled, OverclaimWrittenOff

Line = tuple[AccountName, str, int]
"""One signed amount on one account whose name is complete."""


class Days(msgspec.Struct, frozen=True):
    """What a hub's business dates are held against: its venue's days (IANA name, minute), and when it was enrolled."""

    timezone: str
    day_begins_minute: int
    enrolled_ms: int


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose journal the entries are of: a hub at its venue, or the tenant itself for the office's own stream.

    closed: an operator has closed the hub, and all it says now is late. days: None: its dates are the office's own.
    """

    hub_id: bytes
    venue_id: bytes
    stream: int
    epoch: int
    closed: bool = False
    days: Days | None = None


class Finding(msgspec.Struct, frozen=True):
    """Something an entry says that cannot be right: it is booked all the same.

    kind: `overclaim` and `foreign_grant` are about leases; `impossible`: money that was never put aside, or twice, or
    below nothing; `slip_twice`: a slip that another hub took before; `odd_date`: a business date that is none, or not
    of its own moment; `odd_credit`: more of lanes' coins than the days can give that such dates may be of. hub_id: the
    hub it is about, empty: the writer.
    """

    kind: str
    text: str
    hub_id: bytes = b""


def full_name(account: Account, writer: Writer, entry: Entry) -> AccountName:
    """Return an account with its scope completed; what the office decides about a hub is at that hub."""
    scope = CHART[account.kind].scope
    if scope == "tenant":
        return AccountName(account.kind, account.key, b"")
    if scope == "venue":
        return AccountName(account.kind, account.key, entry.header.venue or writer.venue_id)
    if isinstance(entry, LeaseGranted | LeaseClosed | OverclaimWrittenOff | OpenSettled):
        return AccountName(account.kind, account.key, entry.hub)
    return AccountName(account.kind, account.key, writer.hub_id)
