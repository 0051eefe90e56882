"""A hall for benchmarks: the real till on a real ledger file, lanes with money, and taps that never repeat a card."""

import os
import time
from pathlib import Path

import msgspec

from edge_agent.ledger.migrations import migrate
from edge_agent.ledger.store import SqliteStore
from edge_agent.messages import (
    Born,
    DeviceIs,
    DocumentArrived,
    Effect,
    FromDevice,
    Input,
    LeaseArrived,
    ListArrived,
    Moment,
    Send,
)
from edge_agent.till import Till
from edge_agent.till_thread import CheckpointPlan
from payment_core.bus import Birth, DeviceState
from payment_core.credential import ListRow
from payment_core.events import CredentialPresented, CreditDelivered, make_event
from payment_core.identifiers import credential_id
from payment_core.journal import TimeQuality
from payment_core.money import MAX_MINOR, Money
from payment_core.policy import DevicesDocument, Lane, RiskDocument
from payment_core.pricing import LocalTime, PriceList, PriceRule

PEPPER = b"p" * 32
UNIT = "CNY"
BOOT_ID = bytes(16)


class SlowStore(SqliteStore):
    """A disk whose commits take `delay_s` longer, as an SD card's do."""

    delay_s = 0.0

    def commit(self) -> None:
        """Wait, then commit."""
        if self.delay_s:
            time.sleep(self.delay_s)
        super().commit()


def now() -> Moment:
    """Read the clocks as cheaply as the product's Clock does."""
    wall_ms = time.time_ns() // 1_000_000
    boottime_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return Moment(wall_ms, BOOT_ID, boottime_ms, TimeQuality.SYNCED, 20_261_122, LocalTime(7, 600))


def uid_of(card: int) -> str:
    """Return a card's uid as readers say it."""
    return f"04{card:012X}"


def furniture(lanes: int, cards: int, *, money: int = 1_000_000_000) -> list[Input]:
    """Return the facts that furnish a hub: documents, list, leases, devices."""
    places = tuple(Lane(f"lane-{n}", f"racer-{n}", "hall", f"reader-{n}", f"line-{n}") for n in range(lanes))
    accounts = [os.urandom(16) for _card in range(cards)]
    rows = tuple(
        ListRow(
            credential_id(pepper=PEPPER, kind="ntag21x", raw_id=bytes.fromhex(uid_of(n))), account, "C", "active", 1
        )
        for n, account in enumerate(accounts)
    )
    documents = {
        "devices": DevicesDocument(1, places),
        "prices": PriceList(version=1, unit=UNIT, rules=(PriceRule(price=(Money(200, UNIT),)),)),
        "risk": RiskDocument(version=1, answer_ms=600_000, lease_cap=MAX_MINOR, top_up_cap=MAX_MINOR),
    }
    facts: list[Input] = [DocumentArrived(name, 1, msgspec.json.encode(body)) for name, body in documents.items()]
    facts.append(ListArrived(1, full=True, base_version=0, rows=rows))
    facts += [LeaseArrived(account, UNIT, 1, money) for account in accounts]
    facts += [Born(place.output, Birth("p", 1, "boot", "b")) for place in places]
    facts += [DeviceIs(place.output, DeviceState("online", 0)) for place in places]
    return facts


class Hall:
    """`play(n)` authorizes n taps in one step; `captures` holds what the machines then say."""

    def __init__(self, folder: Path, *, lanes: int = 64) -> None:
        self.lanes = lanes
        self.cards = max(40, 2 * lanes)
        self.store = SlowStore(folder / "ledger.sqlite3")
        migrate(self.store, "benchmark")
        self.till = Till(self.store, hub_id=os.urandom(16), venue_id=os.urandom(16), pepper=PEPPER, dice=os.urandom)
        self.till.step(now(), furniture(lanes, self.cards))
        self.captures: list[Input] = []
        self._taps = 0
        self._plan = CheckpointPlan()

    def tap(self) -> FromDevice:
        """Return the next tap: lanes in turn, each time with another card."""
        lane, turn = self._taps % self.lanes, self._taps // self.lanes
        self._taps += 1
        event = make_event(
            CredentialPresented("ntag21x", uid_of((lane + turn) % self.cards), "C"), seq=self._taps, epoch=1, age_ms=1
        )
        return FromDevice(f"reader-{lane}", event, now().boottime_ms)

    def captured(self, send: Send) -> FromDevice:
        """Return what the machine says when the command is carried out."""
        event = make_event(CreditDelivered(send.command.id, 1), seq=self._taps, epoch=1, age_ms=0)
        return FromDevice(send.device, event, now().boottime_ms)

    def step(self, facts: list[Input]) -> list[Effect]:
        """Step, and checkpoint where the product would."""
        effects = self.till.step(now(), facts)
        self._plan.note(len(facts))
        if self._plan.due(idle=True):
            self._plan.done(self.store.checkpoint())
        return effects

    def play(self, taps: list[FromDevice]) -> None:
        """Authorize in one step; every tap must be approved."""
        sends = [effect for effect in self.step([*taps]) if isinstance(effect, Send)]
        assert len(sends) == len(taps), "a benchmark's tap was declined"
        self.captures += [self.captured(send) for send in sends]

    def settle(self) -> None:
        """Capture everything that machines have answered."""
        captures, self.captures = self.captures, []
        for start in range(0, len(captures), 64):
            self.step(captures[start : start + 64])

    def warm_up(self) -> None:
        """Play until the WAL has grown to its steady size."""
        for _round in range(30):
            self.play([self.tap() for _lane in range(self.lanes)])
            self.settle()
