"""VND-1, VND-3: whatever devices, time, policy and staff do, each play is told once and ends once, within caps."""

import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge_agent.ledger.store import LedgerError
from edge_agent.messages import Born, DocumentArrived
from edge_agent.till import Till
from payment_core.accounts import Kind
from payment_core.authorization import FINAL, State
from payment_core.bus import Birth
from payment_core.commands import Command
from payment_core.desk import Refund, SettleDoubt
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Captured, Cause, Refunded, Voided
from tests.support.bound_terms import Rises
from tests.support.desk import DeskHall
from tests.support.hall import PRICE, commands, devices_document
from tests.support.ledger_truth import balance_of, entries, faults_of, states
from tests.support.mutants import MUTANTS
from tests.support.sizes import count

RUNS = 5_000
STEPS = 14
MONEY = 2_000
CAP, DAY_CAP = 2 * PRICE, 3 * PRICE
CREDITS = 2
RULES = ({"price": [[PRICE, "CNY"]], "credits": CREDITS},)
POLICIES = ("staff", "favour_guest", "favour_venue")
cards = st.sampled_from(["card-1", "card-2"])
outcomes = st.sampled_from(["done", "failed", "refused", "unknown"])
which = st.integers(0, 5)


class DoubtMachine(RuleBasedStateMachine):
    """Two guests, a lane of each policy, a bridge that says anything at any time, staff who ask twice, power cuts."""

    till: type[Till] = Till

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        caps = {"doubt_cap_per_credential": CAP, "doubt_cap_per_day": DAY_CAP}
        risk = {"doubt_after_ms": 5_000, "answer_ms": 1_000, **caps}
        self.hall = DeskHall(Path(self._folder.name) / "ledger.db", lanes=3, risk=risk, till=self.till, rules=RULES)
        self.rises = Rises(self.hall.store)
        self.told: dict[bytes, tuple[Command, int]] = {}
        self.ended: dict[bytes, State] = {}
        self.certain: dict[bytes, int] = {}
        self.requests = 0

    def take(self, *facts, ms: int = 0) -> None:
        self.note(self.hall.wait(ms, *facts))

    def note(self, effects) -> None:
        for effect in effects:
            if type(effect).__name__ == "Send" and effect.command.ttl_ms:
                key = uuid_bytes(effect.command.id)
                assert key not in self.told, "never a second play for one authorization"
                self.told[key] = (effect.command, int(effect.device.removeprefix("coin-")))
        for key, state in states(self.hall.store).items():
            before = self.ended.get(key)
            assert before in (None, state) or (before, state) == (State.CAPTURED, State.REFUNDED), "what ended stays so"
            if state in FINAL:
                self.ended[key] = state

    @initialize()
    def begin(self) -> None:
        document = msgspec.json.decode(devices_document(3, version=2))
        for lane, policy in zip(document["lanes"], POLICIES, strict=True):
            lane["on_doubt"] = policy
        self.take(DocumentArrived("devices", 2, msgspec.json.encode(document)))
        for card in ("card-1", "card-2"):
            self.hall.enroll(card, MONEY)

    def one(self, number: int) -> tuple[Command, int]:
        return list(self.told.values())[-1 - number % min(len(self.told), 6)]

    @rule(card=cards, lane=st.integers(1, 3))
    def tap(self, card: str, lane: int) -> None:
        self.hall.pass_ms(900)
        self.take(self.hall.tap(card, lane))

    @precondition(lambda self: self.told)
    @rule(number=which, outcome=outcomes)
    def answer(self, number: int, outcome: str) -> None:
        command, lane = self.one(number)
        ended = self.ended.get(uuid_bytes(command.id))
        before = [self.hall.balance(card) for card in ("card-1", "card-2")]
        self.take(self.hall.answer(command, outcome, lane=lane))
        if ended is not None:
            assert [self.hall.balance(card) for card in ("card-1", "card-2")] == before, "late evidence moves nothing"

    @precondition(lambda self: self.told)
    @rule(number=which)
    def deliver(self, number: int) -> None:
        command, lane = self.one(number)
        self.take(self.hall.delivered(command, lane=lane))

    @rule(ms=st.sampled_from([1_000, 5_000, 60_000]))
    def pass_time(self, ms: int) -> None:
        self.take(ms=ms)

    @rule(lane=st.integers(1, 3), can_tell=st.booleans())
    def introduce(self, lane: int, can_tell: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        more = ("read_back:hopper_status",) if can_tell else ()
        birth = Birth("hopper", 1, self.hall.boot_id.decode(), "bridge-1", capabilities=("PulseCredit", *more))
        self.take(Born(f"coin-{lane}", birth))

    @precondition(lambda self: self.told)
    @rule(number=which, delivered=st.booleans(), twice=st.booleans())
    def settle(self, number: int, delivered: bool, twice: bool) -> None:  # noqa: FBT001
        command, _lane = self.one(number)
        self.staff(SettleDoubt(command.id, delivered=delivered, note="looked at it"), twice=twice)

    @precondition(lambda self: self.told)
    @rule(number=which, amount=st.sampled_from([None, 1, 50, PRICE]), twice=st.booleans())
    def refund(self, number: int, amount: int | None, twice: bool) -> None:  # noqa: FBT001
        command, _lane = self.one(number)
        self.staff(Refund(command.id, amount), twice=twice)

    def staff(self, act, *, twice: bool) -> None:
        self.requests += 1
        first = self.hall.acted(act, request=self.requests)
        self.take(first)
        if twice:
            before = len(entries(self.hall.store))
            self.take(first)
            assert len(entries(self.hall.store)) == before, "asked twice is done once"

    @rule(card=cards, given=st.integers(0, CREDITS))
    def a_doubt_that_nobody_settles(self, card: str, given: int) -> None:
        self.hall.pass_ms(900)
        before = set(self.told)
        self.take(self.hall.tap(card, 2))
        self.take(ms=1_000)
        for key in set(self.told) - before:
            self.certain[key] = given
            self.take(self.hall.answer(self.told[key][0], "unknown", lane=2, amount=given))
        self.take(ms=5_000)

    @rule()
    def next_day(self) -> None:
        self.hall.business_date += 1

    @rule(back=st.booleans())
    def power_cut(self, back: bool) -> None:  # noqa: FBT001
        self.hall.restart()
        self.take(*(self.hall.arrivals() if back else []))

    @invariant()
    def the_books_hold(self) -> None:
        assert faults_of(self.hall.store) == []

    @invariant()
    def everything_is_somewhere(self) -> None:
        journal = entries(self.hall.store)
        doubts = sum(state is State.IN_DOUBT for state in states(self.hall.store).values())
        assert balance_of(self.hall.store, Kind.SUSPENSE) == doubts * PRICE
        for entry in journal:
            if isinstance(entry, Captured):
                key = entry.header.authorization_id
                back = [one for one in journal if isinstance(one, Refunded) and one.header.authorization_id == key]
                assert sum(part.amount for one in back for part in one.parts) <= PRICE

    @invariant()
    def what_certainly_left_stays_paid(self) -> None:
        for entry in entries(self.hall.store):
            if isinstance(entry, Captured | Voided) and entry.cause in (Cause.POLICY, Cause.STAFF):
                paid = sum(part.amount for part in entry.parts) if isinstance(entry, Captured) else 0
                assert paid >= PRICE * self.certain.get(entry.header.authorization_id or b"", 0) // CREDITS

    @invariant()
    def what_raises_a_term_of_the_bound_names_it(self) -> None:
        assert self.rises.unnamed(self.hall.store) == set()

    @invariant()
    def policy_stays_within_its_caps(self) -> None:
        days: Counter[int] = Counter()
        accounts: Counter[tuple[int, bytes | None]] = Counter()
        for entry in entries(self.hall.store):
            if isinstance(entry, Captured | Voided) and entry.cause is Cause.POLICY:
                back = sum(part.amount for part in (entry.released if isinstance(entry, Captured) else entry.parts))
                days[entry.header.business_date] += back
                accounts[entry.header.business_date, entry.account_id] += back
        assert max(days.values(), default=0) <= DAY_CAP
        assert max(accounts.values(), default=0) <= CAP

    def teardown(self) -> None:
        self.hall.store.close()
        self._folder.cleanup()


def run(machine: type[DoubtMachine], *, runs: int, phases=tuple(Phase)) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=phases,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.long
def test_whatever_happens_each_play_is_told_once_and_ends_once():
    run(DoubtMachine, runs=count(RUNS))


@pytest.mark.long
@pytest.mark.parametrize(
    "mutant",
    ["refund-twice", "settle-twice", "late-evidence-applied", "policy-without-caps", "certain-units-forgotten"],
)
def test_the_machine_catches_a_broken_build(mutant):
    class BrokenMachine(DoubtMachine):
        till = MUTANTS[mutant].till

    with pytest.raises((AssertionError, LedgerError, ValueError)):
        run(BrokenMachine, runs=2_000, phases=(Phase.generate,))


@pytest.mark.long
@pytest.mark.parametrize("policy", POLICIES)
def test_a_kill_between_the_command_and_its_answer_is_settled_once(tmp_path, policy):
    """VND-3: the process dies behind the commit; what comes back says nothing certain."""
    for number in range(count(200)):
        risk = {"doubt_after_ms": 5_000, "doubt_cap_per_credential": PRICE, "doubt_cap_per_day": PRICE}
        hall = DeskHall(tmp_path / f"{number}.db", risk=risk, seed=number)
        document = msgspec.json.decode(devices_document(2, version=2))
        document["lanes"][0]["on_doubt"] = policy
        hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
        hall.enroll("card-1", MONEY)
        (command,) = commands(hall.step(hall.tap("card-1")))
        hall.restart()
        asked = commands(hall.step(*hall.arrivals()))
        assert [(one.id, one.ttl_ms) for one in asked] == [(command.id, 0)], "asked, and told nothing again"
        hall.step(hall.answer(command, "unknown"))
        hall.wait(5_000)
        if policy == "staff":
            hall.act(SettleDoubt(command.id, delivered=number % 2 == 0, note="looked"))
        late = hall.step(hall.answer(command, "done"), hall.answer(command, "failed"), hall.delivered(command))
        assert not [one for one in commands(late) if one.ttl_ms]
        delivered = policy == "favour_venue" or (policy == "staff" and number % 2 == 0)
        assert list(states(hall.store).values()) == [State.CAPTURED if delivered else State.VOIDED]
        assert hall.balance("card-1") == MONEY - delivered * PRICE
        assert sum(isinstance(entry, Captured | Voided) for entry in entries(hall.store)) == 1
        assert faults_of(hall.store) == []
        hall.store.close()
