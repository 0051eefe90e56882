"""A desk of payment orders on real tables, a sandbox channel, and purses kept in a pocket instead of the ledger."""

# ruff: noqa: ARG002 - the calls of a port name more than a pocket needs

from collections import defaultdict
from random import Random

from back_office.payments.books import Whereabouts
from back_office.payments.desk import OrderWish, PaymentDesk
from back_office.payments.pump import Pump
from back_office.payments.sandbox import CALM, Sandbox, Temper
from back_office.store import orders, papers
from back_office.store.orders import Order
from payment_core.orders import Purpose
from tests.back_office.world import GUEST, TENANT, VENUE, WALL_MS

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


class PocketBooks:
    """The books' port over a few dictionaries: what each account has in its purse, elsewhere, and owes."""

    def __init__(self):
        self.purses = defaultdict(int)
        self.elsewhere = defaultdict(int)
        self.owed = defaultdict(int)
        self.credited = {}
        self.lines = []

    def credit(self, tx, order: Order, *, now_ms):
        key = (order.channel, order.payment_id)
        assert key not in self.credited, "a payment is credited once"
        assert order.paid == order.amount, "only what was asked for is credited"
        self.credited[key] = order.paid
        if order.purpose is Purpose.PLAY:
            self.elsewhere[order.account_id] += order.paid
        else:
            self.purses[order.account_id] += order.paid
        self.lines.append(("credit", order.paid))
        return ""

    def take_out(self, tx, order, *, refund_id, amount, now_ms):
        if self.purses[order.account_id] < amount:
            return f"only {self.purses[order.account_id]} of it are at the office"
        self.purses[order.account_id] -= amount
        self.lines.append(("take_out", amount))
        return ""

    def put_back(self, tx, order, *, refund_id, amount, now_ms):
        self.purses[order.account_id] += amount
        self.lines.append(("put_back", amount))

    def take_back(self, tx, order, *, amount, now_ms):
        there = min(self.purses[order.account_id], amount)
        self.purses[order.account_id] -= there
        self.owed[order.account_id] += amount - there
        self.lines.append(("take_back", amount))

    def whereabouts(self, tx, order):
        return Whereabouts(self.purses[order.account_id], self.elsewhere[order.account_id])

    @property
    def kept(self):
        """What was credited and not taken out again."""
        sign = {"credit": 1, "put_back": 1, "take_out": -1, "take_back": -1}
        return sum(sign[line] * amount for line, amount in self.lines)


class Counter:
    """Desk, channel and pump at one clock."""

    def __init__(self, office, *, temper: Temper = CALM, seed: int = 1, desk=PaymentDesk):
        self.office = office
        self.now_ms = WALL_MS
        self.books = PocketBooks()
        dice = Random(seed)
        self.sandbox = Sandbox(dice=dice, temper=temper)
        self.desk = desk(office.store, TENANT, self.books, dice=Random(seed + 1).randbytes)
        self.pump = Pump(self.desk, {"sandbox": self.sandbox}, lambda: self.now_ms)
        self.sandbox.at(self.now_ms)

    def wish(self, number: int = 1, **changes) -> OrderWish:
        fields = {
            "order_id": number.to_bytes(16, "big"), "venue_id": VENUE, "purpose": Purpose.TOP_UP, "channel": "sandbox",
            "unit": "CNY", "amount": 1_000, "account_id": GUEST,
        }  # fmt: skip
        if changes.get("purpose") is Purpose.PLAY:
            fields |= {"account_id": None, "lane": "racer-2", "amount": 200}
        return OrderWish(**{**fields, **changes})

    def create(self, number: int = 1, *, submit=True, **changes) -> Order:
        return self.pump.carry_out(self.desk.on_create(self.now_ms, self.wish(number, **changes), submit=submit)).order

    def pass_time(self, ms: int = 0):
        """Let time pass: notices come in, and what is due is done."""
        self.now_ms += ms
        for data in self.sandbox.at(self.now_ms):
            self.pump.notice("sandbox", data)
        self.pump.tick()

    def order(self, number: int = 1) -> Order:
        with self.office.store.reading() as tx:
            found = orders.order(tx, TENANT, number.to_bytes(16, "big"))
        assert found is not None
        return found

    def steps(self, number: int = 1) -> list[str]:
        with self.office.store.reading() as tx:
            return [row.step.value for row in orders.steps(tx, TENANT, number.to_bytes(16, "big"))]

    def alarms(self) -> list[str]:
        with self.office.store.reading() as tx:
            return [alarm.kind for alarm in papers.alarms(tx, TENANT)]
