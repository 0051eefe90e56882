"""A payment channel in one object, with a seeded temperament: for tests, the simulator and people who try it out.

It keeps true books of its own (`taken`, `given_back`) so that a test can compare them with the office's.
"""

import hashlib
import hmac
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from back_office.payments.port import (
    Accepted,
    Close,
    Closed,
    Create,
    Failed,
    Forged,
    NoAnswer,
    Notice,
    NoticeWord,
    NotKnown,
    Paid,
    Query,
    Refund,
    Returned,
    ReturnRefused,
    Waiting,
    Word,
)

CHANNEL: Final = "sandbox"
LATE_MS: Final = 15 * 60_000
"""The longest a request waits on its way, and the longest a payment comes after a close."""


class Temper(msgspec.Struct, frozen=True, kw_only=True):
    """How often, in a hundred, each kind of trouble happens."""

    loses_request: int = 0
    loses_answer: int = 0
    late_request: int = 0
    """the request arrives after we gave up waiting"""
    pays_after_close: int = 0
    pays_after_fail: int = 0
    wrong_amount: int = 0
    notice_twice: int = 0
    notice_never: int = 0
    notice_late: int = 0
    refund_slow: int = 0
    refund_refused: int = 0


CALM: Final = Temper()
STORMY: Final = Temper(
    loses_request=15, loses_answer=20, late_request=10, pays_after_close=40, pays_after_fail=60,
    wrong_amount=25, notice_twice=30, notice_never=25, notice_late=30, refund_slow=20,
    refund_refused=10,
)  # fmt: skip


class Given(msgspec.Struct):
    """One refund as the sandbox keeps it."""

    amount: int
    word: Returned | ReturnRefused | None = None
    """None: not decided yet"""


class Account(msgspec.Struct):
    """One order as the sandbox keeps it."""

    unit: str
    amount: int
    expires_ms: int
    state: str = "waiting"
    paid: Paid | None = None
    refunds: dict[bytes, Given] = msgspec.field(default_factory=dict)

    @property
    def given_back(self) -> int:
        """What went back to the guest by refunds."""
        return sum(given.amount for given in self.refunds.values() if isinstance(given.word, Returned))

    @property
    def left(self) -> int:
        """What the channel still has of the guest's money."""
        return self.paid.amount - self.given_back - self.paid.charged_back if self.paid else 0


