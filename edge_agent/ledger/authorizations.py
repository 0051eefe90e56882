"""Authorizations as narrow rows: where each stands, and where in the journal it says what was held.

A row is small and its state has a fixed size, so that a step rewrites one page in place. Parts, account, lane and
device are not stored twice: they are in the entry at `held_seq` and in the COMMANDED entry right behind it.
`ended_seq` is that of the entry that ended it (or increased it last); until then it is `held_seq`, of the same size.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from edge_agent.ledger.store import LedgerError, Row, Store
from payment_core.authorization import OPEN, State, Step, advance
from payment_core.identifiers import uuid7
from payment_core.journal import Captured, Commanded, Declined, Entry, Held, Increased, Part, decode_own
from payment_core.records import ListStamp, stamp_of

CODES: Final[dict[State, int]] = {
    State.HELD: 2, State.COMMANDED: 3, State.CAPTURED: 4, State.VOIDED: 5, State.EXPIRED: 6, State.IN_DOUBT: 7,
    State.REFUNDED: 8, State.DECLINED: 9,
}  # fmt: skip
"""State as the database keeps it: one byte each (SQLite stores 0 and 1 in none), so an update stays in place."""
STATES: Final = {code: state for state, code in CODES.items()}

_COLUMNS: Final = "id, state, reader, event_epoch, event_seq, at_ms, held_seq, ended_seq"
_INSERT: Final = f"INSERT INTO authorizations({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)"
_BY_ID: Final = f"SELECT {_COLUMNS} FROM authorizations WHERE id = ?"
_RECENT: Final = (
    f"SELECT {_COLUMNS} FROM authorizations WHERE id >= ? AND reader = ? AND event_epoch = ? AND event_seq = ? LIMIT 1"
)
RECENT_MS: Final = 60_000
"""How far back the first answer to a repeated event is looked for; a wish older than 2 s is worth nothing."""
_OPEN_CODES: Final = ", ".join(str(CODES[state]) for state in sorted(OPEN))
_OPEN_IDS: Final = (
    "CREATE TEMP TABLE open_ids(id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
    f"INSERT INTO open_ids SELECT id FROM authorizations WHERE state IN ({_OPEN_CODES})",
    f"""CREATE TEMP TRIGGER open_ids_grow AFTER INSERT ON main.authorizations WHEN NEW.state IN ({_OPEN_CODES})
        BEGIN INSERT INTO open_ids VALUES (NEW.id); END""",
    f"""CREATE TEMP TRIGGER open_ids_shrink AFTER UPDATE OF state ON main.authorizations
        WHEN NEW.state NOT IN ({_OPEN_CODES}) BEGIN DELETE FROM open_ids WHERE id = NEW.id; END""",
)
"""Which are open, in this connection's memory: filled by one look at every row, kept by triggers, rolled back with the
rest. An index would say the same, and cost every authorization two more pages on the card."""
_IS_KEPT: Final = "SELECT 1 FROM temp.sqlite_schema WHERE name = 'open_ids'"
_OPEN: Final = f"SELECT {_COLUMNS} FROM temp.open_ids CROSS JOIN authorizations USING (id) ORDER BY id"
_WISH_MARK: Final = "SELECT seq, told FROM device_marks WHERE device = ? AND epoch = ? AND kind = 1"
_MARK_WISH: Final = (
    "INSERT INTO device_marks(device, epoch, kind, seq, told) VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET "
    "seq = max(seq, excluded.seq), told = excluded.told"
)
_RECORDS: Final = "SELECT record FROM entries WHERE seq IN (?, ?) ORDER BY seq"
_UPDATE: Final = "UPDATE authorizations SET state = ? WHERE id = ?"
_END: Final = "UPDATE authorizations SET state = ?, ended_seq = ? WHERE id = ?"


class AuthorizationRow(msgspec.Struct, frozen=True):
    """Where one stands. The event that asked for it is (reader, event_epoch, event_seq); at_ms: UTC.

    `ended_seq`: the entry that ended or last increased it; 0 or `held_seq`: there is none yet.
    """

    id: bytes
    state: State
    reader: str
    event_epoch: int
    event_seq: int
    at_ms: int
    held_seq: int
    ended_seq: int = 0


class Authorization(msgspec.Struct, frozen=True):
    """The row with what the journal says was held, for whom, and what the device was told."""

    id: bytes
    state: State
    held_seq: int
    lane: str | None
    credential_id: bytes | None
    account_id: bytes | None
    parts: tuple[Part, ...]
    device: str = ""
    command_seq: int = 0
    credits: int = 0
    boot_id: str = ""
    reason: str = ""
    ended_seq: int = 0
    tax_code: str | None = None
    at_ms: int = 0
    right: str = ""
    stamp: ListStamp | None = None
    """the price list it began with, and ends with"""
    certain: int = 0
    """in doubt: so many of `credits` left the device for certain"""

    @property
    def amount(self) -> int:
        """The sum of all parts, for pages and logs (units may differ)."""
        return sum(part.amount for part in self.parts)


def _read(row: Row) -> AuthorizationRow:
    return AuthorizationRow(row[0], STATES[row[1]], row[2], row[3], row[4], row[5], row[6], row[7])


def _first(rows: list[Row]) -> AuthorizationRow | None:
    return _read(rows[0]) if rows else None


def insert(store: Store, row: AuthorizationRow) -> None:
    """Write a new authorization (or a decline); its entries belong to the same commit."""
    values = (
        row.id, CODES[row.state], row.reader, row.event_epoch, row.event_seq, row.at_ms, row.held_seq,
        row.ended_seq or row.held_seq,
    )  # fmt: skip
    store.execute(_INSERT, values)


def by_id(store: Store, authorization_id: bytes) -> AuthorizationRow | None:
    """Return one authorization, or None."""
    return _first(store.rows(_BY_ID, (authorization_id,)))


class WishMark(msgspec.Struct, frozen=True):
    """The newest event of a reader that was answered, in one epoch, and the authorization answered last there."""

    seq: int
    answer: bytes


def wish_mark(store: Store, reader: str, event_epoch: int) -> WishMark | None:
    """Return a reader's mark: an event at or below it never sells again. None before the first."""
    rows = store.rows(_WISH_MARK, (reader, event_epoch))
    return WishMark(*rows[0]) if rows else None


