"""The desk and two hubs in any order: the formula holds, honest hubs are never accused, and no fen is lost or made."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from back_office.fleet.closing import close
from back_office.ledger.counter import PayOut, Reversal, pay_out, reverse
from back_office.ledger.terms import GiftStep, TopUpTerms, keep_terms
from back_office.store import lots, places
from payment_core.accounts import Kind
from payment_core.journal import Captured, Cause, LeasePassed, LeaseReturned, Part, Refunded, Voided, VoucherTaken
from payment_core.journal import Held as HeldEntry
from tests.back_office.world import GUEST, HUB, OTHER_HUB, TENANT, WALL_MS, HubPen, Office
from tests.support.sizes import count

AMOUNTS = st.integers(1, 700)
WHICH = st.booleans()


class Hall:
    """An honest hub: it spends what it has, lot by lot."""

    def __init__(self, pen: HubPen) -> None:
        self.pen = pen
        self.granted: dict[tuple[str, bytes], int] = {}
        self.has: dict[tuple[str, bytes], int] = {}
        self.open: dict[int, tuple[Part, ...]] = {}
        self.played: dict[int, tuple[Part, ...]] = {}
        self.number = 0

    def take_grants(self, rows) -> None:
        for key, row in rows.items():
            fresh = row.granted - self.granted.get((key.unit, key.lot), 0)
            self.granted[key.unit, key.lot] = row.granted
            self.has[key.unit, key.lot] = self.has.get((key.unit, key.lot), 0) + fresh

    def parts(self, amount: int) -> tuple[Part, ...]:
        found = []
        for (unit, lot), left in sorted(self.has.items()):
            take = min(left, amount)
            if take:
                self.has[unit, lot] -= take
                amount -= take
                found.append(Part(unit, take, 1, lot))
        return tuple(found)

    def back(self, parts) -> None:
        for part in parts:
            self.has[part.unit, part.lot] = self.has.get((part.unit, part.lot), 0) + part.amount


class AnyOrder(RuleBasedStateMachine):
    """Rules are what people and hubs do; what hubs write reaches the office whenever it does."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.office = Office(Path(self.folder.name))
        other = self.office.enroll(OTHER_HUB, "foyer")
        self.halls = [Hall(self.office.hub), Hall(other)]
        self.ways: list[tuple[int, int, tuple[Part, ...], bytes]] = []
        self.payments = 0
        self.closed = False
        for hall in self.halls:
            self.office.worker.on_message(*hall.pen.hello())
        with self.office.store.writing() as tx:
            terms = TopUpTerms(steps=(GiftStep("CNY", 500, "bonus", 50),))
            keep_terms(tx, TENANT, terms, now_ms=WALL_MS)

    def teardown(self) -> None:
        self.office.store.close()
        self.folder.cleanup()

    # ---- the desk ----

    @rule(amount=st.integers(1, 2_000))
    def top_up(self, amount):
        self.payments += 1
        self.office.top_up(amount, payment=f"p{self.payments}")

    @rule(which=WHICH)
    def lease(self, which):
        with self.office.store.writing() as tx:
            hub = places.hub(tx, TENANT, (HUB, OTHER_HUB)[which])
            rows = self.office.desk(tx).lease(hub, GUEST)
        if not (self.closed and which):
            self.halls[which].take_grants(rows)

    @precondition(lambda self: self.payments)
    @rule(number=st.integers(1, 9), amount=AMOUNTS, act=st.integers(0, 3))
    def refund(self, number, amount, act):
        wish = PayOut(refund_id=bytes([act]) * 16, channel="counter", payment_id=f"p{number}", amount=amount)
        with self.office.store.writing() as tx:
            pay_out(self.office.desk(tx), wish)

    @precondition(lambda self: self.payments)
    @rule(number=st.integers(1, 9), act=st.integers(0, 3))
    def reverse(self, number, act):
        wish = Reversal(reversal_id=bytes([act]) * 16, channel="counter", payment_id=f"p{number}")
        with self.office.store.writing() as tx:
            reverse(self.office.desk(tx), wish)

    # ---- the hubs ----

    @rule(which=WHICH, amount=AMOUNTS)
    def hold(self, which, amount):
        hall = self.halls[which]
        parts = hall.parts(amount)
        if parts:
            hall.number += 1
            hall.open[hall.number] = parts
            hall.pen.write(
                lambda header: HeldEntry(1, header, parts, GUEST, bytes(16), "C", "r", 1, hall.pen.seq, 0),
                authorization=hall.number,
            )

    @rule(which=WHICH, captured=WHICH)
    def end(self, which, captured):
        hall = self.halls[which]
        if not hall.open:
            return
        number, parts = hall.open.popitem()
        kind = Captured if captured else Voided
        hall.pen.write(lambda header: kind(1, header, parts, GUEST, Cause.DEVICE), authorization=number)
        if captured:
            hall.played[number] = parts
        else:
            hall.back(parts)

    @rule(which=WHICH)
    def give_a_play_back(self, which):
        hall = self.halls[which]
        if hall.played:
            number, parts = hall.played.popitem()
            hall.pen.write(lambda header: Refunded(1, header, parts, GUEST, Cause.STAFF), authorization=number)
            hall.back(parts)

    @rule(which=WHICH, amount=AMOUNTS)
    def give_back(self, which, amount):
        hall = self.halls[which]
        parts = hall.parts(amount)
        if parts:
            hall.pen.write(lambda header: LeaseReturned(1, header, GUEST, parts, "idle"))

    @rule(which=WHICH, amount=AMOUNTS)
    def pass_on(self, which, amount):
        giver, taker = self.halls[which], self.halls[not which]
        parts = giver.parts(amount)
        if parts:
            to = taker.pen.identity.hub_id
            entry = giver.pen.write(lambda header: LeasePassed(1, header, GUEST, parts, to))
            seq = entry.header.seq
            self.ways.append((which, seq, parts, giver.pen.voucher(taker.pen, seq, parts)))

    @precondition(lambda self: self.ways)
    @rule(at=st.integers(0, 9))
    def take_in(self, at):
        which, seq, parts, voucher = self.ways.pop(at % len(self.ways))
        giver, taker = self.halls[which], self.halls[not which]
        taker.pen.write(
            lambda header: VoucherTaken(1, header, GUEST, parts, giver.pen.identity.hub_id, 1, seq, (), voucher)
        )
        taker.back(parts)

    @rule(which=WHICH)
    def sync(self, which):
        pen = self.halls[which].pen
        if pen.seq > pen.sealed_records:
            self.office.take(pen.batch(), pen)

    @precondition(lambda self: not self.closed)
    @rule(captured=WHICH)
    def close_the_foyer(self, captured):
        self.closed = True
        with self.office.store.writing() as tx:
            hub = places.hub(tx, TENANT, OTHER_HUB)
            close(self.office.desk(tx), hub, by="ann", note="stolen", captured=captured)

    # ---- what always holds ----

    @invariant()
    def nobody_honest_is_accused(self):
        kinds = {kind for kind, _ in self.office.alarms()}
        assert kinds <= ({"late", "act_conflict"} if self.closed else {"act_conflict"}), kinds
        assert (self.office.frozen(), self.office.frozen(OTHER_HUB)) == ("", "")
        if not self.closed:
            assert self.office.balance(Kind.OVERCLAIM) == 0

    @invariant()
    def the_books_prove_themselves(self):
        assert self.office.prove().faults == []

    @invariant()
    def hubs_and_office_agree_where_all_is_heard(self):
        pens = [hall.pen for hall in self.halls]
        if self.closed or self.ways or any(pen.seq > pen.sealed_records for pen in pens):
            return
        for hall, hub_id in zip(self.halls, (HUB, OTHER_HUB), strict=True):
            has = sum(amount for (unit, _), amount in hall.has.items() if unit == "CNY")
            assert self.office.left(hub_id) == has
        with self.office.store.reading() as tx:
            assert lots.passing(tx, TENANT, open_only=True) == {}


AnyOrder.TestCase.settings = settings(
    max_examples=count(200), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase
