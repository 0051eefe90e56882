"""Authorizations as rows: their state is where they stand, their entries in the journal say how they came there."""

from typing import Final

import msgspec

from edge_agent.ledger.store import Row, Store
from payment_core.authorization import State, Step, advance
from payment_core.journal import Part

_COLUMNS: Final = (
    "id, state, reader, event_epoch, event_seq, at_ms, lane, credential_id, account_id, parts, device, command_seq, "
    "credits, reason"
)
_PARTS: Final = msgspec.msgpack.Decoder(tuple[Part, ...])
_ENCODER: Final = msgspec.msgpack.Encoder()
_INSERT: Final = f"INSERT INTO authorizations({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_BY_ID: Final = f"SELECT {_COLUMNS} FROM authorizations WHERE id = ?"
_BY_EVENT: Final = f"SELECT {_COLUMNS} FROM authorizations WHERE reader = ? AND event_epoch = ? AND event_seq = ?"
_LATEST: Final = (
    f"SELECT {_COLUMNS} FROM authorizations WHERE reader = ? ORDER BY event_epoch DESC, event_seq DESC LIMIT 1"
)
_OPEN: Final = f"SELECT {_COLUMNS} FROM authorizations WHERE state IN ('held', 'commanded', 'in_doubt') ORDER BY id"


class Authorization(msgspec.Struct, frozen=True):
    """One row. The event that asked for it is (reader, event_epoch, event_seq); at_ms: UTC; parts: what is held."""

    id: bytes
    state: State
    reader: str
    event_epoch: int
    event_seq: int
    at_ms: int
    lane: str | None
    credential_id: bytes | None
    account_id: bytes | None
    parts: tuple[Part, ...]
    device: str | None = None
    command_seq: int | None = None
    credits: int | None = None
    reason: str | None = None

    @property
    def amount(self) -> int:
        """The sum of all parts, for pages and logs (units may differ)."""
        return sum(part.amount for part in self.parts)


def _read(row: Row) -> Authorization:
    return Authorization(
        row[0], State(row[1]), row[2], row[3], row[4], row[5], row[6], row[7], row[8], _PARTS.decode(row[9]), *row[10:]
    )


def _first(rows: list[Row]) -> Authorization | None:
    return _read(rows[0]) if rows else None


def insert(store: Store, row: Authorization) -> None:
    """Write a new authorization (or a decline)."""
    store.execute(
        _INSERT,
        (
            row.id, row.state.value, row.reader, row.event_epoch, row.event_seq, row.at_ms, row.lane, row.credential_id,
            row.account_id, _ENCODER.encode(row.parts), row.device, row.command_seq, row.credits, row.reason,
        ),
    )  # fmt: skip


def by_id(store: Store, authorization_id: bytes) -> Authorization | None:
    """Return one authorization, or None."""
    return _first(store.rows(_BY_ID, (authorization_id,)))


def by_event(store: Store, reader: str, event_epoch: int, event_seq: int) -> Authorization | None:
    """Return what a bus event led to, or None: the same event is answered with its first result."""
    return _first(store.rows(_BY_EVENT, (reader, event_epoch, event_seq)))


def latest_at(store: Store, reader: str) -> Authorization | None:
    """Return what the newest event of a reader led to, or None."""
    return _first(store.rows(_LATEST, (reader,)))


def open_ones(store: Store) -> list[Authorization]:
    """Return all that still owe an answer, oldest first (ids are in order of time)."""
    return [_read(row) for row in store.rows(_OPEN)]


def move(store: Store, row: Authorization, step: Step) -> State:
    """Take a step of the table and write the new state."""
    state = advance(row.state, step)
    if state is not row.state:
        store.execute("UPDATE authorizations SET state = ? WHERE id = ?", (state.value, row.id))
    return state
