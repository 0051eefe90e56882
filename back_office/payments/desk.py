"""The desk of payment orders: a synchronous state machine. `on_…(now, …)` commits, then says what to ask.

Whoever calls it carries the asks to the channels after it has returned (pump.py), and brings the answers back.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from back_office.ledger.booking import MAX_AMOUNT
from back_office.payments import hearing, returning
from back_office.payments.books import OrderBooks
from back_office.payments.port import Ask, Notice, Query, Word
from back_office.payments.turn import Send, Tools, Turn
from back_office.store import orders, papers, people
from back_office.store.engine import Store, Transaction
from back_office.store.orders import Order
from back_office.store.papers import Alarm
from back_office.store.people import GuestAccount
from payment_core.identifiers import UUID_BYTES, is_short_id
from payment_core.orders import OrderState, OrderStep, Purpose

PAY_WITHIN_MS: Final = 15 * 60_000
"""How long a guest may take to pay for a top-up."""
PLAY_WITHIN_MS: Final = 2 * 60_000
"""How long a guest may take to pay for a play: somebody else wants to play too."""
AT_ONCE: Final = 200
"""How many orders one call of `on_time` looks at."""
MOST_UNIT_BYTES: Final = 32
CLAIM_PAUSE_MS: Final = 2_000
"""A phone that claims it has paid makes us ask the channel, but not more often than this."""


class OrderWish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to pay for. account_id None: a play for whoever is there; the order is its own account."""

    order_id: bytes
    venue_id: bytes
    purpose: Purpose
    channel: str
    unit: str
    amount: int
    account_id: bytes | None = None
    lane: str = ""
    pay_within_ms: int | None = None


class Handled(msgspec.Struct, frozen=True):
    """What came of it. `order`: as it stands now; `refused`: why nothing was taken, or empty; `sends`: to carry out."""

    order: Order | None
    sends: tuple[Send, ...] = ()
    refused: str = ""


class Noted(msgspec.Struct, frozen=True):
    """What a channel's notice is answered with: `again` is as good as `taken`."""

    verdict: Literal["taken", "again", "refused"]
    sends: tuple[Send, ...] = ()


