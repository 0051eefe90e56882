"""The double-entry books: account numbers, postings, balances and days. Amounts are minor units, debit positive."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

import msgspec
import sqlalchemy as sa

from back_office.store.by_index import OF_A_NAME, by_index
from back_office.store.engine import Transaction
from back_office.store.tables import ACCOUNTS, BALANCES, DAYS, POSTINGS
from back_office.store.transaction import insert_into
from payment_core.accounts import Kind

_AT_ONCE = 500
"""How many values one IN list carries."""
_LOTS_AT_ONCE = 1_000
"""How many lots a second list carries beside the accounts'."""
Named = Mapping[bytes, Collection[bytes]]
"""Accounts, and of each the lots that are asked for by name."""


class AccountName(msgspec.Struct, frozen=True, order=True):
    """An account with its scope completed: the hub's id, the venue's, or nothing for one of the tenant's."""

    kind: Kind
    key: str
    scope_id: bytes


class PostingRow(msgspec.Struct, frozen=True):
    """One posting of the entry at (hub_id, stream, epoch, seq)."""

    hub_id: bytes
    stream: int
    epoch: int
    seq: int
    line: int
    account_no: int
    unit: str
    amount: int


class DayPlace(msgspec.Struct, frozen=True):
    """Where a business day counts: entries of one type paid in one way, on one account, in one unit."""

    business_date: int
    type: int
    tender: int
    account_no: int
    unit: str


class GuestBalances(msgspec.Struct, frozen=True):
    """Guests' balances as the ledger signs them: purses and passing by (account, unit), leases by (…, hub)."""

    purses: dict[tuple[bytes, str], int]
    leases: dict[tuple[bytes, str, bytes], int]
    passing: dict[tuple[bytes, str], int]


class Balance(msgspec.Struct, frozen=True):
    """What an account holds of one unit."""

    account: AccountName
    unit: str
    amount: int


def chunks(values: Iterable[object]) -> Iterator[list[object]]:
    """Cut values into what one IN list carries."""
    waiting = iter(values)
    while chunk := list(islice(waiting, _AT_ONCE)):
        yield chunk


