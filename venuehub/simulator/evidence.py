"""What a run leaves behind, read once: the hubs' journals entry by entry, and what each authorization came to."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from back_office.store import chains
from cloud_sync.protocol.envelope import STREAM_LEDGER
from edge_agent.ledger.store import Row
from payment_core.journal import (
    BroughtIn,
    Captured,
    CashSold,
    Cause,
    CoinBooked,
    Commanded,
    Entry,
    Expired,
    Held,
    Increased,
    InDoubt,
    LeasePassed,
    PaidOutHere,
    Part,
    PrizeSeen,
    Refunded,
    Tampered,
    Voided,
    VoucherTaken,
    decode_entry,
)
from venuehub.simulator.hub import Hub
from venuehub.simulator.venue import Venue

End = Captured | Voided | Expired | InDoubt


class Story(msgspec.Struct):
    """One authorization: what was held, and the last thing that became of it."""

    held: Held
    parts: tuple[Part, ...]
    credits: int = 0
    end: End | None = None
    captured: int = 0
    refunded: int = 0

    @property
    def given_back_by_device(self) -> bool:
        """Whether the hub was told that the machine did not play."""
        decided = (Cause.STAFF, Cause.POLICY)
        return isinstance(self.end, Voided | Expired) and getattr(self.end, "cause", None) not in decided


class Journal:
    """One hub's journal; what it has pruned is read at the office, whose books are compared with it elsewhere.

    `rows`: what the hub still has. `spent`: what each account (None: coins) has spent or has in doubt, by unit, from
    leases. `floor`: the same of what was sold without one, by credential. `coins`: booked or named lost, by acceptor.
    """

    def __init__(self, hub: Hub, booked: list[Row]) -> None:
        self.hub = hub
        self.booked = booked
        self.rows: list[Row] = hub.store.rows("SELECT seq, record, hash FROM entries ORDER BY seq")
        first = self.rows[0][0] if self.rows else 1
        whole = [*booked[: first - 1], *self.rows]
        self.entries: list[Entry] = [decode_entry(record) for _seq, record, _hash in whole]
        self.stories: dict[bytes, Story] = {}
        self.spent: defaultdict[tuple[bytes | None, str], int] = defaultdict(int)
        self.floor: defaultdict[bytes | None, int] = defaultdict(int)
        self.coins: Counter[str] = Counter()
        self.coin_value = 0
        self.machine_words: Counter[tuple[str, int, int]] = Counter()
        self.brought: defaultdict[bytes, int] = defaultdict(int)
        self.paid_out: defaultdict[bytes, int] = defaultdict(int)
        self.passed: list[LeasePassed] = []
        self.taken: list[VoucherTaken] = []
        self.intakes: list[tuple[bytes, int]] = []
        self.payouts: list[tuple[bytes, int]] = []
        self.refunds: list[tuple[bytes, int]] = []
        for entry in self.entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Held(account_id=account_id, parts=parts):
                assert entry.header.authorization_id is not None
                self.stories[entry.header.authorization_id] = Story(entry, parts)
                self._spend(account_id, parts, entry.header.authorization_id, sign=1)
            case Commanded(credits=credits):
                self.stories[entry.header.authorization_id or b""].credits = credits
            case Increased(account_id=account_id, parts=parts):
                self.stories[entry.header.authorization_id or b""].parts += parts
                self._spend(account_id, parts, entry.header.authorization_id, sign=1)
            case Captured(account_id=account_id, released=parts):
                self._end(entry)
                self._spend(account_id, parts, entry.header.authorization_id, sign=-1)
            case Voided(account_id=account_id, parts=parts) | Expired(account_id=account_id, parts=parts):
                self._end(entry)
                self._spend(account_id, parts, entry.header.authorization_id, sign=-1)
            case InDoubt():
                self._end(entry)
            case Refunded(account_id=account_id, parts=parts):
                self._spend(account_id, parts, entry.header.authorization_id, sign=-1)
                self.refunds.append((entry.refund_id, total(parts)))
                self.stories[entry.header.authorization_id or b""].refunded += total(parts)
            case _:
                self._take_other(entry)

    def _take_other(self, entry: Entry) -> None:
        match entry:
            case LeasePassed():
                self.passed.append(entry)
            case VoucherTaken():
                self.taken.append(entry)
            case BroughtIn(account_id=account_id, parts=parts):
                self.brought[account_id] += total(parts)
                self.intakes.append((entry.intake_id, total(parts)))
            case PaidOutHere(account_id=account_id, parts=parts):
                self.paid_out[account_id] += total(parts)
                self.payouts.append((entry.payout_id, total(parts)))
            case CoinBooked(device=device, amount=amount):
                self.coins[device] += 1
                self.coin_value += amount
            case PrizeSeen() | CashSold():
                self.machine_words[entry.device, entry.event_epoch, entry.event_seq] += 1
            case Tampered(device=device, count=count):
                self.coins[device] += count
            case _:
                pass

    def _end(self, entry: End) -> None:
        story = self.stories.get(entry.header.authorization_id or b"")
        if story is not None:
            story.end = entry
            story.captured = total(entry.parts) if isinstance(entry, Captured) else 0

    def _spend(
        self, account_id: bytes | None, parts: Iterable[Part], authorization_id: bytes | None, *, sign: int
    ) -> None:
        for part in parts:
            if part.lease_epoch == 0:
                story = self.stories.get(authorization_id or b"")
                self.floor[story.held.credential_id if story else None] += sign * part.amount
            else:
                self.spent[account_id, part.unit] += sign * part.amount


def journals(venue: Venue) -> list[Journal]:
    """Read the journals of all hubs, and what the office has booked of each."""
    return [Journal(hub, _booked(venue, hub)) for hub in venue.hubs]


def _booked(venue: Venue, hub: Hub) -> list[Row]:
    tenant_id = venue.office.keys.tenant_id
    with venue.office.store.reading() as tx:
        chain = chains.chain(tx, tenant_id, hub.identity.hub_id, stream=STREAM_LEDGER, epoch=1)
        rows = list(chains.entries_of(tx, tenant_id, chain)) if chain else []
    return [(row.seq, row.record, row.hash) for row in rows]


def total(parts: Iterable[Part]) -> int:
    """Return the sum of parts of one unit."""
    return sum(part.amount for part in parts)