class Sandbox:
    """The channel. Time is given to it by `at`; what it does by itself it does there, and notices come out of it."""

    def __init__(
        self, *, dice: Random, temper: Temper = CALM, secret: bytes = b"sandbox", channel: str = CHANNEL
    ) -> None:
        """Begin with no orders. `secret`: signs its notices."""
        self.orders: dict[bytes, Account] = {}
        self._dice = dice
        self.temper = temper
        self._secret = secret
        self._channel = channel
        self._now_ms = 0
        self._later: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._outbox: list[bytes] = []

    # ------------------------------------------------------------------------------------------ the port

    @property
    def channel(self) -> str:
        """Its name."""
        return self._channel

    def create(self, ask: Create) -> Word:
        """Keep the order; the same one again is answered again."""
        return self._carried(lambda: self._create(ask))

    def query(self, ask: Query) -> Word:
        """Say how it stands."""
        return self._carried(lambda: self._stand(ask.order_id))

    def close(self, ask: Close) -> Word:
        """Close it where it is not paid."""
        return self._carried(lambda: self._close(ask.order_id))

    def refund(self, ask: Refund) -> Word:
        """Give money back once per refund id."""
        return self._carried(lambda: self._refund(ask))

    def read_notice(self, data: bytes) -> Notice | Forged:
        """Prove the HMAC and read what is behind it."""
        body, signature = data[:-32], data[-32:]
        if not hmac.compare_digest(hmac.new(self._secret, body, hashlib.sha256).digest(), signature):
            return Forged("its signature is not the channel's")
        try:
            return msgspec.msgpack.decode(body, type=Notice)
        except msgspec.MsgspecError as error:
            return Forged(f"it cannot be read: {error}")

    # --------------------------------------------------------------------------------- what a test does to it

    def at(self, now_ms: int) -> list[bytes]:
        """Let time pass; return the notices that leave for our server now, signed."""
        self._now_ms = max(now_ms, self._now_ms)
        while due := [row for row in self._later if row[0] <= self._now_ms]:
            first = min(due, key=lambda row: row[:2])
            self._later.remove(first)
            first[2]()
        outbox, self._outbox = self._outbox, []
        return outbox

    def keep(self) -> bytes:
        """Return what the channel knows, for `restore`; what is on its way just then is lost, as on a real network."""
        return msgspec.msgpack.encode((self._count, self.orders))

    def restore(self, kept: bytes) -> None:
        """Take up what `keep` returned."""
        self._count, self.orders = msgspec.msgpack.decode(kept, type=tuple[int, dict[bytes, Account]])

    @property
    def quiet(self) -> bool:
        """Say whether nothing is on its way any more."""
        return not self._later and not self._outbox

    def pay(self, order_id: bytes) -> bool:
        """Let the guest pay on the phone; False where the channel does not let them."""
        order = self.orders.get(order_id)
        if order is None or order.paid is not None or order.state != "waiting" or order.expires_ms <= self._now_ms:
            return False
        self._take(order_id, order)
        return True

    def fail(self, order_id: bytes) -> bool:
        """Let the guest's bank refuse for good."""
        order = self.orders.get(order_id)
        if order is None or order.state != "waiting" or order.paid is not None:
            return False
        order.state = "failed"
        self._notify(order_id, Failed("the bank refused"))
        self._perhaps_paid_after_all(order_id, order, self.temper.pays_after_fail)
        return True

    def charge_back(self, order_id: bytes) -> bool:
        """Take what is left of a payment back, as a bank does when its customer complains."""
        order = self.orders.get(order_id)
        if order is None or order.paid is None or order.left == 0:
            return False
        for refund_id, given in order.refunds.items():
            if given.word is None:  # what has not left yet never will
                given.word = ReturnRefused(refund_id, "the payment was charged back")
        order.paid = msgspec.structs.replace(order.paid, charged_back=order.paid.charged_back + order.left)
        self._notify(order_id, order.paid)
        return True

    def say_again(self, order_id: bytes) -> bool:
        """Send a new notice of a payment that was told before, as a channel does when somebody presses its button."""
        order = self.orders.get(order_id)
        if order is None or order.paid is None:
            return False
        self._notify(order_id, order.paid)
        return True

    def taken(self, *, unit: str) -> int:
        """Return what guests have paid here and not got back."""
        return sum(order.left for order in self.orders.values() if order.paid and order.paid.unit == unit)

    # ------------------------------------------------------------------------------------------ inside

    def _happens(self, percent: int) -> bool:
        return self._dice.randrange(100) < percent

    def _carried(self, act: Callable[[], Word]) -> Word:
        """Carry a request over a bad network."""
        if self._happens(self.temper.loses_request):
            return NoAnswer("the request was lost")
        if self._happens(self.temper.late_request):
            self._after(act)
            return NoAnswer("no answer in time")
        word = act()
        return NoAnswer("the answer was lost") if self._happens(self.temper.loses_answer) else word

    def _after(self, act: Callable[[], object]) -> None:
        self._count += 1
        self._later.append((self._now_ms + self._dice.randrange(1, LATE_MS), self._count, act))

    def _create(self, ask: Create) -> Word:
        order = self.orders.get(ask.order_id)
        if order is None:
            if ask.expires_ms <= self._now_ms:
                return Closed()
            order = self.orders[ask.order_id] = Account(ask.unit, ask.amount, ask.expires_ms)
        elif (order.unit, order.amount) != (ask.unit, ask.amount):
            return Failed("the order is known with another sum")
        waits = order.state == "waiting"
        return Accepted(f"sandbox://pay/{ask.order_id.hex()}") if waits else self._stand(ask.order_id)

    def _stand(self, order_id: bytes) -> Word:
        order = self.orders.get(order_id)
        if order is None:
            return NotKnown()
        if order.paid is not None:
            return order.paid
        if order.state == "waiting" and order.expires_ms <= self._now_ms:
            self._shut(order_id, order)
        words: dict[str, Word] = {"waiting": Waiting(), "failed": Failed("the bank refused"), "closed": Closed()}
        return words[order.state]

    def _close(self, order_id: bytes) -> Word:
        order = self.orders.get(order_id)
        if order is not None and order.paid is None and order.state == "waiting":
            self._shut(order_id, order)
        return self._stand(order_id)

    def _shut(self, order_id: bytes, order: Account) -> None:
        order.state = "closed"
        self._perhaps_paid_after_all(order_id, order, self.temper.pays_after_close)

    def _perhaps_paid_after_all(self, order_id: bytes, order: Account, percent: int) -> None:
        """Let money come although we were told it never would: the guest had confirmed just before the end."""
        if self._happens(percent):
            self._after(lambda: self._take(order_id, order))

    def _take(self, order_id: bytes, order: Account) -> None:
        wrong = self._happens(self.temper.wrong_amount)
        amount = order.amount + (self._dice.choice((-1, 1)) if wrong and order.amount > 1 else 0)
        self._count += 1
        order.state = "paid"
        order.paid = Paid(f"sb{self._count:08d}", order.unit, amount)
        self._notify(order_id, order.paid)

    def _refund(self, ask: Refund) -> Word:
        order = self.orders.get(ask.order_id)
        if order is None or order.paid is None:
            return ReturnRefused(ask.refund_id, "nothing was paid")
        given = order.refunds.get(ask.refund_id)
        if given is None:
            given = order.refunds[ask.refund_id] = Given(ask.amount)
            waiting = sum(other.amount for other in order.refunds.values() if other.word is None)
            if waiting > order.left:
                given.word = ReturnRefused(ask.refund_id, "more than is left of the payment")
            elif self._happens(self.temper.refund_slow):
                self._after(lambda: self._decide(ask, given))
            else:
                self._decide(ask, given)
        elif given.amount != ask.amount:
            return ReturnRefused(ask.refund_id, "the refund is known with another sum")
        return given.word or Waiting()

    def _decide(self, ask: Refund, given: Given) -> None:
        if given.word is not None:
            return
        if self._happens(self.temper.refund_refused):
            given.word = ReturnRefused(ask.refund_id, "the merchant's account is empty")
        else:
            given.word = Returned(ask.refund_id, ask.amount)
        self._notify(ask.order_id, given.word)

    def _notify(self, order_id: bytes, word: NoticeWord) -> None:
        if self._happens(self.temper.notice_never):
            return
        self._count += 1
        body = msgspec.msgpack.encode(Notice(f"n{self._count:08d}", order_id, word))
        data = body + hmac.new(self._secret, body, hashlib.sha256).digest()
        for _ in range(2 if self._happens(self.temper.notice_twice) else 1):
            if self._happens(self.temper.notice_late):
                self._after(lambda: self._outbox.append(data))
            else:
                self._outbox.append(data)
