"""One payment order at one moment, inside one transaction: its steps, its refunds, and what is to be asked after it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from back_office.payments.books import OrderBooks
from back_office.payments.port import Ask, Close, Create, Refund
from back_office.store import orders, papers
from back_office.store.engine import Transaction
from back_office.store.orders import Order, RefundRow, StepRow
from back_office.store.papers import Alarm
from payment_core.identifiers import uuid7
from payment_core.orders import TABLE, OrderState, OrderStep, advance

ASK_BASE_MS: Final = 2_000
ASK_CAP_MS: Final = 10 * 60_000
_MOST_DOUBLINGS: Final = 16


class Send(msgspec.Struct, frozen=True):
    """An effect: put this ask to that channel, after the commit."""

    channel: str
    ask: Ask


def delay_ms(tries: int, *, base_ms: int = ASK_BASE_MS, cap_ms: int = ASK_CAP_MS) -> int:
    """Return how long to wait before a channel is asked again: doubling, and bounded."""
    return min(cap_ms, base_ms << min(tries, _MOST_DOUBLINGS))


class Tools(msgspec.Struct, frozen=True):
    """What every turn works with. `dice`: returns that many random bytes."""

    tenant_id: bytes
    books: OrderBooks
    dice: Callable[[int], bytes]


class Turn:
    """One order inside one transaction. `save` writes it; `sends` are for after the commit."""

    def __init__(self, tx: Transaction, tools: Tools, order: Order, *, now_ms: int) -> None:
        """Take the order as it is written."""
        self.order = order
        self.sends: list[Send] = []
        self.refused = ""
        self.now_ms = now_ms
        self.tx = tx
        self.books = tools.books
        self.tenant_id = tools.tenant_id
        self._dice = tools.dice

    def save(self) -> None:
        """Write the order as it stands now."""
        orders.write_order(self.tx, self.tenant_id, self.order)

    # ------------------------------------------------------------------------------------------- steps

    def can(self, step: OrderStep) -> bool:
        """Say whether the table has a row for this step."""
        return (self.order.state, step) in TABLE

    def step(self, step: OrderStep, why: str = "", **changes: Any) -> None:  # noqa: ANN401 - fields of an order
        """Take a step of the table and write it down. A new state owes nothing until something is asked in it."""
        before, state = self.order.state, advance(self.order.state, step)
        if state is not before:
            changes = {"tries": 0, "due_ms": None, "changed_ms": self.now_ms, **changes}
        self.change(state=state, steps=self.order.steps + 1, **changes)
        row = StepRow(self.order.steps, self.now_ms, step, state, why)
        orders.add_step(self.tx, self.tenant_id, self.order.order_id, row)
        if state is not before:
            self.save()  # one move at a time, so that the database can refuse one that is not in the table

    def change(self, **changes: Any) -> None:  # noqa: ANN401 - fields of an order
        """Change what is no step: when the channel is asked next, the code it gave."""
        self.order = msgspec.structs.replace(self.order, **changes)

    def wait(self, *, base_ms: int, cap_ms: int) -> None:
        """Let the order be looked at again, later each time."""
        pause = delay_ms(self.order.tries, base_ms=base_ms, cap_ms=cap_ms)
        self.change(tries=self.order.tries + 1, due_ms=self.now_ms + pause)

    def alarm(self, kind: str, text: str) -> None:
        """Tell a person."""
        where = f"order {self.order.order_id.hex()} of {self.order.channel}"
        papers.raise_alarm(self.tx, self.tenant_id, Alarm(kind, self.order.account_id, f"{where}: {text}", self.now_ms))

    def refuse(self, kind: str, text: str) -> None:
        """Take nothing of what was said, and tell a person."""
        self.refused = text
        self.alarm(kind, text)

    # ------------------------------------------------------------------------------------------- asks

    def submit(self) -> None:
        """Tell the channel about the order."""
        self.step(OrderStep.SUBMIT)
        self._sent(self.create_ask())

    def close(self) -> None:
        """Have the order closed: nobody was told, or the channel is asked to."""
        before = self.order.state
        self.step(OrderStep.CLOSE, closing=True)
        if before is OrderState.PENDING:
            self.ask(Close(self.order.order_id))

    def ask(self, ask: Ask) -> None:
        """Ask, after it is written down that the channel was asked."""
        if self.can(OrderStep.QUERY):
            self.step(OrderStep.QUERY, type(ask).__name__.lower())
        self._sent(ask)

    def _sent(self, ask: Ask) -> None:
        self.wait(base_ms=ASK_BASE_MS, cap_ms=ASK_CAP_MS)
        self.sends.append(Send(self.order.channel, ask))

    def create_ask(self) -> Create:
        """Return what the channel is told about the order."""
        order = self.order
        return Create(order.order_id, order.unit, order.amount, order.expires_ms)

    def refund_ask(self, refund: RefundRow) -> Refund:
        """Return what the channel is told about a refund: the same words each time."""
        return Refund(self.order.order_id, refund.refund_id, self.order.paid_unit, refund.amount)

    # ------------------------------------------------------------------------------------------- refunds

    def new_id(self) -> bytes:
        """Return a new UUIDv7 for this moment."""
        return uuid7(unix_ms=self.now_ms, dice=self._dice(10))

    def add_refund(self, amount: int, *, automatic: bool, booked: bool, refund_id: bytes = b"") -> RefundRow:
        """Write down that money is to go back."""
        refund = RefundRow(
            refund_id=refund_id or self.new_id(), amount=amount, automatic=automatic, booked=booked, state="asked",
            asked_ms=self.now_ms,
        )  # fmt: skip
        orders.add_refund(self.tx, self.tenant_id, self.order.order_id, refund)
        return refund

    def refunds(self) -> list[RefundRow]:
        """Return all refunds of this order."""
        return orders.refunds(self.tx, self.tenant_id, self.order.order_id)

    def asked_refund(self) -> RefundRow | None:
        """Return the one refund that is on its way."""
        return next((refund for refund in self.refunds() if refund.state == "asked"), None)

    def settle(self, refund: RefundRow, state: str) -> None:
        """Note what became of a refund."""
        orders.settle_refund(self.tx, self.tenant_id, self.order.order_id, refund.refund_id, state=state)
