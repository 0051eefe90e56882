"""Whatever a LAN loses, repeats or mixes up, and whoever is killed: no money is made or lost, and all of it arrives."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edge_agent.ledger import leases
from edge_agent.messages import Recalled
from edge_agent.peer_messages import LanLink
from edge_agent.till import Till
from payment_core.events import WISH_LIFE_MS
from payment_core.policy import Caps
from tests.support.hall import account_of, views
from tests.support.lan import Lan
from tests.support.lan_truth import lan_faults
from tests.support.mutants import MUTANTS

HALLS = 3
STEPS = 30
halls = st.integers(1, HALLS)
cards = st.sampled_from(["card-1", "card-2"])


class LanMachine(RuleBasedStateMachine):
    """Guests who walk, a LAN that is cut, loses, repeats and reorders, hubs that die, an office that recalls."""

    till: type[Till] = Till
    cap: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        risk = None if self.cap is None else {"lease_cap": self.cap}
        self.lan = Lan(Path(self._folder.name), halls=HALLS, tills=[self.till] * HALLS, risk=risk)
        self.cut: set[int] = set()
        self.granted: dict[tuple[str, int], int] = {}
        for card in ("card-1", "card-2"):
            self.lan.enroll(card)

    @rule(card=cards, at=halls, more=st.integers(100, 900))
    def grant(self, card: str, at: int, more: int) -> None:
        total = self.granted[card, at] = self.granted.get((card, at), 0) + more
        self.lan.step(at, self.lan.hall(at).lease(card, total))

    @rule(card=cards, at=halls)
    def tap(self, card: str, at: int) -> None:
        self.lan.hall(at).pass_ms(1_000)
        self.lan.step(at, self.lan.hall(at).tap(card, lane=1 + at % 2))

    @rule(most=st.integers(1, 4))
    def deliver(self, most: int) -> None:
        for _ in range(min(most, len(self.lan.wire))):
            sender, to, _sent = self.lan.wire[0]
            if {sender, to} & self.cut:
                self.lan.wire.popleft()
            else:
                self.lan.deliver_one()

    @precondition(lambda self: self.lan.wire)
    @rule()
    def lose(self) -> None:
        self.lan.wire.popleft()

    @precondition(lambda self: self.lan.wire)
    @rule()
    def repeat(self) -> None:
        self.lan.wire.append(self.lan.wire[0])

    @precondition(lambda self: len(self.lan.wire) > 1)
    @rule(by=st.integers(1, 3))
    def reorder(self, by: int) -> None:
        self.lan.wire.rotate(by)

    @rule(ms=st.sampled_from([50, 300, 1_000, 10_000]))
    def wait(self, ms: int) -> None:
        self.lan.wait(ms)

    @rule(at=halls)
    def kill(self, at: int) -> None:
        self.lan.restart(at)
        self.cut.discard(at)

    @rule(at=halls)
    def cut_or_join(self, at: int) -> None:
        self.cut ^= {at}
        self.lan.step(at, LanLink(up=at not in self.cut))

    @rule(card=cards, at=halls)
    def recall(self, card: str, at: int) -> None:
        self.lan.step(at, Recalled(account_of(card)))

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        assert lan_faults(self.lan) == []
        for hall in self.lan.halls if self.cap is not None else ():
            assert leases.outstanding(hall.store, "CNY") <= self.cap

    def heal(self) -> None:
        """Join everybody and let them speak until nobody has anything to say."""
        for at in range(1, HALLS + 1):
            self.lan.step(at, LanLink(up=True))
        for _ in range(3):
            self.lan.run()
            self.lan.wait(10_000)
        self.lan.run()

    def teardown(self) -> None:
        self.heal()
        if self.cap is None:
            self.all_of_it_has_arrived()
        self.nothing_is_made_or_lost()
        self.lan.close()
        self._folder.cleanup()

    def all_of_it_has_arrived(self) -> None:
        """Nothing is on its way any more, and whoever has money in the venue plays wherever he stands."""
        assert self.lan.passing() == 0
        for card in ("card-1", "card-2"):
            if sum(self.lan.balances(card)) >= 200:
                self.lan.wait(WISH_LIFE_MS)
                self.lan.run()
                hall = self.lan.hall(2)
                shown = views([*self.lan.step(2, *hall.arrivals(), hall.tap(card)), *self.lan.run()])
                assert [view.state for view in shown if view.state != "idle"][-1] == "held", shown


def run(machine, **more):
    chosen = settings(
        stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck), **more
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.long
def test_money_is_conserved_at_every_cut():
    run(LanMachine)


class CappedMachine(LanMachine):
    """The same in halls that have an X_h."""

    cap = 700


@pytest.mark.long
def test_no_commit_of_any_hub_leaves_more_than_its_cap():
    """X_h, with vouchers, grants, voids and recalls in any order."""
    run(CappedMachine)


def test_a_build_that_keeps_no_cap_is_caught(monkeypatch):
    monkeypatch.setattr(Caps, "leasable", lambda _caps, _taken=0: 10**9)
    with pytest.raises(AssertionError):
        run(CappedMachine, derandomize=True, phases=(Phase.generate,), print_blob=False)


@pytest.mark.parametrize("name", ["voucher-booked-twice", "voucher-without-decrease"])
def test_a_build_that_makes_money_is_caught(name, tmp_path):
    lan = Lan(tmp_path, tills=[MUTANTS[name].till] * 2)
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.deliver_one()
    lan.wire.append(lan.wire[0])
    lan.run()
    assert lan_faults(lan) != []
    lan.close()


def test_the_same_story_on_the_real_build_is_well(tmp_path):
    lan = Lan(tmp_path)
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.deliver_one()
    lan.wire.append(lan.wire[0])
    lan.run()
    assert lan_faults(lan) == []
    lan.close()


