"""Authorizations as narrow rows: where each stands, and where in the journal it says what was held.

A row is small and its state has a fixed size, so that a step rewrites one page in place. Parts, account, lane and
device are not stored twice: they are in the entry at `held_seq` and in the COMMANDED entry right behind it.
"""

from typing import Final

import msgspec

from edge_agent.ledger.store import LedgerError, Row, Store
from payment_core.authorization import OPEN, State, Step, advance
from payment_core.identifiers import uuid7
from payment_core.journal import Commanded, Declined, Held, Part, decode_own

CODES: Final[dict[State, int]] = {
    State.HELD: 2, State.COMMANDED: 3, State.CAPTURED: 4, State.VOIDED: 5, State.EXPIRED: 6, State.IN_DOUBT: 7,
    State.REFUNDED: 8, State.DECLINED: 9,
}  # fmt: skip
"""State as the database keeps it: one byte each (SQLite stores 0 and 1 in none), so an update stays in place."""
STATES: Final = {code: state for state, code in CODES.items()}

_COLUMNS: Final = "id, state, reader, event_epoch, event_seq, at_ms, held_seq"
_INSERT: Final = f"INSERT INTO authorizations({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"
_BY_ID: Final = f"SELECT {_COLUMNS} FROM authorizations WHERE id = ?"
_RECENT: Final = (
    f"SELECT {_COLUMNS} FROM authorizations WHERE id >= ? AND reader = ? AND event_epoch = ? AND event_seq = ? LIMIT 1"
)
RECENT_MS: Final = 60_000
"""How far back the first answer to a repeated event is looked for; a wish older than 2 s is worth nothing."""
_OPEN: Final = (
    f"SELECT {_COLUMNS} FROM authorizations WHERE state IN ({', '.join(str(CODES[state]) for state in sorted(OPEN))}) "
    "ORDER BY id"
)
_RECORDS: Final = "SELECT record FROM entries WHERE seq IN (?, ?) ORDER BY seq"
_UPDATE: Final = "UPDATE authorizations SET state = ? WHERE id = ?"


class AuthorizationRow(msgspec.Struct, frozen=True):
    """Where one stands. The event that asked for it is (reader, event_epoch, event_seq); at_ms: UTC."""

    id: bytes
    state: State
    reader: str
    event_epoch: int
    event_seq: int
    at_ms: int
    held_seq: int


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

    @property
    def amount(self) -> int:
        """The sum of all parts, for pages and logs (units may differ)."""
        return sum(part.amount for part in self.parts)


def _read(row: Row) -> AuthorizationRow:
    return AuthorizationRow(row[0], STATES[row[1]], row[2], row[3], row[4], row[5], row[6])


def _first(rows: list[Row]) -> AuthorizationRow | None:
    return _read(rows[0]) if rows else None


def insert(store: Store, row: AuthorizationRow) -> None:
    """Write a new authorization (or a decline); its entries belong to the same commit."""
    store.execute(
        _INSERT, (row.id, CODES[row.state], row.reader, row.event_epoch, row.event_seq, row.at_ms, row.held_seq)
    )


def by_id(store: Store, authorization_id: bytes) -> AuthorizationRow | None:
    """Return one authorization, or None."""
    return _first(store.rows(_BY_ID, (authorization_id,)))


class WishMark(msgspec.Struct, frozen=True):
    """The newest event of a reader that was answered, in one epoch, and the authorization answered last there."""

    seq: int
    answer: bytes


def wish_mark(store: Store, reader: str, event_epoch: int) -> WishMark | None:
    """Return a reader's mark: an event at or below it never sells again. None before the first."""
    rows = store.rows("SELECT seq, answer FROM wish_marks WHERE reader = ? AND epoch = ?", (reader, event_epoch))
    return WishMark(*rows[0]) if rows else None


def mark_wish(store: Store, reader: str, event_epoch: int, seq: int, answer: bytes) -> None:
    """Remember that an event was answered; one that waited for money may come behind a later one."""
    store.execute(
        "INSERT INTO wish_marks(reader, epoch, seq, answer) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "seq = max(seq, excluded.seq), answer = excluded.answer",
        (reader, event_epoch, seq, answer),
    )


def recent_answer(
    store: Store, reader: str, event_epoch: int, event_seq: int, *, now_ms: int
) -> AuthorizationRow | None:
    """Return what an event of the last minute led to, or None; ids are in order of time, so this needs no index."""
    since = uuid7(unix_ms=max(now_ms - RECENT_MS, 0), dice=bytes(10))
    return _first(store.rows(_RECENT, (since, reader, event_epoch, event_seq)))


def open_ones(store: Store) -> list[AuthorizationRow]:
    """Return all that still owe an answer, oldest first (ids are in order of time)."""
    return [_read(row) for row in store.rows(_OPEN)]


def load(store: Store, row: AuthorizationRow) -> Authorization:
    """Return a row with what its entries say; LedgerError where the journal does not have them."""
    entries = [decode_own(record) for (record,) in store.rows(_RECORDS, (row.held_seq, row.held_seq + 1))]
    match entries:
        case [Held() as held, Commanded() as told, *_] if told.header.authorization_id == row.id:
            return Authorization(
                row.id, row.state, row.held_seq, held.header.lane, held.credential_id, held.account_id, held.parts,
                told.device, told.command_seq, told.credits, told.boot_id,
            )  # fmt: skip
        case [Held() as held, *_]:
            return Authorization(
                row.id, row.state, row.held_seq, held.header.lane, held.credential_id, held.account_id, held.parts
            )
        case [Declined() as declined, *_]:
            return Authorization(
                row.id, row.state, row.held_seq, declined.header.lane, declined.credential_id, declined.account_id, (),
                reason=declined.reason,
            )  # fmt: skip
        case _:
            message = f"journal entry {row.held_seq} is not the hold of authorization {row.id.hex()}"
            raise LedgerError(message)


def move(store: Store, row: Authorization, step: Step) -> State:
    """Take a step of the table and write the new state."""
    state = advance(row.state, step)
    if state is not row.state:
        store.execute(_UPDATE, (CODES[state], row.id))
    return state
