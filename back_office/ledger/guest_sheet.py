"""Guests' money in one posting transaction: the rows of purses, leases and what is on its way, and how they move."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from msgspec.structs import replace

from back_office.ledger.findings import Finding, Line, Writer
from back_office.ledger.intake_cap import IntakeCap
from back_office.ledger.lease_book import LeaseMove
from back_office.ledger.passing import VoucherReader
from back_office.ledger.proof import Standing, prove_standing
from back_office.store import books, grants, lots, places
from back_office.store.books import AccountName
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow
from back_office.store.lots import LotKey, LotRow, PassKey, PassRow, pass_id
from payment_core.accounts import Kind
from payment_core.journal import (
    Entry,
    HouseCharged,
    LeaseGranted,
    LeasePassed,
    LeaseTaken,
    Lot,
    Part,
    PassingReturned,
    SlipReturned,
    SlipTaken,
    ToppedUp,
    VoucherTaken,
)
from payment_core.lease import LeaseStep, lease_step

K = TypeVar("K")
V = TypeVar("V")


class Rows(Generic[K, V]):
    """Rows of one table as they stand in this transaction, and which of them changed."""

    def __init__(self, held: dict[K, V], nothing: V) -> None:
        """Take what was read; `nothing` is a row that is not there."""
        self.now = held
        self.known: Final = frozenset(held)
        self._before = dict(held)
        self._nothing = nothing

    def get(self, key: K) -> V:
        """Return a row."""
        return self.now.get(key, self._nothing)

    def changed(self) -> list[tuple[K, V]]:
        """Return the rows to write."""
        return [(key, row) for key, row in self.now.items() if self._before.get(key) != row]


class Named:
    """Which lots of which accounts, and which vouchers, some entries can touch."""

    def __init__(self, entries: Iterable[Entry], writer: Writer) -> None:
        """Read them off the entries' fields."""
        self.lots: dict[bytes, set[bytes]] = {}
        self.passes: set[bytes] = set()
        for entry in entries:
            account_id = getattr(entry, "account_id", None)
            if account_id is None:
                continue
            self.lots.setdefault(account_id, set()).update(_lots_of(entry))
            if isinstance(entry, VoucherTaken | PassingReturned):
                self.passes.add(pass_id(entry.from_hub, entry.from_epoch, entry.from_seq))
            elif isinstance(entry, LeasePassed):
                self.passes.add(pass_id(writer.hub_id, writer.epoch, entry.header.seq))
            elif isinstance(entry, SlipTaken | SlipReturned):
                self.passes.add(entry.slip_id)


_LOT_FIELDS: Final = ("parts", "onward", "released", "gifts", "forfeited", "lots", "lot")


def _lots_of(entry: Entry) -> set[bytes]:
    found: set[bytes] = {b""} if isinstance(entry, ToppedUp | HouseCharged | LeaseGranted | LeaseTaken) else set()
    for name in _LOT_FIELDS:
        value = getattr(entry, name, None)
        for one in value if isinstance(value, tuple) else (value,):
            lot = getattr(one, "lot", one)
            found.add(lot.lot if isinstance(lot, Lot) else lot) if lot is not None else None
    return found


