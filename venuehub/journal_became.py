"""What became of an authorization, step by step, from the journal alone: who ended it, when, and why."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from edge_agent.ledger.store import Reads
from payment_core.journal import (
    Captured,
    Commanded,
    Entry,
    Expired,
    Increased,
    InDoubt,
    LateEvidence,
    Part,
    Refunded,
    Voided,
    decode_entry,
)
from payment_core.money import money_text, shown


def became(store: Reads, authorization_id: bytes | None) -> Iterator[str]:
    """Yield a line for each entry of an authorization after it was held, oldest first."""
    if authorization_id is None:
        return
    after = 0
    sql = "SELECT seq, record FROM entries WHERE seq > ? ORDER BY seq LIMIT 1000"
    while rows := store.rows(sql, (after,)):
        after = rows[-1][0]
        for _seq, record in rows:
            if authorization_id in record:
                entry = decode_entry(record)
                told = _step(entry) if entry.header.authorization_id == authorization_id else ""
                if told:
                    at = datetime.fromtimestamp(entry.header.wall_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
                    yield f"{at}, entry {entry.header.seq}: {told}"


def _step(entry: Entry) -> str:  # noqa: PLR0911 - a line for each entry that moves an authorization
    """Return what one entry did to its authorization; empty for what did nothing to it."""
    match entry:
        case Commanded():
            return f"{entry.device} was told to give {entry.credits} credits: from here on it owes an answer"
        case Increased():
            return f"{_sums(entry.parts)} more was put aside"
        case Captured():
            back = f", {_sums(entry.released)} went back" if entry.released else ""
            return f"played, {_sums(entry.parts)} earned{back}{_by(entry.cause.name, entry.staff, entry.note)}"
        case Voided():
            return f"did not play, {_sums(entry.parts)} went back{_by(entry.cause.name, entry.staff, entry.note)}"
        case Expired():
            return f"never sent to the machine in time, {_sums(entry.parts)} went back"
        case InDoubt():
            return f"in doubt ({_words(entry.cause.name)}): {_sums(entry.parts)} waits until somebody knows"
        case Refunded():
            return f"paid back, {_sums(entry.parts)}{_by(entry.cause.name, entry.staff, entry.note)}"
        case LateEvidence():
            of = f" ({entry.credits} credits)" if entry.credits else ""
            return f"{entry.device} answered {entry.outcome}{of} too late: it changed nothing"
        case _:
            return ""


def _by(cause: str, staff: str, note: str) -> str:
    who = f" by {staff}" if staff else ""
    return f"; decided{who} ({_words(cause)})" + (f": {note}" if note else "")


def _words(cause: str) -> str:
    return cause.lower().replace("_", " ")


def _sums(parts: Iterable[Part]) -> str:
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.unit] = sums.get(part.unit, 0) + part.amount
    return ", ".join(money_text(shown(amount, unit)) for unit, amount in sums.items()) or "no money"
