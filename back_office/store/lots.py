"""Lots of guests' purses, and what is on its way between purses and hubs: vouchers and slips."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import msgspec
import sqlalchemy as sa

from back_office.store.books import Named, chunks, named_chunks
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import LOTS, PASSING
from back_office.store.transaction import Row, insert_into
from payment_core.lots import LotShare
from payment_core.records import Lot, LotKind

_EPOCH_BYTES: Final = 8


class LotKey(msgspec.Struct, frozen=True, order=True):
    """One lot of an account's purse; lot empty: money that no top-up names."""

    account_id: bytes
    unit: str
    lot: bytes = b""


class LotRow(msgspec.Struct, frozen=True):
    """A lot's facts, and four sums: `deposited` came in, `covered` the venue stands for, `paid_out` left otherwise than
    by play, `available` is in the purse. The rest is leased, on its way or spent. `forgotten`: how much of `covered` is
    for grants that books restored from a backup learned of; what comes into the purse settles that first.
    """  # noqa: D205 - one sentence

    kind: int = 0
    opened_ms: int = 0
    expires_ms: int | None = None
    channel: str = ""
    payment_id: str = ""
    terms: int = 0
    deposited: int = 0
    covered: int = 0
    paid_out: int = 0
    available: int = 0
    forgotten: int = 0

    @classmethod
    def of(cls, facts: Lot) -> Self:
        """Return the row of a lot that was just opened."""
        return cls(facts.kind, facts.opened_ms, facts.expires_ms, facts.channel, facts.payment_id, facts.terms)

    def facts(self, lot: bytes) -> Lot:
        """Return what is told about the lot to hubs."""
        kind = LotKind(self.kind)
        return Lot(lot, kind, self.opened_ms, self.expires_ms, self.channel, self.payment_id, self.terms)

    def share(self, lot: bytes) -> LotShare:
        """Return what of the lot is in the purse, for the order of spending."""
        return LotShare(lot, LotKind(self.kind), self.available, self.opened_ms, self.expires_ms)


class PassKey(msgspec.Struct, frozen=True, order=True):
    """One lot of one voucher or slip. `pass_id`: 32 bytes of giver, epoch and seq; or the slip's 16. `to_hub`: whom a
    voucher names; a slip names nobody.
    """  # noqa: D205 - one sentence

    pass_id: bytes
    to_hub: bytes
    unit: str
    lot: bytes


class PassRow(msgspec.Struct, frozen=True):
    """What its giver gave, its taker took, and what came back to the purse, all in minor units; times in UTC ms.

    `taken` is more than `given` while only the taker has been heard. `risked`: taken at the venue's risk, because its
    giver had no right to give it.
    """

    account_id: bytes
    from_hub: bytes
    given: int = 0
    taken: int = 0
    returned: int = 0
    risked: int = 0
    given_ms: int | None = None
    taken_ms: int | None = None
    taker: bytes = b""

    @property
    def waiting(self) -> int:
        """What is on its way; below nothing: what was taken and not yet heard of from its giver."""
        return self.given - self.taken - self.returned


OPEN: Final = "given - taken - returned != 0"
"""Where the two sides of a voucher or slip do not agree yet; an index holds exactly these."""


def ahead_of(giver: bytes, rows: Mapping[PassKey, PassRow]) -> list[tuple[PassKey, PassRow]]:
    """Return what was taken of a hub's vouchers ahead of its own word, in the order of their keys."""
    return [(key, row) for key, row in sorted(rows.items()) if row.from_hub == giver and row.waiting < 0]


def pass_id(giver: bytes, epoch: int, seq: int) -> bytes:
    """Return the id of a voucher: the place of its entry in its giver's journal."""
    return giver + epoch.to_bytes(_EPOCH_BYTES, "big") + seq.to_bytes(_EPOCH_BYTES, "big")


_LOT_KEY: Final = LotKey.__struct_fields__
_LOT_ROW: Final = LotRow.__struct_fields__
_PASS_KEY: Final = PassKey.__struct_fields__
_PASS_ROW: Final = PassRow.__struct_fields__
_WAITING: Final = PASSING.c.given - PASSING.c.taken - PASSING.c.returned
_LOTS: Final = sa.select(*(LOTS.c[name] for name in (*_LOT_KEY, *_LOT_ROW))).where(
    LOTS.c.tenant_id == sa.bindparam("tenant")
)
_LOTS_OF: Final = _LOTS.where(LOTS.c.account_id.in_(sa.bindparam("accounts", expanding=True)))
_LIVE_LOTS: Final = _LOTS_OF.where((LOTS.c.available > 0) | LOTS.c.lot.in_(sa.bindparam("lots", expanding=True)))
_PASSING: Final = sa.select(*(PASSING.c[name] for name in (*_PASS_KEY, *_PASS_ROW))).where(
    PASSING.c.tenant_id == sa.bindparam("tenant")
)
_PASSING_OF: Final = by_index(
    _PASSING.where(
        PASSING.c.account_id.in_(sa.bindparam("accounts", expanding=True)),
        (_WAITING != 0) | PASSING.c.lot.in_(sa.bindparam("lots", expanding=True)),
    ),
    PASSING, "passing_of_an_account",
)  # fmt: skip
_PASSES: Final = _PASSING.where(PASSING.c.pass_id.in_(sa.bindparam("ids", expanding=True)))


def _update(table: sa.Table, key: Sequence[str], values: Sequence[str]) -> sa.Update:
    place = [table.c[name] == sa.bindparam(f"b_{name}") for name in key]
    where = sa.update(table).where(table.c.tenant_id == sa.bindparam("b_tenant"), *place)
    return where.values({name: sa.bindparam(f"b_{name}") for name in values})


_INSERT_LOT: Final = insert_into(LOTS)
_UPDATE_LOT: Final = _update(LOTS, _LOT_KEY, _LOT_ROW)
_INSERT_PASS: Final = insert_into(PASSING)
_UPDATE_PASS: Final = _update(PASSING, _PASS_KEY, _PASS_ROW)


def _lot(row: Row) -> tuple[LotKey, LotRow]:
    keys = len(_LOT_KEY)
    return LotKey(*row[:keys]), LotRow(*row[keys:])


def _pass(row: Row) -> tuple[PassKey, PassRow]:
    keys = len(_PASS_KEY)
    return PassKey(*row[:keys]), PassRow(*row[keys:])


def lots(tx: Transaction, tenant_id: bytes) -> dict[LotKey, LotRow]:
    """Return every lot of a tenant."""
    return dict(map(_lot, tx.execute(_LOTS, {"tenant": tenant_id})))


def lots_of_accounts(tx: Transaction, tenant_id: bytes, account_ids: Iterable[bytes]) -> dict[LotKey, LotRow]:
    """Return all lots of some accounts."""
    found: dict[LotKey, LotRow] = {}
    for ids in chunks(account_ids):
        found.update(map(_lot, tx.execute(_LOTS_OF, {"tenant": tenant_id, "accounts": ids})))
    return found


def live_lots(tx: Transaction, tenant_id: bytes, named: Named) -> dict[LotKey, LotRow]:
    """Return the lots of some accounts that the purse still has, and those that are named of each."""
    found: dict[LotKey, LotRow] = {}
    for ids, which in named_chunks(named):
        found.update(map(_lot, tx.execute(_LIVE_LOTS, {"tenant": tenant_id, "accounts": ids, "lots": which})))
    return found


_OF_PAYMENT: Final = _LOTS.where(
    LOTS.c.channel == sa.bindparam("channel"), LOTS.c.payment_id == sa.bindparam("payment")
)


def lots_of_payment(tx: Transaction, tenant_id: bytes, *, channel: str, payment_id: str) -> dict[LotKey, LotRow]:
    """Return the lots that one payment opened, its gifts with it."""
    asked = {"tenant": tenant_id, "channel": channel, "payment": payment_id}
    return dict(map(_lot, tx.execute(_OF_PAYMENT, asked)))


def expired_lots(tx: Transaction, tenant_id: bytes, *, now_ms: int) -> dict[LotKey, LotRow]:
    """Return the lots that ran out and of which something is in the purse."""
    query = _LOTS.where(LOTS.c.expires_ms <= sa.bindparam("now"), LOTS.c.available > 0)
    return dict(map(_lot, tx.execute(query, {"tenant": tenant_id, "now": now_ms})))


