"""A trial of payment orders: an office of its own, guests, and a channel that storms; then both books are compared."""

import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from back_office.fleet.founding import found_office
from back_office.ledger.desk import Desk, venue_of
from back_office.ledger.verify import prove_books
from back_office.payments.desk import OrderWish, PaymentDesk
from back_office.payments.ledger_books import LedgerBooks
from back_office.payments.pump import Pump
from back_office.payments.sandbox import CALM, CHANNEL, STORMY, Sandbox
from back_office.payments.slips import return_slips
from back_office.store import orders, people
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Tenant
from cloud_sync.identity import OfficeKeys
from payment_core.identifiers import uuid7
from payment_core.orders import CREDITED, FINAL, OrderState, Purpose

UNIT: Final = "CNY"
START_MS: Final = 1_795_320_000_000
HOUR_MS: Final = 3_600_000
GUESTS: Final = 5
PAUSES_MS: Final = (0, 1_000, 30_000, 60_000, 300_000)


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `channel_has`: what guests paid and did not get back; `credited`: the same, as the office says.

    `rows`: how often each row of the order's table was walked, as `state/step`.
    """

    ok: bool
    seed: int
    orders: int
    states: dict[str, int]
    channel_has: int
    credited: int
    rows: dict[str, int]
    faults: list[str]


class _Trial:
    """One office, one channel, one clock."""

    def __init__(self, store: Store, *, seed: int, calm: bool) -> None:
        self.dice = Random(seed)  # noqa: S311 - the same seed, the same storm
        self.now_ms = START_MS
        self.store = store
        seeds = [self.dice.randbytes(32) for _ in range(4)]
        self.venue_id = self._id()
        self.keys = OfficeKeys(
            tenant_id=self._id(), trust_seed=seeds[0], sign_seed=seeds[1], receive_privates=(seeds[2],), pepper=seeds[3]
        )
        founder = Tenant(self.keys.tenant_id, "Trial", START_MS)
        found_office(store, founder, venue_id=self.venue_id, venue="Hall", timezone="Asia/Shanghai")
        self.guests = [self._id() for _ in range(GUESTS)]
        with store.writing() as tx:
            for guest in self.guests:
                people.add_account(tx, self.keys.tenant_id, GuestAccount(account_id=guest, created_ms=START_MS))
        self.sandbox = Sandbox(dice=Random(self.dice.random()), temper=CALM if calm else STORMY)  # noqa: S311 - as above
        books = LedgerBooks(self.keys, dice=self.dice.randbytes)
        self.desk = PaymentDesk(store, self.keys.tenant_id, books, dice=self.dice.randbytes)
        self.pump = Pump(self.desk, {CHANNEL: self.sandbox}, lambda: self.now_ms)
        self.sandbox.at(self.now_ms)
        self.made: list[bytes] = []

    def _id(self) -> bytes:
        return uuid7(unix_ms=self.now_ms, dice=self.dice.randbytes(10))

    def storm(self, count: int) -> None:
        """Let guests, staff and the channel do what they like until all orders are made, and a while longer."""
        for act in range(count * 6):
            if len(self.made) < count and act % 4 == 0:
                self._create()
            if self.made:
                self._act(self.dice.choice(self.made))
            self.pass_time(self.dice.choice(PAUSES_MS))

    def _create(self) -> None:
        order_id = self._id()
        self.made.append(order_id)
        play = self.dice.randrange(3) == 0
        wish = OrderWish(
            order_id=order_id, venue_id=self.venue_id, purpose=Purpose.PLAY if play else Purpose.TOP_UP,
            channel=CHANNEL, unit=UNIT, amount=self.dice.randrange(1, 100) * 50,
            account_id=None if play else self.dice.choice(self.guests), lane="racer-2" if play else "",
        )  # fmt: skip
        self.pump.carry_out(self.desk.on_create(self.now_ms, wish, submit=self.dice.randrange(10) > 0))

    def _act(self, order_id: bytes) -> None:
        match self.dice.randrange(8):
            case 0 | 1 | 2:
                self.sandbox.pay(order_id)
            case 3:
                amount = self.dice.choice((None, 50, 100))
                refund_id = self.dice.randbytes(16)
                self.pump.carry_out(self.desk.on_refund(self.now_ms, order_id, refund_id=refund_id, amount=amount))
            case 4:
                act = self.dice.choice((self.sandbox.charge_back, self.sandbox.fail, self.sandbox.say_again))
                act(order_id)
            case _:
                wish = self.dice.choice(
                    (self.desk.on_close, self.desk.on_claim, self.desk.on_check, self.desk.on_submit)
                )
                self.pump.carry_out(wish(self.now_ms, order_id))

    def pass_time(self, ms: int) -> None:
        """Let time pass: notices come in, what is due is done, slips that no hub can have go back."""
        self.now_ms += ms
        for data in self.sandbox.at(self.now_ms):
            self.pump.notice(CHANNEL, data)
        self.pump.tick()
        with self.store.writing() as tx:
            tenant_id = self.keys.tenant_id
            return_slips(Desk(tx, tenant_id, venue_of(tx, tenant_id, self.venue_id), now_ms=self.now_ms))

    def calm_down(self) -> None:
        """Let the network heal, everything come to its end, and every order be compared with the channel once."""
        self.sandbox.temper = CALM
        for order_id in self.made:
            self.pump.carry_out(self.desk.on_submit(self.now_ms, order_id))
        for _ in range(30):
            self.pass_time(HOUR_MS)
        for order_id in self.made:
            self.pump.carry_out(self.desk.on_check(self.now_ms, order_id))
        for _ in range(30):
            self.pass_time(HOUR_MS)

    def report(self, seed: int) -> TrialReport:
        """Compare the office with the channel, order by order, and prove the books."""
        faults: list[str] = []
        tenant_id = self.keys.tenant_id
        with self.store.reading() as tx:
            found = [order for order_id in self.made if (order := orders.order(tx, tenant_id, order_id))]
            proof = prove_books(tx, tenant_id)
            rows: Counter[str] = Counter()
            for order in found:
                state = OrderState.CREATED
                for step in orders.steps(tx, tenant_id, order.order_id):
                    rows[f"{state.value}/{step.step.value}"] += 1
                    state = step.state
        credited = 0
        for order in found:
            account = self.sandbox.orders.get(order.order_id)
            ours, theirs = order.left if order.state in CREDITED else 0, account.left if account else 0
            credited += ours
            if ours != theirs or order.state not in FINAL:
                faults.append(
                    f"order {order.order_id.hex()} is {order.state.value} with {ours}, the channel has {theirs}"
                )
        faults += proof.faults
        states = Counter(order.state.value for order in found)
        return TrialReport(
            ok=not faults, seed=seed, orders=len(found), states=dict(sorted(states.items())),
            channel_has=self.sandbox.taken(unit=UNIT), credited=credited, rows=dict(sorted(rows.items())),
            faults=faults,
        )  # fmt: skip


def run_trial(*, seed: int, orders: int, calm: bool) -> TrialReport:
    """Run one trial in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(sqlite_url(Path(folder) / "office.sqlite3"), create=True)
        try:
            trial = _Trial(store, seed=seed, calm=calm)
            trial.storm(orders)
            trial.calm_down()
            return trial.report(seed)
        finally:
            store.close()
