"""VND-1: whatever happens in whatever order, books balance, no lease is overdrawn, every step is in the table."""

import tempfile
from pathlib import Path

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

from edge_agent.ledger import outbox
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.store import LedgerError
from edge_agent.messages import BatchSealed, DeviceIs, FromDevice, ReceiptTaken
from edge_agent.till import Till
from payment_core.authorization import State
from payment_core.bus import DeviceState
from payment_core.commands import Command, PulseCredit, command_body
from payment_core.exposure import TERMS, Term
from payment_core.identifiers import uuid_bytes
from payment_core.journal import CoinBooked, Held, LeaseTaken
from tests.support.bound_terms import Rises
from tests.support.hall import Hall, commands
from tests.support.ledger_truth import entries, faults_of, states
from tests.support.mutants import MUTANTS
from tests.support.sizes import count

STEPS = 5_000
STEPS_PER_STORY = 50
lanes = st.integers(1, 2)
cards = st.sampled_from(["card-1", "card-2", "card-3"])


class TillMachine(RuleBasedStateMachine):
    """Guests, coins, machines, bridges, the office, time and power cuts, in any order, each fact maybe twice."""

    till: type[Till] = Till

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        rules = [
            {"price": [[300, "bonus"], [200, "CNY"]], "credits": 2},
            {"price": [[200, "CNY"]], "machine": "racer-2"},
        ]
        risk = {"floor_per_credential": 200, "floor_per_hub": 400}
        self.hall = Hall(Path(self._folder.name) / "ledger.db", rules=rules, risk=risk, till=self.till)
        self.rises = Rises(self.hall.store)
        self.told: list[tuple[Command, int]] = []
        self.facts: list[FromDevice] = []
        self.coins = 0
        self.granted: dict[tuple[str, str, int], int] = {}
        self.batch = 0

    def take(self, *facts, ms: int = 0) -> None:
        effects = self.hall.wait(ms, *facts)
        known = {command.id for command, _lane in self.told}
        for effect in effects:
            if type(effect).__name__ == "Send" and effect.command.id not in known:
                self.told.append((effect.command, int(effect.device.removeprefix("coin-"))))
                assert states(self.hall.store)[uuid_bytes(effect.command.id)] is State.COMMANDED
        self.facts += [fact for fact in facts if isinstance(fact, FromDevice)]
        assert len({command.seq for command in commands(effects) if command.ttl_ms}) == len(
            [command for command in commands(effects) if command.ttl_ms]
        )

    @initialize()
    def members(self) -> None:
        self.take(self.hall.member("card-1"), self.hall.member("card-2", class_="B"), self.hall.member("card-3"))

    @rule(card=cards, unit=st.sampled_from(["CNY", "bonus"]), epoch=st.integers(1, 2), more=st.integers(0, 900))
    def lease(self, card: str, unit: str, epoch: int, more: int) -> None:
        key = (card, unit, epoch)
        self.granted[key] = self.granted.get(key, 0) + more
        self.take(self.hall.lease(card, self.granted[key], unit=unit, epoch=epoch))

    @rule(card=cards, lane=lanes, ms=st.sampled_from([0, 100, 900]))
    def tap(self, card: str, lane: int, ms: int) -> None:
        self.hall.pass_ms(ms)
        self.take(self.hall.tap(card, lane))

    @rule(card=cards, other=cards)
    def tap_twice_at_once(self, card: str, other: str) -> None:
        self.take(self.hall.tap(card, 1), self.hall.tap(other, 2))

    @rule(lane=lanes, position=st.sampled_from([5, 5, 6, 9]))
    def coin(self, lane: int, position: int) -> None:
        self.coins += {5: 100, 6: 500, 9: 0}[position]
        self.take(self.hall.coin(lane, position))

    @rule(lane=lanes, lost=st.integers(1, 9))
    def lose_events(self, lane: int, lost: int) -> None:
        self.take(self.hall.lost(lane, lost))

    @precondition(lambda self: self.facts)
    @rule(data=st.data())
    def the_same_fact_again(self, data: st.DataObject) -> None:
        self.take(data.draw(st.sampled_from(self.facts[-6:])))

    @precondition(lambda self: self.told)
    @rule(data=st.data(), missing=st.integers(0, 2))
    def deliver(self, data: st.DataObject, missing: int) -> None:
        command, lane = data.draw(st.sampled_from(self.told[-5:]))
        wanted = command_body(command)
        assert isinstance(wanted, PulseCredit)
        self.take(self.hall.delivered(command, lane=lane, credits=max(wanted.credits - missing, 0)))

    @precondition(lambda self: self.told)
    @rule(data=st.data(), outcome=st.sampled_from(["done", "failed", "refused", "unknown"]), amount=st.integers(0, 3))
    def answer(self, data: st.DataObject, outcome: str, amount: int) -> None:
        command, lane = data.draw(st.sampled_from(self.told[-5:]))
        self.take(self.hall.answer(command, outcome, lane=lane, amount=amount))

    @rule(ms=st.sampled_from([1, 300, 2_000, 10_000]))
    def pass_time(self, ms: int) -> None:
        self.take(ms=ms)

    @rule(lane=lanes, up=st.booleans())
    def switch(self, lane: int, up: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self.take(DeviceIs(f"coin-{lane}", DeviceState("online" if up else "offline", 0)))

    @rule()
    def sync(self) -> None:
        first, last = outbox.read_cursor(self.hall.store).seq + 1, read_tail(self.hall.store).seq
        if last >= first:
            self.batch += 1
            self.take(BatchSealed(self.batch, first, last - first + 1, bytes(32), b"s"))
            self.take(ReceiptTaken(self.batch, last))

    @rule(back=st.booleans())
    def power_cut(self, back: bool) -> None:  # noqa: FBT001
        self.hall.restart()
        self.take(*(self.hall.arrivals() if back else []))

    @invariant()
    def the_books_hold(self) -> None:
        assert faults_of(self.hall.store) == []

    @invariant()
    def what_raises_a_term_of_the_bound_names_it(self) -> None:
        assert self.rises.unnamed(self.hall.store) == set()

    @invariant()
    def every_coin_is_booked_once(self) -> None:
        booked = sum(entry.amount for entry in entries(self.hall.store) if isinstance(entry, CoinBooked))
        assert booked == self.coins

    @invariant()
    def nobody_has_less_than_nothing(self) -> None:
        for card in ("card-1", "card-2", "card-3"):
            assert min(self.hall.balance(card), self.hall.balance(card, "bonus")) >= 0

    def teardown(self) -> None:
        self.hall.store.close()
        self._folder.cleanup()


@pytest.mark.long
def test_whatever_happens_the_books_hold():
    run_state_machine_as_test(
        TillMachine,
        settings=settings(
            max_examples=max(2, count(STEPS) // STEPS_PER_STORY * 2),
            stateful_step_count=STEPS_PER_STORY,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "named"), [(Held, Term.FLOOR), (LeaseTaken, Term.LEASE), (CoinBooked, Term.BROUGHT_IN)]
)
def test_an_entry_that_does_not_name_what_it_raises_is_seen(kind, named, monkeypatch):
    monkeypatch.setitem(TERMS, kind, TERMS[kind] - {named})
    with pytest.raises(AssertionError, match=named.name):
        run_state_machine_as_test(
            TillMachine,
            settings=settings(
                max_examples=200,
                stateful_step_count=STEPS_PER_STORY,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )


@pytest.mark.long
@pytest.mark.parametrize("mutant", ["credit-without-mark", "decline-replay"])
def test_the_machine_catches_a_broken_build(mutant):
    class BrokenMachine(TillMachine):
        till = MUTANTS[mutant].till

    with pytest.raises((AssertionError, LedgerError)):
        run_state_machine_as_test(
            BrokenMachine,
            settings=settings(
                max_examples=200,
                stateful_step_count=STEPS_PER_STORY,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )
