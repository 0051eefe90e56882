"""`venuehub bench decide`: what a tap costs the till without its disk, in a large hall beside a tiny one.

Timed is a whole step with one tap, from BEGIN to just before COMMIT: proof, look-ups, price, checks, entries, rows.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.hall import PEPPER, UNIT, now, uid_of
from benchmarks.report import Report, finished, interleaved, judge
from edge_agent.ledger.migrations import migrate
from edge_agent.ledger.store import SqliteStore
from edge_agent.messages import Born, DeviceIs, DocumentArrived, FromDevice, Input, LeaseArrived, ListArrived, Send
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState
from payment_core.credential import ListRow, Status
from payment_core.events import CredentialPresented, CreditDelivered, make_event
from payment_core.identifiers import credential_id
from payment_core.money import MAX_MINOR, Money
from payment_core.policy import ClassLimit, DevicesDocument, Lane, RiskDocument, Velocity
from payment_core.price_calendar import Band
from payment_core.price_rule import PriceRule
from payment_core.pricing import PriceList

TAPS = 400
AT_ONCE = 5_000
TIERS = ("", "gold", "silver")


class Size(msgspec.Struct, frozen=True):
    """How large a hall is."""

    members: int
    lanes: int
    rules: int
    blocks: int


ONE = Size(1, 1, 1, 1)
LARGE = Size(10_000, 200, 500, 50)
FEW = Size(1_000, 200, 500, 50)
MANY = Size(100_000, 200, 500, 50)


def run(*, taps: int = TAPS, sizes: tuple[Size, Size, Size, Size] = (ONE, LARGE, FEW, MANY)) -> Report:
    """Measure both ratios."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        halls = [_TimedHall(Path(name) / str(number), size) for number, size in enumerate(sizes)]
        one, large, few, many = (_per_tap(hall, taps) for hall in halls)
        for measure in (one, large, few, many):
            measure()
        rows = [
            judge("all_of_each", "us", interleaved(one, large), at_most=1.5),
            judge("members", "us", interleaved(few, many), at_most=1.2),
        ]
        for hall in halls:
            hall.store.close()
    return finished(rows)


def _per_tap(hall: "_TimedHall", taps: int) -> Callable[[], float]:
    def measure() -> float:
        return min(hall.microseconds(taps // 4) for _part in range(4))

    return measure


class _TimedStore(SqliteStore):
    """Notes when a commit begins, and does not wait for the disk."""

    commit_at = 0.0

    def commit(self) -> None:
        self.commit_at = time.perf_counter()
        super().commit()


class _TimedHall:
    """A till in a hall of some size, all of it good for playing but the blocked cards."""

    def __init__(self, folder: Path, size: Size) -> None:
        folder.mkdir()
        self.size = size
        self.store = _TimedStore(folder / "ledger.sqlite3")
        migrate(self.store, "benchmark")
        self.store.rows("PRAGMA synchronous=OFF")
        self.till = Till(self.store, hub_id=os.urandom(16), venue_id=os.urandom(16), pepper=PEPPER, dice=os.urandom)
        self._dice = random.Random(size.members)  # noqa: S311 - which card taps next
        self._seq = 0
        for facts in _furniture(size):
            self.till.step(now(), facts)
            self.store.checkpoint()

    def microseconds(self, taps: int) -> float:
        """Return the mean time of a step with one tap; what machines answer is booked outside it."""
        took = 0.0
        sends: list[Send] = []
        for _tap in range(taps):
            tap = self._tap()
            begin = time.perf_counter()
            effects = self.till.step(now(), [tap])
            took += self.store.commit_at - begin
            sends += [effect for effect in effects if isinstance(effect, Send)]
        assert len(sends) == taps, "a benchmark's tap was declined"
        self.till.step(now(), [self._captured(send) for send in sends])
        self.store.checkpoint()
        return took / taps * 1e6

    def _tap(self) -> FromDevice:
        self._seq += 1
        card, lane = self._dice.randrange(self.size.members), self._seq % self.size.lanes
        body = CredentialPresented("ntag21x", uid_of(card), "C")
        return FromDevice(f"reader-{lane}", make_event(body, seq=self._seq, epoch=1, age_ms=1), now().boottime_ms)

    def _captured(self, send: Send) -> FromDevice:
        self._seq += 1
        event = make_event(CreditDelivered(send.command.id, 1), seq=self._seq, epoch=1, age_ms=0)
        return FromDevice(send.device, event, now().boottime_ms)


def _furniture(size: Size) -> list[list[Input]]:
    lanes = tuple(
        Lane(f"lane-{n}", f"racer-{n}", f"zone-{n % 4}", f"reader-{n}", f"line-{n}", group=f"kind-{n % 9}")
        for n in range(size.lanes)
    )
    risk = RiskDocument(
        1, (ClassLimit("C", 10_000, MAX_MINOR),), Velocity(60_000, 10**6, MAX_MINOR),
        answer_ms=10**9, repeat_after_ms=0, lease_cap=MAX_MINOR, top_up_cap=MAX_MINOR,
    )  # fmt: skip
    documents = {"devices": DevicesDocument(1, lanes), "prices": _prices(size), "risk": risk}
    facts: list[Input] = [DocumentArrived(name, 1, msgspec.json.encode(body)) for name, body in documents.items()]
    facts += [Born(lane.output, Birth("p", 1, "boot", "b")) for lane in lanes]
    facts += [DeviceIs(lane.output, DeviceState("online", 0)) for lane in lanes]
    pieces, rows = [facts], _rows(size)
    for start in range(0, len(rows), AT_ONCE):
        held, some = start // AT_ONCE, rows[start : start + AT_ONCE]
        pieces.append([ListArrived(held + 1, full=not held, base_version=held, rows=some)])
        pieces.append([LeaseArrived(row.account_id, UNIT, 1, 1_000_000_000) for row in some])
    return pieces


def _rows(size: Size) -> tuple[ListRow, ...]:
    return tuple(
        _row(number, "active" if number < size.members else "blocked") for number in range(size.members + size.blocks)
    )


def _row(number: int, status: Status) -> ListRow:
    raw = bytes.fromhex(uid_of(number))
    known = credential_id(pepper=PEPPER, kind="ntag21x", raw_id=raw)
    return ListRow(known, os.urandom(16), "C", status, 1, tier=TIERS[number % len(TIERS)])


def _prices(size: Size) -> PriceList:
    """Return a list where several rules count for each machine: its own, by band, by tier, by zone."""
    bands = tuple(Band(name, begin, begin + 360) for name, begin in (("a", 0), ("b", 360), ("c", 720), ("d", 1_080)))
    rules = [PriceRule((Money(200, UNIT),))]
    for number in range(1, size.rules):
        machine, turn = f"racer-{number % size.lanes}", number // size.lanes
        price = (Money(150 + number % 50, UNIT),)
        if turn == 0:
            rules.append(PriceRule(price, machine=machine))
        elif turn == 1:
            rules.append(PriceRule(price, machine=machine, band="abcd"[number % 4]))
        else:
            rules.append(PriceRule(price, zone=f"zone-{number % 4}", tier=TIERS[1 + number % 2]))
    return PriceList(version=1, unit=UNIT, rules=tuple(rules), bands=bands)
