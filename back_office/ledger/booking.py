"""One posting transaction: entries go in, and out come rows, postings, balances, days and leases that agree."""

from collections import defaultdict
from operator import attrgetter
from typing import Final, get_args

import msgspec
import msgspec.inspect

from back_office.ledger.authorizations import Authorizations
from back_office.ledger.dates import CountedDates
from back_office.ledger.faults import BooksBrokenError, UnbookableError
from back_office.ledger.findings import Finding, Line, Writer
from back_office.ledger.guest_book import GuestBook
from back_office.ledger.passing import VoucherReader
from back_office.ledger.posted import posted_seal
from back_office.ledger.takings import LateJudge, TakingsCount
from back_office.store import books, chains
from back_office.store.books import PostingRow
from back_office.store.chains import EntryRow
from back_office.store.engine import Transaction
from payment_core.accounts import Kind, Posting
from payment_core.journal import (
    VERSIONS,
    Captured,
    CoinBooked,
    Declined,
    Entry,
    EpochOpened,
    Expired,
    Held,
    HubEntry,
    Increased,
    InDoubt,
    LeaseTaken,
    Refunded,
    Voided,
    decode_entry,
)
from payment_core.posting import imbalance, postings

__all__ = ["OWED", "TYPE_NUMBERS", "Arrived", "Booking", "Finding", "Writer"]


class Arrived(msgspec.Struct, frozen=True):
    """An entry with its record and the chain's hash after it."""

    entry: Entry
    record: bytes
    hash: bytes


MAX_WHOLE: Final = 2**53 - 1
"""Numbers beyond it fit no column and no reader: an entry that has one is not booked, its batch is parked."""
MAX_AMOUNT: Final = 10**12
"""Minor units beyond it nobody ever books in one line: the batch that does is parked. So no hub can drive an account
that it shares with others to where their batches would not be booked any more.
"""
LONGEST_NAME: Final = 128
"""Characters of a machine's, lane's or shift's name; the database finds rows by them."""
MAX_BALANCE: Final = 2**62
"""Far above what entries of MAX_AMOUNT come to, and below what a column holds."""
OWED: Final = frozenset({Kind.HELD, Kind.SUSPENSE, Kind.COIN_CREDIT})
"""What a hub holds for others: it may fall to nothing, and below it is an impossible claim."""
_OF_HUBS: Final = frozenset(get_args(HubEntry))
_JUDGED: Final = (Held, Increased, Captured, Voided, Expired, InDoubt, Refunded, Declined, CoinBooked, LeaseTaken)
"""An amount below nothing in one of these is booked and a finding; in all others it is not booked."""


