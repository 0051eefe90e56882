"""Guests, staff and a channel around one office's payment orders, from seeded dice: for trials and for the simulator.

The caller owns the time: `act` lets somebody do something now, `tick` lets notices in and does what is due, `calm`
heals the channel, `compare` sets the orders of the office beside what the channel really has.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import msgspec

from back_office.payments.desk import OrderWish, PaymentDesk
from back_office.payments.ledger_books import LedgerBooks
from back_office.payments.port import Create
from back_office.payments.pump import Pump
from back_office.payments.sandbox import CALM, CHANNEL, STORMY, Sandbox, Temper
from back_office.store import orders
from back_office.store.engine import Store
from back_office.store.orders import Order
from cloud_sync.identity import OfficeKeys
from payment_core.identifiers import uuid7
from payment_core.orders import CREDITED, FINAL, TABLE, OrderState, Purpose

ROWS: Final = tuple(f"{state.value}/{step.value}" for state, step in TABLE)
"""Every row of the order's table, as `compare` names them."""
SUMS: Final = 100
"""An order is for 0.50 to 50.00."""


class StormReport(msgspec.Struct, frozen=True, kw_only=True):
    """The office beside the channel. `channel_has`: what guests paid and did not get back; `credited`: the office says.

    rows: how often each row of the table was walked; rows that were not are not in it. faults: sentences.
    """

    orders: int
    states: dict[str, int]
    channel_has: int
    credited: int
    rows: dict[str, int]
    faults: list[str]


class OrderStorm:
    """Up to `most` orders of one venue. `clock`: UTC ms; guests: account ids that are there; lanes: where plays are."""

    def __init__(  # noqa: PLR0913 - what a venue is made of
        self, store: Store, keys: OfficeKeys, *, venue_id: bytes, guests: Sequence[bytes], lanes: Sequence[str],
        dice: Random, clock: Callable[[], int], most: int, temper: Temper = STORMY, unit: str = "CNY",
    ) -> None:  # fmt: skip
        """Take what there is; nothing happens before the first act."""
        self.made: list[bytes] = []
        self.sandbox = Sandbox(dice=Random(dice.random()), temper=temper)  # noqa: S311 - the same seed, the same storm
        books = LedgerBooks(keys, dice=dice.randbytes)
        self.desk = PaymentDesk(store, keys.tenant_id, books, dice=dice.randbytes)
        self._pump = Pump(self.desk, {CHANNEL: self.sandbox}, clock)
        self._store, self._tenant_id, self._venue_id = store, keys.tenant_id, venue_id
        self._guests, self._lanes, self._unit, self._most = guests, lanes, unit, most
        self._dice, self._clock = dice, clock

    def act(self) -> None:
        """Let somebody do something: a new order, a payment, a refund, a wish, or the channel's own doing."""
        if len(self.made) < self._most and (not self.made or self._dice.randrange(4) == 0):
            self._create()
        # Mostly an order of the moment, for most can happen while it is open; now and then an old one.
        order_id = self._dice.choice(self.made[-4:] if self._dice.randrange(3) else self.made)
        now_ms = self._clock()
        match self._dice.randrange(12):
            case 0 | 1 | 2 | 3:
                self.sandbox.pay(order_id)
            case 4 | 5:
                amount, refund_id = self._dice.choice((None, None, 50, 100)), self._dice.randbytes(16)
                self._pump.carry_out(self.desk.on_refund(now_ms, order_id, refund_id=refund_id, amount=amount))
            case 6 | 7 | 8:
                channel = self.sandbox
                act = self._dice.choice((channel.charge_back, channel.fail, channel.say_again, channel.say_again))
                act(order_id)
            case _:
                desk = self.desk
                wish = self._dice.choice((desk.on_close, desk.on_claim, desk.on_check, desk.on_submit))
                self._pump.carry_out(wish(now_ms, order_id))

    def _create(self) -> None:
        dice, now_ms = self._dice, self._clock()
        order_id = uuid7(unix_ms=now_ms, dice=dice.randbytes(10))
        self.made.append(order_id)
        play = bool(self._lanes) and dice.randrange(3) == 0
        wish = OrderWish(
            order_id=order_id, venue_id=self._venue_id, purpose=Purpose.PLAY if play else Purpose.TOP_UP,
            channel=CHANNEL, unit=self._unit, amount=dice.randrange(1, SUMS) * 50,
            account_id=None if play else dice.choice(self._guests), lane=dice.choice(self._lanes) if play else "",
        )  # fmt: skip
        made = self._pump.carry_out(self.desk.on_create(now_ms, wish, submit=dice.randrange(8) > 0)).order
        if made is not None and made.state is OrderState.CREATED and dice.randrange(2):
            self._told_by_a_later_copy(made)

    def _told_by_a_later_copy(self, order: Order) -> None:
        """Let the channel know an order that this office does not know it told: its books were set back since."""
        self.sandbox.create(Create(order.order_id, order.unit, order.amount, order.expires_ms))
        self.sandbox.pay(order.order_id)

    def tick(self) -> None:
        """Let notices in, and do what is due."""
        for data in self.sandbox.at(self._clock()):
            self._pump.notice(CHANNEL, data)
        self._pump.tick()

    def calm(self) -> None:
        """Let the channel lose nothing from now on, and submit what was only written down."""
        self.sandbox.temper = CALM
        for order_id in self.made:
            self._pump.carry_out(self.desk.on_submit(self._clock(), order_id))

    def check_all(self) -> None:
        """Ask the channel about every order once, as an office does every day."""
        for order_id in self.made:
            self._pump.carry_out(self.desk.on_check(self._clock(), order_id))

    def compare(self) -> StormReport:
        """Set the office beside the channel, order by order; after `calm` and a day or more every order has ended."""
        rows: Counter[str] = Counter()
        with self._store.reading() as tx:
            found = [order for one in self.made if (order := orders.order(tx, self._tenant_id, one))]
            for order in found:
                state = OrderState.CREATED
                for step in orders.steps(tx, self._tenant_id, order.order_id):
                    rows[f"{state.value}/{step.step.value}"] += 1
                    state = step.state
        faults, credited = [], 0
        for order in found:
            account = self.sandbox.orders.get(order.order_id)
            ours, theirs = order.left if order.state in CREDITED else 0, account.left if account else 0
            credited += ours
            if ours != theirs or order.state not in FINAL:
                what = f"order {order.order_id.hex()} is {order.state.value} with {ours}"
                faults.append(f"{what}, the channel has {theirs}")
        states = Counter(order.state.value for order in found)
        return StormReport(
            orders=len(found), states=dict(sorted(states.items())), channel_has=self.sandbox.taken(unit=self._unit),
            credited=credited, rows=dict(sorted(rows.items())), faults=faults,
        )  # fmt: skip