def mark_wish(store: Store, reader: str, event_epoch: int, seq: int, answer: bytes) -> None:
    """Remember that an event was answered; one that waited for money may come behind a later one."""
    store.execute(_MARK_WISH, (reader, event_epoch, seq, answer))


def recent_answer(
    store: Store, reader: str, event_epoch: int, event_seq: int, *, now_ms: int
) -> AuthorizationRow | None:
    """Return what an event of the last minute led to, or None; ids are in order of time, so this needs no index."""
    since = uuid7(unix_ms=max(now_ms - RECENT_MS, 0), dice=bytes(10))
    return _first(store.rows(_RECENT, (since, reader, event_epoch, event_seq)))


def open_ones(store: Store) -> list[AuthorizationRow]:
    """Return all that still owe an answer, oldest first (ids are in order of time); only the first call looks far."""
    if not store.rows(_IS_KEPT):
        for statement in _OPEN_IDS:
            store.execute(statement)
    return [_read(row) for row in store.rows(_OPEN)]


def forget(store: Store, entries: Iterable[Entry], *, through_seq: int) -> None:
    """Drop the authorizations whose hold (or decline) is among `entries`, which go, and was journaled by then."""
    ids = {entry.header.authorization_id for entry in entries if isinstance(entry, Held | Declined)}
    store.executemany("DELETE FROM authorizations WHERE id = ? AND held_seq <= ?", [(one, through_seq) for one in ids])


def load(store: Store, row: AuthorizationRow) -> Authorization:
    """Return a row with what its entries say; LedgerError where the journal does not have them."""
    entries = [decode_own(record) for (record,) in store.rows(_RECORDS, (row.held_seq, row.held_seq + 1))]
    match entries:
        case [Held() as held, Commanded() as told, *_] if told.header.authorization_id == row.id:
            found = _of(row, held, told.device, told.command_seq, told.credits, told.boot_id)
        case [Held() as held, *_]:
            found = _of(row, held)
        case [Declined() as declined, *_]:
            return Authorization(
                row.id, row.state, row.held_seq, declined.header.lane, declined.credential_id, declined.account_id, (),
                reason=declined.reason, at_ms=row.at_ms,
            )  # fmt: skip
        case _:
            message = f"journal entry {row.held_seq} is not the hold of authorization {row.id.hex()}"
            raise LedgerError(message)
    if row.ended_seq > row.held_seq:  # most taps never come here: nothing was put on top of an open hold
        more = [part for entry in _increases(store, row.id) for part in entry.parts]
        found = msgspec.structs.replace(found, parts=merged((*found.parts, *more))) if more else found
    if row.state is State.IN_DOUBT and (certain := _certain(store, row.id)):
        found = msgspec.structs.replace(found, certain=certain)
    return found


