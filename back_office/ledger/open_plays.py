"""What a hub has put aside and nobody has ended: holds and doubts, with all that they grew by."""

from collections.abc import Iterable

import msgspec

from back_office.store import loose_ends
from back_office.store.engine import Transaction
from payment_core.journal import Held, Increased, InDoubt, Part, decode_entry


class OpenPlay(msgspec.Struct, frozen=True):
    """One authorization that has no end: the entry that says so, and what is put aside or in suspense for it."""

    authorization_id: bytes
    entry: Held | InDoubt
    parts: tuple[Part, ...]


def open_plays(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[OpenPlay]:
    """Return what is open at a hub; it looks at every hold of that hub."""
    found: dict[bytes, OpenPlay] = {}
    rows = [*loose_ends.holds(tx, tenant_id, hub_id)]
    rows += [row for row in loose_ends.doubts(tx, tenant_id) if row.hub_id == hub_id]
    for row in rows:
        entry = decode_entry(row.record)
        number = entry.header.authorization_id
        if number is None or not isinstance(entry, Held | InDoubt):
            continue
        grown = _increases(loose_ends.records(tx, tenant_id, hub_id, number)) if isinstance(entry, Held) else ()
        found[number] = OpenPlay(number, entry, (*entry.parts, *grown))
    return list(found.values())


def _increases(records: Iterable[bytes]) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = ()
    for record in records:
        entry = decode_entry(record)
        parts += entry.parts if isinstance(entry, Increased) else ()
    return parts
