"""One posting transaction: entries go in, and out come rows, postings, balances, days and leases that agree."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import msgspec.inspect

from back_office.ledger.authorizations import Authorizations
from back_office.ledger.faults import BooksBrokenError, UnbookableError
from back_office.ledger.lease_book import LeaseMove, give_back, lease_moves, spend
from back_office.store import books, chains, grants
from back_office.store.books import AccountName, PostingRow
from back_office.store.chains import EntryRow
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow
from payment_core.accounts import CHART, Account, Kind, Posting
from payment_core.journal import VERSIONS, Entry, LeaseGranted, LeaseTaken, ToppedUp, decode_entry
from payment_core.posting import imbalance, postings


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose journal the entries are of: a hub at its venue, or the tenant itself for the office's own stream."""

    hub_id: bytes
    venue_id: bytes
    stream: int
    epoch: int


class Arrived(msgspec.Struct, frozen=True):
    """An entry with its record and the chain's hash after it."""

    entry: Entry
    record: bytes
    hash: bytes


class Finding(msgspec.Struct, frozen=True):
    """Something an entry says that cannot be right: it is booked all the same.

    kind: `overclaim` and `foreign_grant` are about leases; `impossible`: money that was never put aside, or twice, or
    below nothing.
    """

    kind: str
    text: str


MAX_WHOLE: Final = 2**53 - 1
"""Numbers beyond it fit no column and no reader: an entry that has one is not booked, its batch is parked."""
Line = tuple[AccountName, str, int]
OWED: Final = frozenset({Kind.HELD, Kind.SUSPENSE, Kind.COIN_CREDIT})
"""What a hub holds for others: it may fall to nothing, and below it is an impossible claim."""


def full_name(account: Account, writer: Writer, entry: Entry) -> AccountName:
    """Return an account with its scope completed; a lease granted by the office is at the hub it was granted to."""
    scopes = {
        "tenant": b"",
        "venue": entry.header.venue or writer.venue_id,
        "hub": entry.hub if isinstance(entry, LeaseGranted) else writer.hub_id,
    }
    return AccountName(account.kind, account.key, scopes[CHART[account.kind].scope])


