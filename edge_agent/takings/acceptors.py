"""Acceptors whose largest coin or note finds no room (T_h, X_h): they are told to give it back, again if deaf."""

from typing import Final

import msgspec

from edge_agent.ledger import at_stake
from edge_agent.messages import Answered, Log, Send
from edge_agent.step.draft import Draft
from edge_agent.takings import intake
from payment_core.commands import Accept, make_command
from payment_core.identifiers import uuid_text
from payment_core.journal import BroughtIn, CardSold, CoinBooked, Refunded

_TAKEN_IN: Final = (CoinBooked, BroughtIn, CardSold, Refunded)
LIFE_MS: Final = 2_000
AGAIN_MS: Final = 5_000
"""How long an answer may take before an acceptor is told once more."""


class _Told(msgspec.Struct):
    """What a device was told: the command's id, whether it is open, since when (boottime), and whether it answered."""

    command_id: str
    on: bool
    at_ms: int
    answered: bool = False

    def is_due(self, now_ms: int) -> bool:
        """Say whether it did not answer and is to be told once more."""
        return not self.answered and now_ms - self.at_ms >= AGAIN_MS


class Acceptors:
    """What each acceptor was told. Volatile: each is told when it is met, for the last run may have shut it."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._shut: frozenset[str] = frozenset()
        self._beside = 0
        """What X_h left when it was looked at, less what was put aside for plays since: never too much."""
        self._largest = 0
        self._seen: tuple[str, int, int | None] | None = None
        self._due = False

    def on_birth(self, device: str) -> None:
        """A bridge started: its devices are open."""
        self._told.pop(device, None)
        self._due = True

    def on_receipt(self) -> None:
        """The office has what was brought in: there may be room again."""
        self._seen = None

    def has_answered(self, fact: Answered) -> bool:
        """Take the answer to a command of ours; one that cannot shut its gate is not asked again."""
        told = self._told.get(fact.device)
        if told is None or told.command_id != fact.result.id:
            return False
        told.answered = fact.result.outcome in ("done", "refused")
        return True

    def pass_time(self, draft: Draft) -> None:
        """Behind all inputs of a step: tell who is not as it should be. Nearly always there is nothing to look at."""
        site = draft.site
        seen = (site.frozen, site.risk.version, site.devices_version)
        self._beside -= draft.held  # no coin can push that home any more
        tight = self._beside < self._largest and bool(draft.held or draft.watched)
        if tight or seen != self._seen or any(isinstance(entry, _TAKEN_IN) for entry in draft.watched):
            self._seen = seen
            self._look(draft)
        if not self._due:
            return
        self._due = False
        for device in site.coins:
            told, birth = self._told.get(device), site.births.get(device)
            if birth is None:
                continue
            wrong = told is None or told.on == (device in self._shut)
            if wrong or (told and told.is_due(draft.now.boottime_ms)):
                self._tell(draft, device, birth.boot_id)
            told = self._told.get(device)
            self._due |= told is not None and not told.answered

    def _look(self, draft: Draft) -> None:
        """Shut every acceptor whose largest coin or note finds no room; what falls all the same is booked."""
        site = draft.site
        largest = {device: largest_of(its) for device, its in site.coins.items()}
        self._largest, self._beside = max(largest.values(), default=0), beside_x_h(draft)
        room = min(intake.room(draft), self._beside)
        shut = frozenset(device for device, amount in largest.items() if site.frozen or room < amount)
        self._due = True
        if shut != self._shut:
            name = "intake.closed" if shut - self._shut else "intake.open"
            draft.effect(Log(name, {"room": room, "shut": len(shut)}))
        self._shut = shut

    def _tell(self, draft: Draft, device: str, boot_id: str) -> None:
        command_id = uuid_text(draft.new_id())
        is_open = device not in self._shut
        self._told[device] = _Told(command_id, is_open, draft.now.boottime_ms)
        body = Accept(on=is_open)
        draft.effect(Send(device, make_command(body, command_id=command_id, seq=0, boot_id=boot_id, ttl_ms=LIFE_MS)))


def largest_of(coins: dict[int, int]) -> int:
    """Return the worth of the largest coin or note of an acceptor: nobody knows which one comes next."""
    return max(coins.values(), default=0)


def beside_x_h(draft: Draft) -> int:
    """Return what still fits within X_h beside what cannot be returned, for coins cannot either."""
    draft.flush()
    return draft.site.risk.caps.leasable(at_stake.not_returnable(draft.store, draft.site.currency))