def _certain(store: Store, authorization_id: bytes) -> int:
    rows = store.rows("SELECT credits FROM certain_units WHERE authorization_id = ?", (authorization_id,))
    return int(rows[0][0]) if rows else 0


def note_certain(store: Store, authorization_id: bytes, credits: int) -> None:
    """Remember how many credits left a device for certain, though nobody knows of the rest; it only rises."""
    sql = (
        "INSERT INTO certain_units(authorization_id, credits) VALUES (?, ?) "
        "ON CONFLICT DO UPDATE SET credits = max(credits, excluded.credits)"
    )
    store.execute(sql, (authorization_id, credits))


def _of(
    row: AuthorizationRow, held: Held, device: str = "", command_seq: int = 0, credits: int = 0, boot_id: str = ""
) -> Authorization:
    return Authorization(
        row.id, row.state, row.held_seq, held.header.lane, held.credential_id, held.account_id, held.parts,
        device, command_seq, credits, boot_id,
        ended_seq=row.ended_seq, tax_code=held.header.tax_code, at_ms=row.at_ms, right=held.right,
        stamp=stamp_of(held.header),
    )  # fmt: skip


def _increases(store: Store, authorization_id: bytes) -> list[Increased]:
    sql = "SELECT record FROM increases JOIN entries USING (seq) WHERE authorization_id = ? ORDER BY seq"
    found = [decode_own(record) for (record,) in store.rows(sql, (authorization_id,))]
    return [entry for entry in found if isinstance(entry, Increased)]


def merged(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return parts with one for each lease and lot, in the order they came."""
    sums: dict[tuple[str, int | None, bytes], int] = {}
    for part in parts:
        key = (part.unit, part.lease_epoch, part.lot)
        sums[key] = sums.get(key, 0) + part.amount
    return tuple(Part(unit, amount, epoch, lot) for (unit, epoch, lot), amount in sums.items())


def captured(store: Store, row: Authorization) -> Captured | None:
    """Return the entry that captured an authorization, or None."""
    rows = store.rows("SELECT record FROM entries WHERE seq = ?", (row.ended_seq,))
    entry = decode_own(rows[0][0]) if rows else None
    return entry if isinstance(entry, Captured) and entry.header.authorization_id == row.id else None


def move(store: Store, row: Authorization, step: Step, *, ended_seq: int = 0) -> State:
    """Take a step of the table and write the new state; `ended_seq`: the entry that ends it."""
    state = advance(row.state, step)
    if ended_seq:
        store.execute(_END, (CODES[state], ended_seq, row.id))
    elif state is not row.state:
        store.execute(_UPDATE, (CODES[state], row.id))
    return state


def increase(store: Store, row: Authorization, *, seq: int) -> None:
    """Remember that the entry `seq` put more on top of an open authorization."""
    advance(row.state, Step.INCREASE)
    store.execute("UPDATE authorizations SET ended_seq = ? WHERE id = ?", (seq, row.id))
    store.execute("INSERT INTO increases(authorization_id, seq) VALUES (?, ?)", (row.id, seq))


def note_evidence(store: Store, authorization_id: bytes, outcome: str, credits: int, *, seq: int) -> bool:
    """Remember what came after the end; False where the same was said before, a device may say it again and again."""
    outcome = f"{outcome} {credits}" if credits else outcome
    sql = "INSERT INTO late_evidence(authorization_id, outcome, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    return store.execute(sql, (authorization_id, outcome, seq)) > 0


def late_evidence(store: Store, *, limit: int) -> list[tuple[bytes, bytes]]:
    """Return what came after an end, the newest first: (authorization id, record of its entry)."""
    sql = "SELECT authorization_id, record FROM late_evidence JOIN entries USING (seq) ORDER BY seq DESC LIMIT ?"
    return [(name, record) for name, record in store.rows(sql, (limit,))]


def newest(store: Store, *, limit: int) -> list[AuthorizationRow]:
    """Return the newest ones, newest first."""
    names = store.rows("SELECT id FROM authorizations ORDER BY id DESC LIMIT ?", (limit,))
    return [row for (name,) in names if (row := by_id(store, name)) is not None]
