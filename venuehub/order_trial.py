"""A trial of payment orders: an office of its own, guests, and a channel that storms; then both books are compared."""

import tempfile
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from back_office.fleet.founding import found_office
from back_office.ledger.desk import Desk, venue_of
from back_office.ledger.verify import prove_books
from back_office.payments.sandbox import CALM, STORMY
from back_office.payments.slips import return_slips
from back_office.store import people
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Tenant
from cloud_sync.identity import OfficeKeys
from payment_core.identifiers import uuid7
from venuehub.order_storm import OrderStorm, StormReport

START_MS: Final = 1_795_320_000_000
HOUR_MS: Final = 3_600_000
HOURS: Final = 30
GUESTS: Final = 5
PAUSES_MS: Final = (0, 1_000, 30_000, 60_000, 300_000)
ACTS_PER_ORDER: Final = 6


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: `storm` with what the office's own books say about themselves."""

    ok: bool
    seed: int
    orders: int
    states: dict[str, int]
    channel_has: int
    credited: int
    rows: dict[str, int]
    faults: list[str]


class _Trial:
    """One office, one storm, one clock."""

    def __init__(self, store: Store, *, seed: int, orders: int, calm: bool) -> None:
        dice = Random(seed)  # noqa: S311 - the same seed, the same storm
        self.now_ms = START_MS
        self._store, self._dice = store, dice
        seeds = [dice.randbytes(32) for _ in range(4)]
        self._venue_id, self._tenant_id = self._id(), self._id()
        keys = OfficeKeys(
            tenant_id=self._tenant_id, trust_seed=seeds[0], sign_seed=seeds[1], receive_privates=(seeds[2],),
            pepper=seeds[3],
        )  # fmt: skip
        founder = Tenant(self._tenant_id, "Trial", START_MS)
        found_office(store, founder, venue_id=self._venue_id, venue="Hall", timezone="Asia/Shanghai")
        guests = [self._id() for _ in range(GUESTS)]
        with store.writing() as tx:
            for guest in guests:
                people.add_account(tx, self._tenant_id, GuestAccount(account_id=guest, created_ms=START_MS))
        self.storm = OrderStorm(
            store, keys, venue_id=self._venue_id, guests=guests, lanes=["racer-2"], dice=dice,
            clock=lambda: self.now_ms, most=orders, temper=CALM if calm else STORMY,
        )  # fmt: skip
        self._orders = orders

    def _id(self) -> bytes:
        return uuid7(unix_ms=self.now_ms, dice=self._dice.randbytes(10))

    def run(self) -> None:
        """Storm, heal, wait for every end, compare once with the channel, and wait again."""
        for _ in range(self._orders * ACTS_PER_ORDER):
            self.storm.act()
            self._pass_time(self._dice.choice(PAUSES_MS))
        self.storm.calm()
        self._wait()
        self.storm.check_all()
        self._wait()

    def _wait(self) -> None:
        for _ in range(HOURS):
            self._pass_time(HOUR_MS)

    def _pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self.storm.tick()
        with self._store.writing() as tx:  # there is no hub in this trial: every slip goes back when it is over
            return_slips(Desk(tx, self._tenant_id, venue_of(tx, self._tenant_id, self._venue_id), now_ms=self.now_ms))

    def report(self, seed: int) -> TrialReport:
        """Compare the office with the channel, and prove the books."""
        said: StormReport = self.storm.compare()
        with self._store.reading() as tx:
            faults = said.faults + prove_books(tx, self._tenant_id).faults
        return TrialReport(
            ok=not faults, seed=seed, orders=said.orders, states=said.states, channel_has=said.channel_has,
            credited=said.credited, rows=said.rows, faults=faults,
        )  # fmt: skip


def run_trial(*, seed: int, orders: int, calm: bool) -> TrialReport:
    """Run one trial in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(sqlite_url(Path(folder) / "office.sqlite3"), create=True)
        try:
            trial = _Trial(store, seed=seed, orders=orders, calm=calm)
            trial.run()
            return trial.report(seed)
        finally:
            store.close()