_HUB: Final = 16
_EPOCH: Final = 24
"""Where a voucher's id goes on behind its giver, and behind its epoch."""
_PASSING_OPEN: Final = by_index(_PASSING.where(sa.literal_column(OPEN)), PASSING, "passing_open")
_OPEN_TO: Final = "passing_open_to_a_hub"
_UNHEARD: Final = by_index(
    sa.select(PASSING.c.from_hub, sa.func.min(PASSING.c.pass_id))
    .where(
        PASSING.c.tenant_id == sa.bindparam("tenant"), PASSING.c.to_hub == sa.bindparam("to"),
        sa.literal_column(OPEN), PASSING.c.given < PASSING.c.taken,
    )
    .group_by(PASSING.c.from_hub),
    PASSING, _OPEN_TO,
)  # fmt: skip


_ON_ITS_WAY: Final = by_index(
    sa.select(sa.func.sum(_WAITING)).where(
        PASSING.c.tenant_id == sa.bindparam("tenant"), PASSING.c.to_hub == sa.bindparam("to"),
        PASSING.c.unit == sa.bindparam("unit"), sa.literal_column(OPEN), _WAITING > 0,
    ),
    PASSING, _OPEN_TO,
)  # fmt: skip


def passing(tx: Transaction, tenant_id: bytes, *, open_only: bool = False) -> dict[PassKey, PassRow]:
    """Return every voucher and slip, or those whose two sides do not agree yet."""
    return dict(map(_pass, tx.execute(_PASSING_OPEN if open_only else _PASSING, {"tenant": tenant_id})))


def passing_of(tx: Transaction, tenant_id: bytes, named: Named, ids: Iterable[bytes]) -> dict[PassKey, PassRow]:
    """Return what is on its way for some accounts, what ever was of their named lots, and the vouchers of some ids."""
    found: dict[PassKey, PassRow] = {}
    for accounts, which in named_chunks(named):
        found.update(map(_pass, tx.execute(_PASSING_OF, {"tenant": tenant_id, "accounts": accounts, "lots": which})))
    for some in chunks(ids):
        found.update(map(_pass, tx.execute(_PASSES, {"tenant": tenant_id, "ids": some})))
    return found


def unheard_givers(tx: Transaction, tenant_id: bytes, to_hub: bytes) -> dict[bytes, tuple[int, int]]:
    """Return the first (epoch, seq) under which each hub signed something over to one and has not told of it."""
    rows = tx.execute(_UNHEARD, {"tenant": tenant_id, "to": to_hub})
    return {hub: (int.from_bytes(at[_HUB:_EPOCH], "big"), int.from_bytes(at[_EPOCH:], "big")) for hub, at in rows}


def on_its_way(tx: Transaction, tenant_id: bytes, to_hub: bytes, *, unit: str) -> int:
    """Return what of a unit was signed over to a hub that neither it nor anybody for it has taken."""
    return int(tx.execute(_ON_ITS_WAY, {"tenant": tenant_id, "to": to_hub, "unit": unit}).scalar() or 0)


def _write(
    tx: Transaction, tenant_id: bytes, rows: Sequence[tuple[msgspec.Struct, msgspec.Struct]],
    known: "frozenset[Any]", insert: sa.Insert, update: sa.Update,
) -> None:  # fmt: skip
    asdict = msgspec.structs.asdict
    fresh = [{"tenant_id": tenant_id, **asdict(key), **asdict(row)} for key, row in rows if key not in known]
    if fresh:
        tx.execute(insert, fresh)
    moved = [
        {"b_tenant": tenant_id, **{f"b_{name}": value for name, value in (asdict(key) | asdict(row)).items()}}
        for key, row in rows
        if key in known
    ]
    if moved:
        tx.execute(update, moved)


def write_lots(
    tx: Transaction, tenant_id: bytes, rows: Sequence[tuple[LotKey, LotRow]], *, known: frozenset[LotKey]
) -> None:
    """Write lots as they stand now; `known` are those that have a row already."""
    _write(tx, tenant_id, rows, known, _INSERT_LOT, _UPDATE_LOT)


def write_passing(
    tx: Transaction, tenant_id: bytes, rows: Sequence[tuple[PassKey, PassRow]], *, known: frozenset[PassKey]
) -> None:
    """Write vouchers and slips as they stand now; `known` are those that have a row already."""
    _write(tx, tenant_id, rows, known, _INSERT_PASS, _UPDATE_PASS)
