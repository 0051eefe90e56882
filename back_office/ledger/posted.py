"""The seal of an entry's postings: what the office wrote beside a record, so that a changed byte of it is named.

An entry's hash covers what the hub said. `entries.posted` covers what the office made of it: when it came, and every
stored posting line. It is no signature: who can write the database can write it too; it finds damage and slips.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from back_office.ledger.findings import Line

POSTED_LENGTH: Final = 8
"""Bytes of the seal; rows of a release before it have none (empty)."""
_ENCODER: Final = msgspec.msgpack.Encoder()


def posted_seal(received_ms: int, lines: Iterable[Line]) -> bytes:
    """Return the first 8 bytes of SHA-256 over MessagePack `[received_ms, [[kind, key, scope_id, unit, amount], …]]`.

    The lines are in the order of their line numbers (0, 1, …), none left out; an account stands by its name and not by
    its number, so that the same books have the same seals whatever the order in which accounts were opened.
    """
    said = [[name.kind.value, name.key, name.scope_id, unit, amount] for name, unit, amount in lines]
    return sha256(_ENCODER.encode([received_ms, said])).digest()[:POSTED_LENGTH]