def named_chunks(named: Named) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Cut accounts, and the lots that are named of each, into what two IN lists carry: never more than both need."""
    accounts: list[bytes] = []
    lots: set[bytes] = set()
    for account_id, of in named.items():
        if accounts and (len(accounts) == _AT_ONCE or len(lots) + len(of) > _LOTS_AT_ONCE):
            yield accounts, list(lots)
            accounts, lots = [], set()
        accounts.append(account_id)
        waiting = iter(of)
        lots.update(islice(waiting, _LOTS_AT_ONCE))
        while rest := set(islice(waiting, _LOTS_AT_ONCE)):
            yield accounts, list(lots)
            lots = rest
    if accounts:
        yield accounts, list(lots)


# Statements are built once: building one takes four times as long as running it.
_NUMBERS = by_index(
    sa.select(ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, ACCOUNTS.c.account_no).where(
        ACCOUNTS.c.tenant_id == sa.bindparam("tenant"),
        ACCOUNTS.c.kind.in_(sa.bindparam("kinds", expanding=True)),
        ACCOUNTS.c.key.in_(sa.bindparam("keys", expanding=True)),
    ),
    ACCOUNTS, OF_A_NAME,
)  # fmt: skip
_LAST_NUMBER = sa.select(sa.func.max(ACCOUNTS.c.account_no)).where(ACCOUNTS.c.tenant_id == sa.bindparam("tenant"))
_OPEN_ACCOUNT = insert_into(ACCOUNTS)
_POSTING_COLUMNS = ("tenant_id", *PostingRow.__struct_fields__)
_STANDS = sa.select(BALANCES.c.account_no, BALANCES.c.unit, BALANCES.c.amount).where(
    BALANCES.c.tenant_id == sa.bindparam("tenant"), BALANCES.c.account_no.in_(sa.bindparam("numbers", expanding=True))
)
_OPEN_BALANCE = insert_into(BALANCES)
_MOVE_BALANCE = (
    sa.update(BALANCES)
    .where(
        BALANCES.c.tenant_id == sa.bindparam("b_tenant"),
        BALANCES.c.account_no == sa.bindparam("b_no"),
        BALANCES.c.unit == sa.bindparam("b_unit"),
    )
    .values(amount=sa.bindparam("b_amount"))
)
_DAY_KEY = ("tenant_id", *DayPlace.__struct_fields__)


def account_numbers(tx: Transaction, tenant_id: bytes, names: Iterable[AccountName]) -> dict[AccountName, int]:
    """Return the number of every account; one that is not there yet is opened."""
    wanted = set(names)
    found: dict[AccountName, int] = {}
    kinds = sorted({name.kind.value for name in wanted})
    for keys in chunks({name.key for name in wanted}):
        for kind, key, scope_id, number in tx.execute(_NUMBERS, {"tenant": tenant_id, "kinds": kinds, "keys": keys}):
            found[_account(kind, key, scope_id)] = number
    new = sorted(wanted - found.keys())
    if new:
        first = (tx.execute(_LAST_NUMBER, {"tenant": tenant_id}).scalar() or 0) + 1
        opened = dict(zip(new, range(first, first + len(new)), strict=True))
        tx.execute(
            _OPEN_ACCOUNT,
            [
                {"tenant_id": tenant_id, "account_no": number, **msgspec.structs.asdict(name), "kind": name.kind.value}
                for name, number in opened.items()
            ],
        )
        found.update(opened)
    return {name: found[name] for name in wanted}


def add_postings(tx: Transaction, tenant_id: bytes, rows: Sequence[PostingRow]) -> None:
    """Append postings."""
    if rows:
        tx.add_rows(POSTINGS, _POSTING_COLUMNS, [(tenant_id, *msgspec.structs.astuple(row)) for row in rows])


def move_balances(
    tx: Transaction, tenant_id: bytes, moves: Mapping[tuple[int, str], int], kinds: Mapping[int, Kind]
) -> dict[tuple[int, str], int]:
    """Add `moves` {(account number, unit): amount} to the balances and return how those stand then.

    A balance that would pass its floor refuses all.
    """
    wanted = {place: amount for place, amount in sorted(moves.items()) if amount}  # two writers never cross
    held: dict[tuple[int, str], int] = {}
    for numbers in chunks({number for number, _ in wanted}):
        rows = tx.execute(_STANDS, {"tenant": tenant_id, "numbers": numbers})
        held.update({(number, unit): amount for number, unit, amount in rows})
    fresh = [
        {"tenant_id": tenant_id, "account_no": n, "unit": unit, "kind": kinds[n].value, "amount": amount}
        for (n, unit), amount in wanted.items()
        if (n, unit) not in held
    ]
    if fresh:
        tx.execute(_OPEN_BALANCE, fresh)
    moved = [
        {"b_tenant": tenant_id, "b_no": n, "b_unit": unit, "b_amount": held[n, unit] + amount}
        for (n, unit), amount in wanted.items()
        if (n, unit) in held
    ]
    if moved:
        tx.execute(_MOVE_BALANCE, moved)
    return {place: held.get(place, 0) + amount for place, amount in wanted.items()}


def move_days(tx: Transaction, tenant_id: bytes, moves: Mapping[DayPlace, tuple[int, int]]) -> None:
    """Add `moves` {place: (amount, number of postings)} to the days."""
    rows = sorted((tenant_id, *msgspec.structs.astuple(place), *sums) for place, sums in moves.items())
    if rows:
        tx.add_up(DAYS, _DAY_KEY, ("amount", "postings"), rows)


@lru_cache(maxsize=10_000)
def _account(kind: str, key: str, scope_id: bytes) -> AccountName:
    return AccountName(Kind(kind), key, scope_id)


def _named(kind: str, key: str, scope_id: bytes, unit: str, amount: int) -> Balance:
    return Balance(_account(kind, key, scope_id), unit, amount)


_BALANCE_ROWS = sa.select(
    ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, BALANCES.c.unit, BALANCES.c.amount
).join(
    BALANCES, (BALANCES.c.tenant_id == ACCOUNTS.c.tenant_id) & (BALANCES.c.account_no == ACCOUNTS.c.account_no)
)  # fmt: skip


_OF_TENANT = _BALANCE_ROWS.where(ACCOUNTS.c.tenant_id == sa.bindparam("tenant"))


def balances(tx: Transaction, tenant_id: bytes) -> list[Balance]:
    """Return every balance of a tenant."""
    return [_named(*row) for row in tx.execute(_OF_TENANT, {"tenant": tenant_id})]


def balances_by_kind(tx: Transaction, tenant_id: bytes) -> list[tuple[Kind, str, int]]:
    """Return the sum of each kind and unit."""
    total = sa.func.sum(BALANCES.c.amount)
    query = sa.select(BALANCES.c.kind, BALANCES.c.unit, total).where(BALANCES.c.tenant_id == tenant_id)
    query = query.group_by(BALANCES.c.kind, BALANCES.c.unit).order_by(BALANCES.c.kind, BALANCES.c.unit)
    return [(Kind(kind), unit, int(amount)) for kind, unit, amount in tx.execute(query)]


_BALANCE = _BALANCE_ROWS.with_only_columns(BALANCES.c.amount).where(
    ACCOUNTS.c.tenant_id == sa.bindparam("tenant"),
    ACCOUNTS.c.kind == sa.bindparam("kind"),
    ACCOUNTS.c.key == sa.bindparam("key"),
    ACCOUNTS.c.scope_id == sa.bindparam("scope"),
    BALANCES.c.unit == sa.bindparam("unit"),
)
_OF_GUESTS = by_index(
    _BALANCE_ROWS.where(
        ACCOUNTS.c.tenant_id == sa.bindparam("tenant"),
        ACCOUNTS.c.kind.in_([Kind.PURSE.value, Kind.LEASE.value, Kind.PASSING.value]),
        ACCOUNTS.c.key.in_(sa.bindparam("keys", expanding=True)),
    ),
    ACCOUNTS, OF_A_NAME,
)  # fmt: skip


def guest_balances(tx: Transaction, tenant_id: bytes, account_ids: Iterable[bytes]) -> GuestBalances:
    """Return what the books say some guests have: at the office, at hubs, and on its way."""
    found = GuestBalances({}, {}, {})
    for keys in chunks(account_id.hex() for account_id in account_ids):
        for kind, key, scope_id, unit, amount in tx.execute(_OF_GUESTS, {"tenant": tenant_id, "keys": keys}):
            account_id = bytes.fromhex(key)
            if kind == Kind.LEASE:
                found.leases[account_id, unit, scope_id] = amount
            else:
                (found.purses if kind == Kind.PURSE else found.passing)[account_id, unit] = amount
    return found


def balance(tx: Transaction, tenant_id: bytes, kind: Kind, key: str, unit: str, *, scope_id: bytes = b"") -> int:
    """Return what one account holds of a unit."""
    asked = {"tenant": tenant_id, "kind": kind.value, "key": key, "scope": scope_id, "unit": unit}
    return int(tx.execute(_BALANCE, asked).scalar() or 0)


class DayRow(msgspec.Struct, frozen=True):
    """What entries of one type and tender moved on one account on one business date, in `postings` postings."""

    business_date: int
    type: int
    tender: int
    balance: Balance
    postings: int


_DAY_ROWS = (
    sa.select(
        DAYS.c.business_date, DAYS.c.type, DAYS.c.tender, DAYS.c.postings,
        ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, DAYS.c.unit, DAYS.c.amount,
    )
    .join(ACCOUNTS, (ACCOUNTS.c.tenant_id == DAYS.c.tenant_id) & (ACCOUNTS.c.account_no == DAYS.c.account_no))
    .where(DAYS.c.tenant_id == sa.bindparam("tenant"))
)  # fmt: skip
_ROWS_OF_DAY = _DAY_ROWS.where(DAYS.c.business_date == sa.bindparam("date"))


def days(tx: Transaction, tenant_id: bytes, business_date: int | None = None) -> list[DayRow]:
    """Return what moved on one business date, or on all."""
    asked: dict[str, object] = {"tenant": tenant_id}
    if business_date is None:
        rows = tx.execute(_DAY_ROWS, asked)
    else:
        rows = tx.execute(_ROWS_OF_DAY, {**asked, "date": business_date})
    return [DayRow(date, kind, tender, _named(*moved), postings) for date, kind, tender, postings, *moved in rows]
