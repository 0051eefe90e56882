"""Builds that are broken on purpose: each promise's test must fail on its mutant, and a test proves that it does."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from edge_agent.draft import Draft
from edge_agent.ledger.store import CommitUnknownError
from edge_agent.messages import Effect, FromDevice, Input, Moment
from edge_agent.till import Till
from payment_core.events import CredentialPresented
from tests.support.desk_mutants import CredulousTill, ForgetfulDeskTill, LavishTill, TwiceSettlingTill
from tests.support.lan_mutants import GreedyTill, SpendthriftTill


class EarlyTill(Till):
    """Hands its effects out before the commit. `early` is where they go."""

    early: Callable[[Sequence[Effect]], None] = staticmethod(lambda _effects: None)

    def _pass_time(self, draft: Draft) -> None:
        super()._pass_time(draft)
        self.early(draft.effects)


class CarefreeTill(Till):
    """Catches a failed commit and goes on as if it had worked."""

    _draft: Draft

    def _pass_time(self, draft: Draft) -> None:
        super()._pass_time(draft)
        self._draft = draft

    def step(self, now: Moment, inputs: Sequence[Input]) -> list[Effect]:
        try:
            return super().step(now, inputs)
        except CommitUnknownError:
            return self._draft.effects if hasattr(self, "_draft") else []


class ForgetfulTill(Till):
    """Books a coin and forgets that it did."""

    def _from_device(self, draft: Draft, fact: FromDevice) -> None:
        super()._from_device(draft, fact)
        draft.store.execute("DELETE FROM device_marks WHERE kind = 2 AND device = ?", (fact.device,))


class FickleTill(Till):
    """Decides a declined event again when it comes again."""

    def _presented(self, draft: Draft, fact: FromDevice, body: CredentialPresented) -> None:
        draft.store.execute("DELETE FROM authorizations WHERE state = 9 AND reader = ?", (fact.device,))
        draft.store.execute("DELETE FROM device_marks WHERE kind = 1 AND device = ?", (fact.device,))
        super()._presented(draft, fact, body)


class BouncyTill(Till):
    """Takes a card that waits for its money for a new guest each time it bounces."""

    def _presented(self, draft: Draft, fact: FromDevice, body: CredentialPresented) -> None:
        parking, waits = self._parking, self._parking.waits
        parking.waits = {}
        super()._presented(draft, fact, body)
        for account_id, waiting in waits.items():
            more = parking.waits.pop(account_id, None)
            parking.waits[account_id] = waiting
            waiting.taps += more.taps if more else []


class HastyTill(Till):
    """Takes every read of a card for a tap."""

    def _presented(self, draft: Draft, fact: FromDevice, body: CredentialPresented) -> None:
        draft.site.risk = msgspec.structs.replace(draft.site.risk, repeat_after_ms=0)
        super()._presented(draft, fact, body)


class Mutant(msgspec.Struct, frozen=True):
    """`breaks`: what is broken, in words; `proof`: the test that shows it is noticed."""

    breaks: str
    proof: str
    till: type[Till] = Till
    synchronous: str = "FULL"


_DOUBTS = "tests/edge_agent/test_doubt_machine.py::test_the_machine_catches_a_broken_build"
_CUTS = "tests/edge_agent/ledger/test_power_cuts.py::test_the_enumeration_catches_a_build_that_does_not_sync"
_TILL = "tests/edge_agent/test_till_mutants.py"
_PASSING = "tests/edge_agent/test_passing_machine.py::test_a_build_that_makes_money_is_caught"
_FAILED = "tests/edge_agent/test_failed_commits.py"

MUTANTS: Final = {
    "synchronous-normal": Mutant("a commit is not synced", _CUTS, synchronous="NORMAL"),
    "synchronous-off": Mutant("nothing is synced", _CUTS, synchronous="OFF"),
    "command-before-commit": Mutant(
        "the machine is told before the hold is on the disk",
        f"{_FAILED}::test_a_build_that_commands_before_its_commit_is_caught",
        till=EarlyTill,
    ),
    "catch-and-continue": Mutant(
        "a failed commit is taken for a good one", f"{_FAILED}::test_a_build_that_goes_on_is_caught", till=CarefreeTill
    ),
    "credit-without-mark": Mutant(
        "a coin is booked without remembering it", f"{_TILL}::test_a_coin_booked_twice_is_caught", till=ForgetfulTill
    ),
    "decline-replay": Mutant(
        "a repeated event is decided anew", f"{_TILL}::test_a_second_answer_is_caught", till=FickleTill
    ),
    "voucher-booked-twice": Mutant("a voucher is booked as often as it comes", _PASSING, till=GreedyTill),
    "voucher-without-decrease": Mutant(
        "a voucher is handed over before the decrease is on the disk", _PASSING, till=SpendthriftTill
    ),
    "bounce-while-parked": Mutant(
        "a bouncing card pays twice", f"{_TILL}::test_a_second_sale_is_caught", till=BouncyTill
    ),
    "bounce-sells": Mutant(
        "a card that never left the field pays again",
        "tests/edge_agent/test_taps.py::test_a_build_that_sells_a_bounce_is_caught",
        till=HastyTill,
    ),
    "refund-twice": Mutant("a refund asked for twice is paid twice", _DOUBTS, till=ForgetfulDeskTill),
    "settle-twice": Mutant("what staff settled can be settled again", _DOUBTS, till=TwiceSettlingTill),
    "late-evidence-applied": Mutant("an answer after the end moves money", _DOUBTS, till=CredulousTill),
    "policy-without-caps": Mutant("policy gives back without end", _DOUBTS, till=LavishTill),
}
