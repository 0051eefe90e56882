"""What the entries add up to, gathered once through all journals."""

from collections import Counter, defaultdict

from back_office.ledger.authorizations import Authorizations
from back_office.ledger.findings import Line, Writer
from back_office.ledger.guest_facts import GuestFacts
from back_office.ledger.proof_report import Wrong
from back_office.ledger.recount import Recount
from back_office.ledger.takings import TakingsCount
from back_office.store.books import AccountName, Balance
from back_office.store.chains import EntryRow
from back_office.store.takings import LateRow
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
)

Sums = defaultdict[tuple[AccountName, str], int]
DayKey = tuple[int, int, int, AccountName, str]
"""Business date, type, tender, account, unit."""


class Recomputed:
    """Sums over all entries, which come hub by hub. `late`: which of them are kept as late."""

    def __init__(self, tenant_id: bytes, late: list[LateRow]) -> None:
        """Nothing is counted yet."""
        self.balances: Sums = defaultdict(int)
        self.days: defaultdict[DayKey, int] = defaultdict(int)
        self.day_lines: Counter[DayKey] = Counter()
        self.guests = Recount(tenant_id)
        self.facts = GuestFacts(tenant_id)
        self.takings = TakingsCount(tenant_id)
        self.late = {(row.hub_id, row.stream, row.epoch, row.seq): row for row in late}
        self._events: Counter[tuple[object, ...]] = Counter()
        self._hub_id = b""
        self._of_hub: Counter[tuple[object, ...]] = Counter()
        self._doubled = 0
        self.authorizations = Authorizations()
        self.impossible: list[Wrong] = []

    def take(self, entry: Entry, writer: Writer, row: EntryRow, stored: list[Balance], lines: list[Line]) -> None:
        """Count one entry with its stored postings."""
        late = self.late.get((row.hub_id, row.stream, row.epoch, row.seq))
        told_in = late.told_in if late else 0
        self.takings.take(entry, writer, lines, business_date=row.business_date, told_in=told_in)
        self._note_event(entry, writer)
        self.facts.take(entry, writer)
        self.guests.take(entry, writer, stored)

    def doubled(self) -> int:
        """Return how often an event was booked once more."""
        return self._doubled + _beyond_once(self._of_hub) + _beyond_once(self._events)

    def _note_event(self, entry: Entry, writer: Writer) -> None:
        if writer.hub_id != self._hub_id:  # devices are a hub's own: what they told is in memory for one hub at a time
            self._doubled += _beyond_once(self._of_hub)
            self._of_hub.clear()
            self._hub_id = writer.hub_id
        match entry:
            case Held() | Declined():
                self._of_hub["tap", entry.reader, entry.event_epoch, entry.event_seq] += 1
            case CoinBooked() | CashSold() | PrizeSeen():
                self._of_hub["coin", entry.device, entry.event_epoch, entry.event_seq] += 1
            case BroughtIn():
                self._events["intake", entry.intake_id] += 1
            case PaidOutHere():
                self._events["payout", entry.payout_id] += 1
            case Refunded() if entry.refund_id:
                self._events["refund", entry.refund_id] += 1
            case _:
                pass


def _beyond_once(counted: Counter[tuple[object, ...]]) -> int:
    return counted.total() - len(counted)
