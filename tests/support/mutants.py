"""Builds that are broken on purpose: each promise's test must fail on its mutant, and a test proves that it does."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from edge_agent.ledger.store import CommitUnknownError
from edge_agent.messages import Effect, FromDevice, Input, Moment
from edge_agent.step.draft import Draft
from edge_agent.till import Till
from payment_core.events import CredentialPresented
from tests.support.desk_mutants import (
    CredulousTill,
    ForgetfulDeskTill,
    LavishTill,
    ObliviousTill,
    TwiceSettlingTill,
)
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


_DOUBTS = "tests/edge_agent/play/test_doubt_machine.py::test_the_machine_catches_a_broken_build"
_CUTS = "tests/edge_agent/ledger/test_power_cuts.py::test_the_enumeration_catches_a_build_that_does_not_sync"
_TILL = "tests/edge_agent/test_till_mutants.py"
_PASSING = "tests/edge_agent/lan/test_passing_machine.py::test_a_build_that_makes_money_is_caught"
_FAILED = "tests/edge_agent/test_failed_commits.py"

_DISKS = "tests/durability"
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
        "tests/edge_agent/tap/test_taps.py::test_a_build_that_sells_a_bounce_is_caught",
        till=HastyTill,
    ),
    "refund-twice": Mutant("a refund asked for twice is paid twice", _DOUBTS, till=ForgetfulDeskTill),
    "settle-twice": Mutant("what staff settled can be settled again", _DOUBTS, till=TwiceSettlingTill),
    "late-evidence-applied": Mutant("an answer after the end moves money", _DOUBTS, till=CredulousTill),
    "policy-without-caps": Mutant("policy gives back without end", _DOUBTS, till=LavishTill),
    "certain-units-forgotten": Mutant("what certainly left goes back with the rest", _DOUBTS, till=ObliviousTill),
    # These are not tills: each proof breaks a hub, a bridge or a file beside the ledger by itself.
    "page-sums-off": Mutant(
        "a page that the disk changed is not noticed",
        f"{_DISKS}/test_damaged_ledger.py::test_a_build_without_page_checksums_is_caught",
    ),
    "mark-off": Mutant(
        "a ledger that lost its end is not noticed",
        f"{_DISKS}/test_damaged_ledger.py::test_a_build_without_a_mark_is_caught",
    ),
    "ballast-kept": Mutant(
        "a full disk leaves no room for results",
        f"{_DISKS}/test_full_disk.py::test_a_build_that_keeps_its_ballast_is_caught",
    ),
    "ends-when-shut": Mutant(
        "a read-only disk is a crash loop",
        f"{_DISKS}/test_read_only_disk.py::test_a_build_that_ends_at_a_shut_ledger_is_caught",
    ),
    "ignores-the-freeze": Mutant(
        "a hub that was set back goes on selling",
        f"{_DISKS}/test_restored_ledger.py::test_a_build_that_does_not_hear_the_freeze_is_caught",
    ),
    "commands-again": Mutant(
        "a doubt is settled by dispensing again", f"{_DISKS}/test_doubts.py::test_a_build_that_commands_again_is_caught"
    ),
    "acts-first": Mutant(
        "a bridge acts before it writes down that it will",
        f"{_DISKS}/test_bridge_logs.py::test_a_build_that_acts_first_is_caught",
    ),
    "each-alone": Mutant(
        "each fact has a commit of its own",
        f"{_DISKS}/test_slow_card.py::test_a_build_in_which_each_waits_for_itself_is_caught",
    ),
}
