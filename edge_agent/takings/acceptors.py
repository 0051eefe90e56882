"""Coin acceptors while the hub may take no more money in (T_h, X_h): they are told to give it back, again if deaf."""

from typing import Final

import msgspec

from edge_agent.ledger import at_stake
from edge_agent.messages import Answered, Log, Send
from edge_agent.step.draft import Draft
from edge_agent.takings import intake
from payment_core.commands import Accept, make_command
from payment_core.identifiers import uuid_text
from payment_core.journal import BroughtIn, CardSold, CoinBooked

_TAKEN_IN: Final = (CoinBooked, BroughtIn, CardSold)
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
    """What each acceptor was told. Volatile: a device takes money from its bridge's start, and so it is told anew."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._open = True
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
        if not self._open:
            self._seen = None  # coins that play now make room, and nothing else tells of it
        if seen != self._seen or any(isinstance(entry, _TAKEN_IN) for entry in draft.watched):
            self._seen = seen
            self._look(draft)
        if not self._due:
            return
        self._due = False
        for device in site.coins:
            told, birth = self._told.get(device), site.births.get(device)
            if birth is None:
                continue
            if (told.on if told else True) != self._open or (told and told.is_due(draft.now.boottime_ms)):
                self._tell(draft, device, birth.boot_id)
            told = self._told.get(device)
            self._due |= told is not None and not told.answered

    def _look(self, draft: Draft) -> None:
        """Find out whether there is room for the smallest coin anywhere; a coin that falls all the same is booked."""
        room = self._room(draft)
        smallest = min((amount for its in draft.site.coins.values() for amount in its.values()), default=0)
        is_open = not draft.site.frozen and room >= smallest
        self._due = True
        if is_open != self._open:
            draft.effect(Log("intake.open" if is_open else "intake.closed", {"room": room}))
        self._open = is_open

    @staticmethod
    def _room(draft: Draft) -> int:
        """Return what still fits: below T_h, and at the lanes within X_h, for coins there cannot be returned."""
        draft.flush()
        taken = at_stake.not_returnable(draft.store, draft.site.currency)
        return min(intake.room(draft), draft.site.risk.caps.leasable(taken))

    def _tell(self, draft: Draft, device: str, boot_id: str) -> None:
        command_id = uuid_text(draft.new_id())
        self._told[device] = _Told(command_id, self._open, draft.now.boottime_ms)
        body = Accept(on=self._open)
        draft.effect(Send(device, make_command(body, command_id=command_id, seq=0, boot_id=boot_id, ttl_ms=LIFE_MS)))
