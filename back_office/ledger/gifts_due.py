"""Gifts whose payment was taken back while they lay at hubs: they are the house's when they come back."""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from back_office.store import acts
from back_office.store.acts import Act
from back_office.store.engine import Transaction
from back_office.store.lots import LotKey, LotRow
from payment_core.journal import Entry, Header, Part, TopUpReversed

GIFT_DUE: Final = "gift_due"
"""The kind under which is kept what of a gift goes once it is in the purse; below nothing: it went."""


def none_due(tx: Transaction, tenant_id: bytes) -> bool:
    """Say that no gift was ever due."""
    return not acts.any_act(tx, tenant_id, GIFT_DUE)


def due_of(tx: Transaction, tenant_id: bytes, key: LotKey) -> int:
    """Return how much of a gift goes once it is in the purse."""
    found = acts.acts_beginning(tx, tenant_id, GIFT_DUE, _name(key))
    return sum(msgspec.msgpack.decode(done.content, type=int) for done in found)


def note_due(tx: Transaction, tenant_id: bytes, key: LotKey, amount: int, *, seq: int, now_ms: int) -> None:
    """Keep that with the office's entry `seq` so much more is due, or, below nothing, that it went."""
    name = _name(key) + seq.to_bytes(8, "big")
    acts.add_act(tx, tenant_id, Act(GIFT_DUE, name, msgspec.msgpack.encode(amount), seq, now_ms))


def forfeit(key: LotKey, row: LotRow, amount: int) -> Callable[[Header], Entry]:
    """Return the entry by which so much of a gift goes to the house: its payment was taken back before."""
    part = Part(key.unit, amount, None, key.lot)
    return lambda header: TopUpReversed(
        1, header, key.account_id, key.unit, (), 0, (part,), row.channel, row.payment_id
    )


def _name(key: LotKey) -> bytes:
    return hashlib.sha256(key.account_id + key.lot + key.unit.encode()).digest()