class Booking:
    """Books entries inside the caller's transaction. `add` in order, then `finish` once.

    Entries of several writers go together where each of them plays only (`alike.py`); `turn_to` names the next one.
    """

    def __init__(
        self, tx: Transaction, tenant_id: bytes, writer: Writer, *, now_ms: int,
        read_voucher: VoucherReader | None = None,
    ) -> None:  # fmt: skip
        """Begin; nothing is written before `finish`. Without `read_voucher` every voucher is taken for forged."""
        self.findings: list[Finding] = []
        self._tx = tx
        self._tenant_id = tenant_id
        self._writer = writer
        self._now_ms = now_ms
        self._read_voucher = read_voucher
        self._arrived: list[Arrived] = []
        self._writers: list[Writer] = []
        self._posted: list[tuple[Posting, ...]] = []
        self._dates: list[int] = []

    def turn_to(self, writer: Writer) -> None:
        """Take the next entries as another writer's."""
        self._writer = writer

    def add(self, arrived: Arrived) -> None:
        """Take the next entry; UnbookableError where a number in it is beyond what books can hold."""
        entry = arrived.entry
        if (type(entry) in _OF_HUBS) is (self._writer.hub_id == self._tenant_id) and type(entry) is not EpochOpened:
            message = f"record {entry.header.seq}: {type(entry).__name__} is not this writer's to say"
            raise UnbookableError(message)
        rows = postings(entry)
        uneven = imbalance(rows)
        if uneven:
            message = f"entry {type(entry).__name__} seq {entry.header.seq} does not balance: {uneven}"
            raise BooksBrokenError(message)
        least = -MAX_WHOLE if isinstance(entry, _JUDGED) else 0
        numbers = _NUMBERS[type(entry)].of(entry)
        if min(numbers) < least or max(numbers) > MAX_WHOLE:
            message = f"record {entry.header.seq}: {type(entry).__name__} holds a number beyond {MAX_WHOLE}"
            raise UnbookableError(message)
        if rows and max(abs(row.amount) for row in rows) > MAX_AMOUNT:
            message = f"record {entry.header.seq}: {type(entry).__name__} moves more than {MAX_AMOUNT}"
            raise UnbookableError(message)
        header = entry.header
        longest = max(len(header.machine or ""), len(header.lane or ""), len(header.shift or ""))
        if longest > LONGEST_NAME:
            message = f"record {header.seq}: a name in it is longer than {LONGEST_NAME} characters"
            raise UnbookableError(message)
        self._arrived.append(arrived)
        self._writers.append(self._writer)
        self._posted.append(rows)

    def finish(self) -> None:
        """Write everything and prove the money formula for every account that was touched.

        BooksBrokenError: the books would not balance; the caller's transaction must not commit.
        """
        self._judge_dates()
        guests = GuestBook(
            self._tx, self._tenant_id, self._writer, [arrived.entry for arrived in self._arrived],
            now_ms=self._now_ms, read_voucher=self._read_voucher,
        )  # fmt: skip
        lines = []
        for arrived, guests.writer, rows in zip(self._arrived, self._writers, self._posted, strict=True):
            lines.append(guests.take(arrived.entry, rows))
        self.findings += guests.findings
        self._judge_authorizations()
        self._write(lines)
        guests.prove()
        guests.write()

    # ---- inside ----

    def _judge_dates(self) -> None:
        """Find the date that each entry counts to: nothing is dropped for its date, and nothing stands in no Z."""
        dates = CountedDates(self._tx, self._tenant_id, received_ms=self._now_ms)
        for arrived, writer in zip(self._arrived, self._writers, strict=True):
            header, counts_to = arrived.entry.header, dates.of(arrived.entry, writer)
            self._dates.append(counts_to)
            if counts_to != header.business_date:
                text = f"entry {header.seq} names {header.business_date} at {header.wall_ms} ms: counted to {counts_to}"
                self.findings.append(Finding("odd_date", text))

    def _judge_authorizations(self) -> None:
        named = (arrived.entry.header.authorization_id for arrived in self._arrived)
        ids = {authorization_id for authorization_id in named if authorization_id is not None}
        judges = {_journal(writer): Authorizations() for writer in self._writers}
        hubs = {hub_id for hub_id, _, _ in judges}
        for journal, record in chains.records_of_authorizations(self._tx, self._tenant_id, hubs, ids):
            if journal in judges:
                judges[journal].take(decode_entry(record))
        for arrived, writer in zip(self._arrived, self._writers, strict=True):
            wrong = judges[_journal(writer)].take(arrived.entry)
            if wrong:
                text = f"entry {arrived.entry.header.seq}: {type(arrived.entry).__name__}: {wrong}"
                self.findings.append(Finding("impossible", text))

    def _write(self, lines: list[list[Line]]) -> None:
        tx, tenant_id = self._tx, self._tenant_id
        taken = list(zip(self._arrived, self._writers, lines, self._dates, strict=True))
        chains.add_entries(tx, tenant_id, [self._entry_row(*each) for each in taken])
        numbers = books.account_numbers(tx, tenant_id, (line[0] for group in lines for line in group))
        kinds = {number: name.kind for name, number in numbers.items()}
        rows: list[PostingRow] = []
        moves: dict[tuple[int, str], int] = defaultdict(int)
        days: dict[books.DayPlace, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for arrived, writer, group, date in taken:
            header, kind = arrived.entry.header, TYPE_NUMBERS[type(arrived.entry)]
            for line, (name, unit, amount) in enumerate(group):
                number = numbers[name]
                rows.append(
                    PostingRow(writer.hub_id, writer.stream, writer.epoch, header.seq, line, number, unit, amount)
                )
                moves[number, unit] += amount
                place = books.DayPlace(date, kind, header.tender.value, number, unit)
                total, count = days[place]
                days[place] = (total + amount, count + 1)
        books.add_postings(tx, tenant_id, rows)
        after = books.move_balances(tx, tenant_id, moves, kinds)
        if any(abs(amount) > MAX_BALANCE for amount in after.values()):
            message = f"records from {self._arrived[0].entry.header.seq} on: a balance would pass {MAX_BALANCE}"
            raise UnbookableError(message)
        self.findings += [
            Finding("impossible", f"account {kinds[number].value} {unit} stands {amount} on the wrong side")
            for (number, unit), amount in after.items()
            if kinds[number] in OWED and amount > 0
        ]
        books.move_days(tx, tenant_id, days)
        self._count_takings(taken)

    def _count_takings(self, taken: list[tuple[Arrived, Writer, list[Line], int]]) -> None:
        tx, tenant_id = self._tx, self._tenant_id
        dates = set(self._dates)
        venues = {writer.venue_id for writer in self._writers}
        judges = {venue_id: LateJudge(tx, tenant_id, venue_id, dates) for venue_id in venues}
        count = TakingsCount(tenant_id)
        for arrived, writer, group, date in taken:
            told_in = judges[writer.venue_id].told_in(date)
            count.take(arrived.entry, writer, group, business_date=date, told_in=told_in)
        count.write(tx)

    def _entry_row(self, arrived: Arrived, writer: Writer, lines: list[Line], business_date: int) -> EntryRow:
        entry, header = arrived.entry, arrived.entry.header
        return EntryRow(
            hub_id=writer.hub_id,
            stream=writer.stream,
            epoch=writer.epoch,
            seq=header.seq,
            type=TYPE_NUMBERS[type(entry)],
            version=entry.version,
            record=arrived.record,
            hash=arrived.hash,
            business_date=business_date,
            wall_ms=header.wall_ms,
            authorization_id=header.authorization_id,
            machine=header.machine,
            received_ms=self._now_ms,
            posted=posted_seal(self._now_ms, lines),
        )


def _journal(writer: Writer) -> tuple[bytes, int, int]:
    return writer.hub_id, writer.stream, writer.epoch


def _number(kind: type) -> int:
    info = msgspec.inspect.type_info(kind)
    if not isinstance(info, msgspec.inspect.StructType) or not isinstance(info.tag, int):
        message = f"{kind.__name__} has no type number"
        raise TypeError(message)
    return info.tag


TYPE_NUMBERS: Final = {kind: _number(kind) for kind in VERSIONS}
"""The number by which each type of entry is known in its record."""


class _Numbers:
    """Where the whole numbers of a type of entry stand: found once, for every entry that comes is asked for them."""

    def __init__(self, kind: type) -> None:
        self._plain: list[str] = []
        self._nested: list[str] = []
        self._look(kind, "")
        self._get = attrgetter(*self._plain)

    def of(self, entry: Entry) -> list[int]:
        """Return every whole number in an entry."""
        found: list[int] = [number for number in self._get(entry) if number is not None]
        for name in self._nested:
            value = getattr(entry, name)
            if value:
                found += _numbers_in(value)
        return found

    def _look(self, kind: type, before: str) -> None:
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)
        for field in info.fields:
            kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
            if all(isinstance(one, _NO_NUMBERS) for one in kinds):
                continue
            if len(kinds) == 1 and isinstance(kinds[0], msgspec.inspect.StructType):
                self._look(kinds[0].cls, f"{before}{field.name}.")
            elif all(isinstance(one, (*_NO_NUMBERS, msgspec.inspect.IntType)) for one in kinds):
                self._plain.append(before + field.name)
            else:
                assert not before, "what is nested stands in the entry itself"
                self._nested.append(field.name)


def _numbers_in(value: object) -> list[int]:
    found: list[int] = []
    waiting = [value]
    for one in waiting:  # grows meanwhile
        if isinstance(one, int):
            found.append(one)
        elif isinstance(one, tuple):
            waiting += one
        elif isinstance(one, msgspec.Struct):
            waiting += msgspec.structs.astuple(one)
    return found


_NO_NUMBERS: Final = (
    msgspec.inspect.StrType, msgspec.inspect.BytesType, msgspec.inspect.NoneType, msgspec.inspect.BoolType,
    msgspec.inspect.EnumType,
)  # fmt: skip
_NUMBERS: Final = {kind: _Numbers(kind) for kind in VERSIONS}