class PaymentDesk:
    """All payment orders of one tenant. Called from one thread at a time; every call is one transaction."""

    def __init__(self, store: Store, tenant_id: bytes, books: OrderBooks, *, dice: Callable[[int], bytes]) -> None:
        """Take what it works with. `dice`: returns that many random bytes."""
        self._store = store
        self._tenant_id = tenant_id
        self._tools = Tools(tenant_id, books, dice)

    # ------------------------------------------------------------------------------------ wishes of people

    def on_create(self, now_ms: int, wish: OrderWish, *, submit: bool = True) -> Handled:
        """Write an order down, and have its channel told. The same wish again is answered; another one is alarmed."""
        refused = _wrong(wish)
        if refused:
            return Handled(None, refused=refused)
        with self._store.writing() as tx:
            known = orders.order(tx, self._tenant_id, wish.order_id)
            if known is not None:
                return self._created_before(tx, known, wish, now_ms)
            order = self._new_order(wish, now_ms)
            if wish.account_id is None:
                account = GuestAccount(account_id=order.account_id, created_ms=now_ms)
                people.add_account(tx, self._tenant_id, account)
            elif people.account(tx, self._tenant_id, wish.account_id) is None:
                return Handled(None, refused=f"there is no account {wish.account_id.hex()}")
            orders.add_order(tx, self._tenant_id, order)
            return self._turn(tx, order, now_ms, Turn.submit if submit else _nothing)

    def on_submit(self, now_ms: int, order_id: bytes) -> Handled:
        """Have the channel told about an order that was only written down; answered where it was told before."""

        def submit(turn: Turn) -> None:
            if turn.can(OrderStep.SUBMIT):
                turn.submit()

        return self._on(now_ms, order_id, submit)

    def on_close(self, now_ms: int, order_id: bytes) -> Handled:
        """Have an order closed; a paid one is refunded, not closed."""

        def close(turn: Turn) -> None:
            if turn.can(OrderStep.CLOSE) and not turn.order.closing:
                turn.close()
            elif turn.order.state not in (OrderState.CLOSED, OrderState.FAILED, OrderState.PENDING):
                turn.refused = f"the order is {turn.order.state.value}: it can be refunded, not closed"

        return self._on(now_ms, order_id, close)

    def on_refund(self, now_ms: int, order_id: bytes, *, refund_id: bytes, amount: int | None = None) -> Handled:
        """Send a part of a payment back, or all that is left of it (None). The same refund again is answered."""

        def refund(turn: Turn) -> None:
            known = next((row for row in turn.refunds() if row.refund_id == refund_id), None)
            wanted = turn.order.left if amount is None else amount
            if known is not None:
                if amount not in (None, known.amount):
                    text = f"refund {refund_id.hex()} is known with {known.amount}, now it claims {amount}"
                    turn.refuse("refund_conflict", text)
            elif not turn.can(OrderStep.REFUND):
                turn.refused = f"the order is {turn.order.state.value}: only a paid one can be refunded"
            elif not 1 <= wanted <= turn.order.left:
                turn.refused = f"{wanted} {turn.order.unit} cannot go back: {turn.order.left} are left of the payment"
            else:
                returning.refund(turn, refund_id, wanted)

        return self._on(now_ms, order_id, refund)

    def on_claim(self, now_ms: int, order_id: bytes) -> Handled:
        """Hear a phone say that it has paid: a reason to ask the channel, and nothing else."""

        def claim(turn: Turn) -> None:
            waits = turn.order.state in (OrderState.PENDING, OrderState.CLOSED, OrderState.FAILED)
            rows = orders.steps(turn.tx, turn.tenant_id, turn.order.order_id)[-1:]
            if waits and all(row.at_ms + CLAIM_PAUSE_MS <= now_ms for row in rows):
                due_ms = turn.order.due_ms
                turn.ask(Query(turn.order.order_id))
                turn.change(due_ms=due_ms)  # a phone does not change when we would ask by ourselves

        return self._on(now_ms, order_id, claim)

    def on_check(self, now_ms: int, order_id: bytes) -> Handled:
        """Ask the channel how an order stands now, whatever its state: for a person, and for the daily comparison."""

        def check(turn: Turn) -> None:
            if turn.can(OrderStep.QUERY):
                due_ms = turn.order.due_ms
                turn.ask(Query(turn.order.order_id))
                turn.change(due_ms=due_ms)

        return self._on(now_ms, order_id, check)

    # ------------------------------------------------------------------------------- the channel and the clock

    def on_answer(self, now_ms: int, ask: Ask, word: Word) -> Handled:
        """Take what a channel answered."""
        return self._on(now_ms, ask.order_id, lambda turn: hearing.hear(turn, word, asked=ask))

    def on_notice(self, now_ms: int, channel: str, notice: Notice) -> Noted:
        """Take what a channel's server sent by itself: once per id; other content under the same id is alarmed."""
        content = msgspec.msgpack.encode(notice)
        with self._store.writing() as tx:
            before = orders.notice(tx, self._tenant_id, channel=channel, notice_id=notice.notice_id)
            if before == content:
                return Noted("again")
            order = orders.order(tx, self._tenant_id, notice.order_id)
            if before is not None or order is None or order.channel != channel:
                what = "came with other content before" if before is not None else "names no order of this channel"
                self._alarm(tx, f"notice {notice.notice_id} of {channel} {what}: {notice.word}", now_ms)
                if before is None:
                    self._keep(tx, channel, notice, content, now_ms)
                return Noted("refused")
            self._keep(tx, channel, notice, content, now_ms)
            handled = self._turn(tx, order, now_ms, lambda turn: hearing.hear(turn, notice.word, asked=None))
        return Noted("refused" if handled.refused else "taken", handled.sends)

    def on_forged(self, now_ms: int, channel: str, why: str) -> Noted:
        """Tell a person that somebody sent what is not a channel's notice."""
        with self._store.writing() as tx:
            self._alarm(tx, f"a notice for {channel} was forged: {why}", now_ms)
        return Noted("refused")

    def on_time(self, now_ms: int) -> list[Send]:
        """Do what is due: ask again, close what ran out, look after paid plays. Each order is its own transaction."""
        with self._store.reading() as tx:
            due = orders.due_orders(tx, self._tenant_id, now_ms=now_ms, limit=AT_ONCE)
        sends: list[Send] = []
        for order in due:
            sends += self._on(now_ms, order.order_id, hearing.ask_again).sends
        return sends

    # ---------------------------------------------------------------------------------------------- inside

    def _on(self, now_ms: int, order_id: bytes, act: Callable[[Turn], None]) -> Handled:
        with self._store.writing() as tx:
            order = orders.order(tx, self._tenant_id, order_id)
            if order is None:
                return Handled(None, refused=f"there is no order {order_id.hex()}")
            return self._turn(tx, order, now_ms, act)

    def _turn(self, tx: Transaction, order: Order, now_ms: int, act: Callable[[Turn], None]) -> Handled:
        turn = Turn(tx, self._tools, order, now_ms=now_ms)
        act(turn)
        if turn.order != order:
            turn.save()
        return Handled(turn.order, tuple(turn.sends), turn.refused)

    def _new_order(self, wish: OrderWish, now_ms: int) -> Order:
        within_ms = PAY_WITHIN_MS if wish.purpose is Purpose.TOP_UP else PLAY_WITHIN_MS
        return Order(
            order_id=wish.order_id,
            venue_id=wish.venue_id,
            purpose=wish.purpose,
            channel=wish.channel,
            account_id=wish.account_id or wish.order_id,
            unit=wish.unit,
            amount=wish.amount,
            lane=wish.lane,
            created_ms=now_ms,
            expires_ms=now_ms + (within_ms if wish.pay_within_ms is None else wish.pay_within_ms),
            changed_ms=now_ms,
        )

    def _created_before(self, tx: Transaction, known: Order, wish: OrderWish, now_ms: int) -> Handled:
        same = self._new_order(wish, known.created_ms)
        fields = ("venue_id", "purpose", "channel", "account_id", "unit", "amount", "lane")
        if all(getattr(same, field) == getattr(known, field) for field in fields):
            return Handled(known)
        text = f"order {wish.order_id.hex()} is known with {known.amount} {known.unit}, now it claims another content"
        self._alarm(tx, text, now_ms)
        return Handled(None, refused=text)

    def _alarm(self, tx: Transaction, text: str, now_ms: int) -> None:
        papers.raise_alarm(tx, self._tenant_id, Alarm("payment_conflict", self._tenant_id, text, now_ms))

    def _keep(self, tx: Transaction, channel: str, notice: Notice, content: bytes, now_ms: int) -> None:
        orders.add_notice(
            tx, self._tenant_id, channel=channel, notice_id=notice.notice_id, content=content, now_ms=now_ms
        )


def _nothing(turn: Turn) -> None:
    """Leave an order as it is."""
    del turn


def _wrong(wish: OrderWish) -> str:
    """Return what is wrong with a wish, or nothing."""
    if len(wish.order_id) != UUID_BYTES:
        return "an order's id has 16 bytes"
    if not 1 <= wish.amount <= MAX_AMOUNT:
        return f"{wish.amount} {wish.unit} is no sum to pay"
    if not 1 <= len(wish.unit.encode()) <= MOST_UNIT_BYTES:
        return f"{wish.unit!r} is no unit that a slip can name"
    if wish.purpose is Purpose.TOP_UP and (wish.account_id is None or wish.lane):
        return "a top-up is for an account, and for no lane"
    if wish.purpose is Purpose.PLAY and not is_short_id(wish.lane):
        return f"a play is to be had at a lane, and {wish.lane!r} is none"
    return "" if wish.channel else "an order goes to a channel"