class Booking:
    """Books entries of one writer inside the caller's transaction. `add` in order, then `finish` once."""

    def __init__(self, tx: Transaction, tenant_id: bytes, writer: Writer, *, now_ms: int) -> None:
        """Begin; nothing is written before `finish`."""
        self.findings: list[Finding] = []
        self._tx = tx
        self._tenant_id = tenant_id
        self._writer = writer
        self._now_ms = now_ms
        self._arrived: list[Arrived] = []
        self._leases: dict[LeaseKey, LeaseRow] = {}
        self._known: frozenset[LeaseKey] = frozenset()

    def add(self, arrived: Arrived) -> None:
        """Take the next entry; UnbookableError where a number in it is beyond what books can hold."""
        header = arrived.entry.header
        numbers = [header.wall_ms, header.business_date, *(row.amount for row in postings(arrived.entry))]
        if isinstance(arrived.entry, LeaseTaken):
            numbers.append(arrived.entry.lease_epoch)
        numbers += [move.epoch or 0 for move in lease_moves(arrived.entry)]
        if any(abs(number) > MAX_WHOLE for number in numbers):
            message = f"record {header.seq}: {type(arrived.entry).__name__} holds a number beyond {MAX_WHOLE}"
            raise UnbookableError(message)
        self._arrived.append(arrived)

    def finish(self) -> None:
        """Write everything and prove the money formula for every account that was touched.

        BooksBrokenError: the books would not balance; the caller's transaction must not commit.
        """
        touched = {move.account_id for a in self._arrived for move in lease_moves(a.entry)}
        named = (ToppedUp, LeaseGranted, LeaseTaken)
        touched |= {a.entry.account_id for a in self._arrived if isinstance(a.entry, named)}
        self._leases = grants.leases_of_accounts(self._tx, self._tenant_id, touched)
        self._known = frozenset(self._leases)
        before = dict(self._leases)
        lines = [self._lines(arrived) for arrived in self._arrived]
        self._judge_authorizations()
        self._write(lines)
        changed = [(place, row) for place, row in self._leases.items() if before.get(place) != row]
        grants.write_leases(self._tx, self._tenant_id, changed, known=self._known)
        prove_accounts(self._tx, self._tenant_id, touched)

    # ---- inside ----

    def _lines(self, arrived: Arrived) -> list[Line]:
        entry = arrived.entry
        rows: Iterable[Posting] = postings(entry)
        uneven = imbalance(rows)
        if uneven:
            message = f"entry {type(entry).__name__} seq {entry.header.seq} does not balance: {uneven}"
            raise BooksBrokenError(message)
        if isinstance(entry, LeaseGranted):
            self._grant(entry)
        elif isinstance(entry, LeaseTaken):
            self._compare_grant(entry)
        else:
            rows = self._split(entry, rows)
        return [(full_name(row.account, self._writer, entry), row.unit, row.amount) for row in rows]

    def _grant(self, entry: LeaseGranted) -> None:
        place = LeaseKey(entry.account_id, entry.unit, entry.hub, entry.lease_epoch)
        row = self._leases.get(place, LeaseRow())
        if row.granted + entry.added != entry.granted:
            message = f"grant {entry.header.seq}: {row.granted} + {entry.added} is not {entry.granted}"
            raise BooksBrokenError(message)
        self._leases[place] = msgspec.structs.replace(row, granted=entry.granted, granted_seq=entry.header.seq)

    def _compare_grant(self, entry: LeaseTaken) -> None:
        place = LeaseKey(entry.account_id, entry.unit, self._writer.hub_id, entry.lease_epoch)
        granted = self._leases.get(place, LeaseRow()).granted
        if entry.granted > granted:
            text = f"entry {entry.header.seq}: it took a lease of {entry.granted} {entry.unit}, it was given {granted}"
            self.findings.append(Finding("foreign_grant", text))

    def _split(self, entry: Entry, rows: Iterable[Posting]) -> list[Posting]:
        """Return the postings with what goes beyond a lease on the over-claim account instead."""
        kept = [row for row in rows if row.account.kind is not Kind.LEASE]
        parts: dict[tuple[bytes, str], list[int]] = defaultdict(lambda: [0, 0])
        for move in lease_moves(entry):
            settled, overclaimed = self._step(entry, move)
            parts[move.account_id, move.unit][0] += settled
            parts[move.account_id, move.unit][1] += overclaimed
        for (account_id, unit), (settled, overclaimed) in parts.items():
            key = account_id.hex()
            kept.append(Posting(Account(Kind.LEASE, key), unit, settled))
            kept.append(Posting(Account(Kind.OVERCLAIM, key), unit, overclaimed))
        return [row for row in kept if row.amount]

    def _step(self, entry: Entry, move: LeaseMove) -> tuple[int, int]:
        if move.epoch == 0:
            return 0, move.amount
        epoch = self._writer.epoch if move.epoch is None else move.epoch
        place = LeaseKey(move.account_id, move.unit, self._writer.hub_id, epoch)
        row = self._leases.get(place, LeaseRow())
        step = spend(row, move.amount) if move.amount >= 0 else give_back(row, -move.amount)
        self._leases[place] = step.row
        if abs(step.row.overclaimed) > abs(row.overclaimed):
            verb = "claimed" if move.amount > 0 else "gave back"
            text = f"entry {entry.header.seq}: it {verb} {abs(step.overclaimed)} {move.unit} beyond the lease"
            self.findings.append(Finding("overclaim", text))
        return step.settled, step.overclaimed

    def _judge_authorizations(self) -> None:
        writer, judge = self._writer, Authorizations()
        named = (arrived.entry.header.authorization_id for arrived in self._arrived)
        ids = {authorization_id for authorization_id in named if authorization_id is not None}
        chain = chains.Chain(hub_id=writer.hub_id, stream=writer.stream, epoch=writer.epoch)
        for record in chains.records_of_authorizations(self._tx, self._tenant_id, chain, ids) if ids else ():
            judge.take(decode_entry(record))
        for arrived in self._arrived:
            wrong = judge.take(arrived.entry)
            if wrong:
                text = f"entry {arrived.entry.header.seq}: {type(arrived.entry).__name__}: {wrong}"
                self.findings.append(Finding("impossible", text))

    def _write(self, lines: list[list[Line]]) -> None:
        tx, tenant_id, writer = self._tx, self._tenant_id, self._writer
        chains.add_entries(tx, tenant_id, [self._entry_row(arrived) for arrived in self._arrived])
        numbers = books.account_numbers(tx, tenant_id, (line[0] for group in lines for line in group))
        kinds = {number: name.kind for name, number in numbers.items()}
        rows: list[PostingRow] = []
        moves: dict[tuple[int, str], int] = defaultdict(int)
        days: dict[books.DayPlace, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for arrived, group in zip(self._arrived, lines, strict=True):
            header, kind = arrived.entry.header, TYPE_NUMBERS[type(arrived.entry)]
            for line, (name, unit, amount) in enumerate(group):
                number = numbers[name]
                rows.append(
                    PostingRow(writer.hub_id, writer.stream, writer.epoch, header.seq, line, number, unit, amount)
                )
                moves[number, unit] += amount
                place = books.DayPlace(header.business_date, kind, header.tender.value, number, unit)
                total, count = days[place]
                days[place] = (total + amount, count + 1)
        books.add_postings(tx, tenant_id, rows)
        after = books.move_balances(tx, tenant_id, moves, kinds)
        if any(abs(amount) > MAX_WHOLE for amount in after.values()):
            message = f"records from {self._arrived[0].entry.header.seq} on: a balance would pass {MAX_WHOLE}"
            raise UnbookableError(message)
        self.findings += [
            Finding("impossible", f"account {kinds[number].value} {unit} stands {amount} on the wrong side")
            for (number, unit), amount in after.items()
            if kinds[number] in OWED and amount > 0
        ]
        books.move_days(tx, tenant_id, days)

    def _entry_row(self, arrived: Arrived) -> EntryRow:
        entry, header, writer = arrived.entry, arrived.entry.header, self._writer
        return EntryRow(
            hub_id=writer.hub_id,
            stream=writer.stream,
            epoch=writer.epoch,
            seq=header.seq,
            type=TYPE_NUMBERS[type(entry)],
            version=entry.version,
            record=arrived.record,
            hash=arrived.hash,
            business_date=header.business_date,
            wall_ms=header.wall_ms,
            authorization_id=header.authorization_id,
            machine=header.machine,
            received_ms=self._now_ms,
        )


def _number(kind: type) -> int:
    info = msgspec.inspect.type_info(kind)
    if not isinstance(info, msgspec.inspect.StructType) or not isinstance(info.tag, int):
        message = f"{kind.__name__} has no type number"
        raise TypeError(message)
    return info.tag


TYPE_NUMBERS: Final = {kind: _number(kind) for kind in VERSIONS}
"""The number by which each type of entry is known in its record."""


def prove_accounts(tx: Transaction, tenant_id: bytes, account_ids: Iterable[bytes]) -> None:
    """Prove `deposits − paid out = available + Σ(granted − settled) + settled` for some guests' accounts.

    Each term comes from a place of its own: deposits from the payments, available and what hubs hold from the balances,
    granted and settled from the leases. Nothing is paid out to guests yet, so that term is nothing.
    """
    wanted = set(account_ids)
    terms: dict[tuple[bytes, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    left: dict[tuple[bytes, str, bytes], int] = defaultdict(int)
    for (account_id, unit), amount in grants.deposits(tx, tenant_id, wanted).items():
        terms[account_id, unit][0] += amount
    for place, row in grants.leases_of_accounts(tx, tenant_id, wanted).items():
        terms[place.account_id, place.unit][1] += row.granted
        left[place.account_id, place.unit, place.hub_id] += row.left
    held = books.guest_balances(tx, tenant_id, wanted)
    for (account_id, unit), amount in held.purses.items():
        terms[account_id, unit][2] -= amount
    _compare(terms, left, {place: -amount for place, amount in held.leases.items()})


def _compare(
    terms: Mapping[tuple[bytes, str], list[int]],
    left: Mapping[tuple[bytes, str, bytes], int],
    booked: Mapping[tuple[bytes, str, bytes], int],
) -> None:
    for (account_id, unit), (deposited, granted, available) in terms.items():
        if deposited != available + granted or available < 0:
            message = (
                f"account {account_id.hex()} {unit}: {deposited} came in, but {available} is available and {granted} "
                "was granted to hubs"
            )
            raise BooksBrokenError(message)
    for place in left.keys() | booked.keys():
        if left.get(place, 0) != booked.get(place, 0):
            account_id, unit, hub_id = place
            message = (
                f"account {account_id.hex()} {unit}: the lease at hub {hub_id.hex()} has {left.get(place, 0)} left, "
                f"its balance says {booked.get(place, 0)}"
            )
            raise BooksBrokenError(message)