class Sheet:
    """The guests of one writer's entries, as they stand while these are taken in order."""

    def __init__(
        self, tx: Transaction, tenant_id: bytes, writer: Writer, entries: Iterable[Entry], *, now_ms: int,
        read_voucher: VoucherReader | None,
    ) -> None:  # fmt: skip
        """Read what these entries can touch: one query per table."""
        self.findings: list[Finding] = []
        self.tx = tx
        self.tenant_id = tenant_id
        self.writer = writer
        self.now_ms = now_ms
        self.read_voucher = read_voucher
        self.intake = IntakeCap(tx, tenant_id, writer, now_ms=now_ms)
        self.lines: dict[tuple[AccountName, str], int] = defaultdict(int)
        named = Named(entries, writer)
        self._named = named.lots
        self.leases = Rows(grants.live_leases(tx, tenant_id, named.lots), LeaseRow())
        self.lots = Rows(lots.live_lots(tx, tenant_id, named.lots), LotRow())
        way = lots.passing_of(tx, tenant_id, named.lots, named.passes)
        self.passing = Rows(way, PassRow(b"", b""))
        self._balances = books.guest_balances(tx, tenant_id, named.lots)

    def write(self) -> None:
        """Write every row that changed."""
        grants.write_leases(self.tx, self.tenant_id, self.leases.changed(), known=self.leases.known)
        lots.write_lots(self.tx, self.tenant_id, self.lots.changed(), known=self.lots.known)
        lots.write_passing(self.tx, self.tenant_id, self.passing.changed(), known=self.passing.known)

    def prove(self) -> None:
        """Prove the money formula of every account that was touched; BooksBrokenError names the first."""
        standing = Standing(self.lots.now, self.leases.now, self.passing.now, self._balances)
        prove_standing(standing, self._named, only_lots=self._named)

    # ---- how rows move; each keeps the books beside them ----

    def leased(self, account_id: bytes | None, parts: Iterable[Part]) -> Iterator[tuple[LeaseKey, int]]:
        """Yield the leases that parts come from; those of the floor and of coins come from none."""
        for part in parts:
            if account_id is not None and part.lease_epoch:
                hub_id = self.writer.hub_id
                yield LeaseKey(account_id, part.unit, hub_id, part.lease_epoch, part.lot), part.amount

    def lease_of(self, account_id: bytes, part: Part) -> LeaseKey:
        """Return the lease a part goes to or leaves for good."""
        epoch = part.lease_epoch or self.writer.epoch
        return LeaseKey(account_id, part.unit, self.writer.hub_id, epoch, part.lot)

    def move(self, key: LeaseKey, step: LeaseMove, entry: Entry) -> None:
        """Note a step of a lease, and post what went beyond it."""
        before = self.leases.get(key)
        self.leases.now[key] = step.row
        if step.overclaimed:
            self.post(Kind.LEASE, key, -step.overclaimed)
            self.post(Kind.OVERCLAIM, key, step.overclaimed)
        if abs(step.row.overclaimed) > abs(before.overclaimed):
            self.overclaim(key, before)
            verb = "claimed" if step.overclaimed > 0 else "gave back"
            self.find(entry, f"it {verb} {abs(step.overclaimed)} {key.unit} beyond the lease")

    def overclaim(self, key: LeaseKey, before: LeaseRow) -> None:
        """Take the step of a lease of which more is claimed than it has, open or closed, or where there is none."""
        hub = places.hub(self.tx, self.tenant_id, key.hub_id)
        closed = hub is not None and (hub.closed_ms is not None or hub.closed_epoch >= key.epoch)
        lease_step(before.state(closed=closed), LeaseStep.OVERCLAIM)

    def give(self, way: PassKey, account_id: bytes, giver: bytes, amount: int) -> None:
        """Put money on its way."""
        row = self.passing.now.get(way, PassRow(account_id, giver))
        self.passing.now[way] = replace(row, given=row.given + amount, given_ms=self.now_ms)

    def deposit(self, key: LotKey, amount: int, facts: Lot | None) -> None:
        """Note money that came in, and what its lot is."""
        row = self.lots.get(key)
        if facts is not None and row.deposited == 0:
            opened = LotRow.of(facts)
            row = replace(
                opened, covered=row.covered, paid_out=row.paid_out, available=row.available, forgotten=row.forgotten
            )
        self.lots.now[key] = replace(row, deposited=row.deposited + amount)

    def available(self, key: LotKey, amount: int) -> None:
        """Move what of a lot is in the purse; what comes in settles first what forgotten grants took beyond it."""
        settled = min(amount, self.lots.get(key).forgotten)
        if settled > 0:
            self.stand_for_forgotten(key, -settled)
        row = self.lots.get(key)
        if amount:
            self.lots.now[key] = replace(row, available=row.available + amount)

    def stand_for_forgotten(self, key: LotKey, amount: int) -> None:
        """Fill the purse for a grant that the backup did not know of: another hub, unheard, may have returned it.

        So the books come out the same whoever is heard first. The over-claim is the tenant's own, at no hub.
        """
        row = self.lots.get(key)
        self.lots.now[key] = replace(
            row, covered=row.covered + amount, available=row.available + amount, forgotten=row.forgotten + amount
        )
        nowhere = LeaseKey(key.account_id, key.unit, self.tenant_id, 0, key.lot)
        self.post(Kind.PURSE, nowhere, -amount)
        self.post(Kind.OVERCLAIM, nowhere, amount)

    def pay_out(self, key: LotKey, amount: int) -> None:
        """Note money that left otherwise than by play."""
        row = self.lots.get(key)
        self.lots.now[key] = replace(row, paid_out=row.paid_out + amount)

    def cover(self, place: LeaseKey, amount: int) -> None:
        """Note what the venue stands for."""
        if amount:
            key = LotKey(place.account_id, place.unit, place.lot)
            row = self.lots.get(key)
            self.lots.now[key] = replace(row, covered=row.covered + amount)

    def post(self, kind: Kind, place: LeaseKey, amount: int) -> None:
        """Post beside what the entry says by itself."""
        at_hub = kind in {Kind.LEASE, Kind.OVERCLAIM}
        name = AccountName(kind, place.account_id.hex(), place.hub_id if at_hub else b"")
        self.lines[name, place.unit] += amount

    def find(self, entry: Entry, text: str) -> None:
        """Note that a hub claims what it has no right to."""
        self.note(entry, "overclaim", text)

    def note(self, entry: Entry, kind: str, why: str) -> None:
        """Note what is found about an entry, where there is anything."""
        if why:
            self.findings.append(Finding(kind, f"entry {entry.header.seq}: {why}"))

    def note_balances(self, lines: Iterable[Line]) -> None:
        """Keep the balances that the proof compares in step."""
        kept = self._balances
        for name, unit, amount in lines:
            if name.kind is Kind.LEASE:
                place = (bytes.fromhex(name.key), unit, name.scope_id)
                kept.leases[place] = kept.leases.get(place, 0) + amount
            elif name.kind is Kind.PURSE or name.kind is Kind.PASSING:
                of = kept.purses if name.kind is Kind.PURSE else kept.passing
                purse = (bytes.fromhex(name.key), unit)
                of[purse] = of.get(purse, 0) + amount
