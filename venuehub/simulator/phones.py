"""Guests who pay with their phones: the real payment desk and pump over the office's books; a channel with a temper.

It loses requests and answers, tells things twice, late or never, pays after a close, charges back, and for an hour has
no money to give back.
"""

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from back_office.payments.desk import Handled, OrderWish, PaymentDesk
from back_office.payments.ledger_books import LedgerBooks
from back_office.payments.port import Create
from back_office.payments.pump import Pump
from back_office.payments.sandbox import CALM, CHANNEL, STORMY, Sandbox
from back_office.store import books, orders
from payment_core.identifiers import uuid7
from payment_core.orders import OPEN, OrderState, Purpose
from venuehub.simulator.plan import PRICE, UNIT

if TYPE_CHECKING:
    from venuehub.simulator.venue import Venue

ORDERS: Final = 48
_BEATS_MS: Final = (200, 2_000, 9_000, 45_000)
_LONG_MS: Final = 75 * 60_000
"""Behind it a slip that no hub took may go back."""
_MOST_ROUNDS: Final = 400
_WILD: Final = replace(STORMY, wrong_amount=35, pays_after_fail=85, pays_after_close=70)
_EMPTY: Final = replace(_WILD, refund_refused=60, refund_slow=50)
"""The merchant's account is empty: it gives nothing back, or not yet."""
_EMPTY_FROM: Final = ORDERS // 4
_EMPTY_TO: Final = 3 * ORDERS // 4
_ON_THE_WAY: Final = (OrderState.REVERSING, OrderState.REFUNDING)


def pays_by_phone(seed: int) -> bool:
    """Say whether a seed ends with an evening of phones."""
    return seed % 10 == 6  # noqa: PLR2004 - one in ten


