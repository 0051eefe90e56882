"""Whatever a LAN loses, repeats or mixes up, and whoever is killed: no money is made or lost, and all of it arrives."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edge_agent.ledger import at_stake, leases
from edge_agent.messages import Answered, Born, DeviceIs, Effect, Input, Recalled, Send
from edge_agent.peer_messages import LanLink
from edge_agent.takings import lease_keeper
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState
from payment_core.commands import Accept, Command, Result, command_body
from payment_core.events import WISH_LIFE_MS
from payment_core.policy import Caps
from tests.support.hall import account_of, views
from tests.support.lan import Lan
from tests.support.lan_truth import lan_faults
from tests.support.mutants import MUTANTS

HALLS = 3
STEPS = 30
X_H, C_H, D_H = 1_400, 300, 400
halls = st.integers(1, HALLS)
cards = st.sampled_from(["card-1", "card-2"])


class LanMachine(RuleBasedStateMachine):
    """Guests who walk, a LAN that is cut, loses, repeats and reorders, hubs that die, an office that recalls."""

    till: type[Till] = Till
    risk: dict[str, int] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.lan = Lan(Path(self._folder.name), halls=HALLS, tills=[self.till] * HALLS, risk=self.risk)
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
        if self.risk is None:
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
    """The same in halls that have an X_h, and floors, doubts and coins, which are of it too."""

    risk = {  # noqa: RUF012 - nobody changes it
        "lease_cap": X_H, "floor_per_credential": 200, "floor_per_hub": C_H, "doubt_cap_per_credential": 200,
        "doubt_cap_per_day": D_H, "doubt_after_ms": 10_000,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[tuple[int, str, Command]] = []
        self.shut: set[tuple[int, str]] = set()
        self.lan.heed = self.heed
        for at in range(1, HALLS + 1):
            hall = self.lan.hall(at)
            self.lan.step(at, hall.member("stray", class_="B"), *self.slots(at), *hall.arrivals())

    def slots(self, at: int) -> list[Input]:
        boot = self.lan.hall(at).boot_id.decode()
        return [Born(f"acceptor-{lane}", Birth("cctalk-acceptor", 1, boot, "bridge-1")) for lane in (1, 2)]

    def heed(self, at: int, effects: Sequence[Effect]) -> None:
        """Do what a hall says to its slots and machines."""
        for sent in effects:
            if isinstance(sent, Send) and isinstance(body := command_body(sent.command), Accept):
                (self.shut.discard if body.on else self.shut.add)((at, sent.device))
                self.lan.step(at, Answered(sent.device, Result(sent.command.id, "done")))
            elif isinstance(sent, Send) and sent.command.ttl_ms:
                self.pending.append((at, sent.device, sent.command))

    @rule(at=halls, card=st.sampled_from(["card-1", "card-2", "stray"]), lane=st.integers(1, 2))
    def tap_and_play(self, at: int, card: str, lane: int) -> None:
        self.lan.hall(at).pass_ms(1_000)
        self.lan.step(at, self.lan.hall(at).tap(card, lane))
        self.heed(at, self.lan.hall(at).wait(400))

    @rule(at=halls, lane=st.integers(1, 2), position=st.sampled_from([5, 6]))
    def insert(self, at: int, lane: int, position: int) -> None:
        if (at, f"acceptor-{lane}") not in self.shut:
            self.lan.step(at, self.lan.hall(at).coin(lane, position))

    @rule(at=halls, lane=st.integers(1, 2), on=st.booleans())
    def switch(self, at: int, lane: int, on: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        hall = self.lan.hall(at)
        self.lan.step(at, DeviceIs(f"coin-{lane}", DeviceState("online" if on else "offline", hall.wall_ms)))

    @precondition(lambda self: self.pending)
    @rule(outcome=st.sampled_from(["done", "failed", "unknown"]), data=st.data())
    def answer(self, outcome: str, data: st.DataObject) -> None:
        at, device, command = self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1)))
        self.lan.step(at, Answered(device, Result(command.id, outcome)))

    @rule(at=halls)
    def kill(self, at: int) -> None:
        super().kill(at)
        self.lan.step(at, *self.slots(at), *self.lan.hall(at).arrivals())

    @invariant()
    def no_more_lies_at_a_hub_than_may(self) -> None:
        for hall in self.lan.halls:
            assert at_stake.at_stake(hall.store, "CNY") <= X_H - C_H - D_H


@pytest.mark.long
def test_no_commit_of_any_hub_leaves_more_than_its_cap():
    """X_h, with vouchers, grants, voids and recalls in any order."""
    run(CappedMachine)


def test_a_build_that_keeps_no_cap_is_caught(monkeypatch):
    monkeypatch.setattr(Caps, "leasable", lambda _caps, _taken=0: 10**9)
    with pytest.raises(AssertionError):
        run(CappedMachine, derandomize=True, phases=(Phase.generate,), print_blob=False)


@pytest.mark.long
def test_a_build_that_counts_leases_alone_is_caught(monkeypatch):
    monkeypatch.setattr(
        lease_keeper, "at_stake", lambda draft: leases.outstanding(draft.store, draft.site.currency)
    )
    with pytest.raises(AssertionError):
        run(CappedMachine, derandomize=True, max_examples=400, phases=(Phase.generate,), print_blob=False)


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


