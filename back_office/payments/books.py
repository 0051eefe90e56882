"""What payment orders ask of the books: a port, so that the steps of an order can be read without a ledger."""

from typing import Protocol

import msgspec

from back_office.store.engine import Transaction
from back_office.store.orders import Order


class Whereabouts(msgspec.Struct, frozen=True):
    """Where a guest's unspent money of one unit is: at the office, or elsewhere (leased to a hub, or on its way)."""

    purse: int
    elsewhere: int


class OrderBooks(Protocol):
    """Every call books inside the caller's transaction, for the moment `now_ms` (UTC)."""

    def credit(self, tx: Transaction, order: Order, *, now_ms: int) -> str:
        """Credit what was paid, once per (channel, payment id), and issue the slip of a play; return why not, or ''."""
        ...

    def take_out(self, tx: Transaction, order: Order, *, refund_id: bytes, amount: int, now_ms: int) -> str:
        """Take `amount` of this payment out of the purse, before the channel is asked; return why not, or ''."""
        ...

    def put_back(self, tx: Transaction, order: Order, *, refund_id: bytes, amount: int, now_ms: int) -> None:
        """Put what `take_out` took into the purse again: the channel did not give it back."""
        ...

    def take_back(self, tx: Transaction, order: Order, *, amount: int, now_ms: int) -> None:
        """Book that the channel took `amount` of this payment; what is not in the purse any more the guest owes."""
        ...

    def whereabouts(self, tx: Transaction, order: Order) -> Whereabouts:
        """Say where the unspent money of the order's account is."""
        ...