class Phones:
    """One evening. Luck is of its own dice."""

    def __init__(self, venue: "Venue") -> None:
        office = venue.office
        self._venue = venue
        self._dice = random.Random(venue.world.seed)
        self.channel = Sandbox(dice=self._dice, temper=_WILD)
        ledger = LedgerBooks(office.keys, dice=self._dice.randbytes)
        self.desk = PaymentDesk(office.store, office.keys.tenant_id, ledger, dice=self._dice.randbytes)
        self.pump = Pump(self.desk, {CHANNEL: self.channel}, lambda: venue.world.wall_ms)
        self._orders: list[bytes] = []
        self._acts: tuple[Callable[[bytes], None], ...] = (
            self._pay, self._pay, self._pay, self._pay, self._fail, self._fail, self._close, self._close, self._refund,
            self._refund, self._charge_back, self._charge_back, self._say_again, self._say_again, self._claim,
            self._check, self._submit,
        )  # fmt: skip

    def evening(self) -> None:
        """Order, pay, change one's mind, and complain."""
        self._venue.world.note("phones: an evening begins, and the hubs are switched off")
        self._venue.switch_off()
        for number in range(ORDERS):
            self.channel.temper = _EMPTY if _EMPTY_FROM <= number < _EMPTY_TO else _WILD
            self._create()
            for _act in range(4):
                self._dice.choice(self._acts)(self._dice.choice(self._orders[-8:]))
                self._pass(self._dice.choice(_BEATS_MS))
        self.channel.temper = CALM
        for order_id in self.open():
            self._end(order_id)
        for round_ in range(_MOST_ROUNDS):
            self._pass(60_000 if round_ % 8 != 1 else _LONG_MS)
            if round_ % 8 == 1:  # slips go back once every hub has said that it has none of them
                self._venue.switch_on()
                self._pass(20_000)
                self._venue.office.return_slips()
                self._venue.switch_off()
                for order_id in self._orders:  # the daily comparison finds what the channel never told
                    self._check(order_id)
            if round_ and self.channel.quiet and not self.open() and round_ % 8 > 1:
                break
        self._venue.switch_on()
        self._pass(20_000)

    def findings(self) -> Iterator[str]:
        """What the channel has of guests' money is what the books owe them, and no order is left open."""
        if self.open():
            yield f"payment orders end: {len(self.open())} are open"
        office = self._venue.office
        with office.store.reading() as tx:
            purses = books.guest_balances(tx, office.keys.tenant_id, office.stage.phones).purses
        owed = -sum(amount for (_account, unit), amount in purses.items() if unit == UNIT)
        taken = self.channel.taken(unit=UNIT)
        if owed != taken:
            yield f"payments are money once: the channel has {taken} of guests' money, their purses {owed}"

    def open(self) -> list[bytes]:
        """Return the orders that still owe an answer, and paid plays that nobody has had yet."""
        return [
            row.order_id
            for row in self._rows()
            if row.state in OPEN or (row.purpose is Purpose.PLAY and row.state is OrderState.PAID and row.left)
        ]

    def _rows(self) -> list[orders.Order]:
        office = self._venue.office
        with office.store.reading() as tx:
            return orders.orders(tx, office.keys.tenant_id, limit=10 * ORDERS)

    def _mostly(self, order_id: bytes, *states: OrderState) -> bytes:
        """Return mostly an order in one of these states, where there is one: people act on what they see."""
        seen = [row.order_id for row in self._rows() if row.state in states]
        return self._dice.choice(sorted(seen)) if seen and self._dice.randrange(4) else order_id

    # ---- acts ----

    def _create(self) -> None:
        now_ms, stage = self._venue.world.wall_ms, self._venue.stage
        order_id = uuid7(unix_ms=now_ms, dice=self._dice.randbytes(10))
        self._orders.append(order_id)
        play = self._dice.random() < 0.15  # noqa: PLR2004 - a few scan to play
        wish = OrderWish(
            order_id=order_id, venue_id=stage.identities[0].venue_id, purpose=Purpose.PLAY if play else Purpose.TOP_UP,
            channel=CHANNEL, unit=UNIT, amount=PRICE * self._dice.randrange(1, 6),
            account_id=None if play else self._dice.choice(stage.phones), lane="lane-0" if play else "",
        )  # fmt: skip
        submit = self._dice.random() < 0.8  # noqa: PLR2004 - else the office forgets what it has told the channel
        handled = self.desk.on_create(now_ms, wish, submit=submit)
        self._carry(handled)
        if not submit and handled.order is not None and self._dice.randrange(4):
            order = handled.order
            self.channel.create(Create(order_id, order.unit, order.amount, order.expires_ms))
            if self._dice.randrange(3):  # the guest has the code already
                self.channel.pay(order_id)

    def _pay(self, order_id: bytes) -> None:
        self.channel.pay(self._mostly(order_id, OrderState.PENDING))

    def _fail(self, order_id: bytes) -> None:
        self.channel.fail(self._mostly(order_id, OrderState.PENDING))

    def _charge_back(self, order_id: bytes) -> None:
        """A bank complains, about something that is on its way back already where there is such a thing."""
        self.channel.charge_back(self._mostly(order_id, *_ON_THE_WAY))

    def _say_again(self, order_id: bytes) -> None:
        self.channel.say_again(self._mostly(self._dice.choice((order_id, *self._orders)), *_ON_THE_WAY))

    def _submit(self, order_id: bytes) -> None:
        self._carry(self.desk.on_submit(self._venue.world.wall_ms, order_id))

    def _close(self, order_id: bytes) -> None:
        self._end(self._mostly(order_id, OrderState.PENDING))

    def _end(self, order_id: bytes) -> None:
        self._carry(self.desk.on_close(self._venue.world.wall_ms, order_id))

    def _refund(self, order_id: bytes) -> None:
        order_id = self._mostly(order_id, OrderState.PAID)
        amount = self._dice.choice((None, None, 50))
        refund_id = self._dice.randbytes(16)
        now_ms = self._venue.world.wall_ms
        self._carry(self.desk.on_refund(now_ms, order_id, refund_id=refund_id, amount=amount))
        if self._dice.randrange(2):  # somebody presses the channel's button while it is on its way
            self.channel.say_again(order_id)

    def _claim(self, order_id: bytes) -> None:
        self._carry(self.desk.on_claim(self._venue.world.wall_ms, order_id))

    def _check(self, order_id: bytes) -> None:
        self._carry(self.desk.on_check(self._venue.world.wall_ms, order_id))

    def _carry(self, handled: Handled) -> None:
        self.pump.carry_out(handled)

    def _pass(self, ms: int) -> None:
        """Let time pass at the channel and in the venue; what the channel says arrives, perhaps twice."""
        world = self._venue.world
        world.run(until_ms=world.now_ms + ms)
        for notice in self.channel.at(world.wall_ms):
            for _time in range(1 + (self._dice.random() < 0.2)):  # noqa: PLR2004 - a fifth twice
                self.pump.notice(CHANNEL, notice)
        self.pump.tick()


def evening_of(venue: "Venue") -> Iterator[str]:
    """Spend an evening, and say what is wrong behind it."""
    phones = Phones(venue)
    phones.evening()
    yield from phones.findings()


