"""Where commands and facts are decided and written down. Synchronous: stage, let the caller sync, then act.

Every method returns effects, which may only be carried out after `sync`: nothing is handed over, published or answered
before the log that remembers it is on the disk.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from firmware_bridge.actuation_log import DRIVER_ENDED, Act, ActuationLog, Answered
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.slots import Slots
from firmware_bridge.value_log import Fact, Kept, ValueLog
from payment_core.bus import Booked
from payment_core.commands import UNCOUNTED, Command, Outcome, Result
from payment_core.events import CreditDelivered, EventsLost
from payment_core.recovery import RUNNING

WAITING_LIMIT: Final = 64
"""Commands that wait for the one before them on their device; the next is answered `failed`, reason `busy`."""
UNCOUNTED_LIMIT: Final = 8
"""Wishes to blink that wait for one device; with one credit at its driver they always fit into its inbox."""
MAX_SEQ: Final = 2**63 - 1
MAX_COMMAND_ID: Final = 64
COUNTER_TOP: Final = 255
"""Event counters of acceptors go 255, 1 (ccTalk part 3, header 229)."""


class HandOver(msgspec.Struct, frozen=True):
    """Put the command into the driver's inbox."""

    device: str
    command: Command


class Reply(msgspec.Struct, frozen=True):
    """Publish on `result`."""

    device: str
    result: Result


class Publish(msgspec.Struct, frozen=True):
    """Publish on `event`, and again every second until booked."""

    kept: Kept


class StopIntake(msgspec.Struct, frozen=True):
    """The value log is full: acceptors must take no more until the hub has booked."""


class Held(msgspec.Struct, frozen=True):
    """Acceptors take no more until the hub has booked what fell, or take money again: say so in the log."""

    on: bool


class Wrote(msgspec.Struct, frozen=True):
    """Tell the driver that waits for it that what it said is on the disk."""

    event: asyncio.Event


Effect = HandOver | Reply | Publish | StopIntake | Held | Wrote


class _Line(msgspec.Struct):
    """The commands of one device: one at its driver, the others in order behind it."""

    at_driver: Command | None = None
    waiting: deque[tuple[Command, int]] = msgspec.field(default_factory=deque)
    uncounted: list[Command] = msgspec.field(default_factory=list)
    attached: bool = False


class Desk:
    """Both logs and who is doing what. Times ending in `_ms` are of one monotonic clock, `utc_ms` of the wall clock."""

    def __init__(
        self, *, values: ValueLog, actuations: ActuationLog, devices: list[str], acceptors: Iterable[str] = ()
    ) -> None:
        self.values = values
        self._slots = Slots(values, acceptors)
        self._actuations = actuations
        self._lines = {device: _Line() for device in devices}
        self._accepting = True
        self._baselines: dict[str, int] = {}
        for kept in values.pending():
            if kept.kind == CreditDelivered.__name__:
                credit = msgspec.json.decode(kept.body, type=CreditDelivered)
                actuations.settle(credit.id, device=kept.device, amount=credit.credits)

    @property
    def busy(self) -> bool:
        """True while a command is at a driver or waits."""
        return any(line.at_driver is not None or line.waiting for line in self._lines.values())

    def sync(self) -> None:
        """Make everything staged durable; may run in a thread. OSError: the bridge has to end."""
        self._actuations.sync()
        self.values.sync()

    def stop_accepting(self) -> None:
        """From now on commands fail: the bridge is ending."""
        self._accepting = False

    def expect_counter(self, device: str, *, booked_counter: int) -> None:
        """The log does not know the device's counter, but the hub does: compare when it says it."""
        if 0 <= booked_counter <= COUNTER_TOP:
            self._baselines[device] = booked_counter

    def attach(self, device: str) -> None:
        """A driver serves the device from now on."""
        self._lines[device].attached = True

    def detach(self, device: str) -> list[Effect]:
        """The driver ended: what it had is unknown, what waited certainly did not happen."""
        line = self._lines[device]
        line.attached = False
        effects: list[Effect] = []
        if line.at_driver is not None:
            command, line.at_driver = line.at_driver, None
            effects.append(self._end(device, command, "unknown", reason=DRIVER_ENDED))
        while line.waiting:
            effects.append(self._end(device, line.waiting.popleft()[0], "failed", reason="device_offline"))
        asked = (command for command in line.uncounted if not self._slots.is_ours(device, command))
        effects += [_reply(device, command, "failed", "device_offline") for command in asked]
        line.uncounted.clear()
        self._slots.forget(device)
        return effects

    def is_at_driver(self, device: str, command: Command) -> bool:
        """Say whether the driver that serves the device now has this command to do."""
        line = self._lines[device]
        return line.at_driver is command or any(identify is command for identify in line.uncounted)

    def command(self, device: str, command: Command, *, arrived_ms: int, now_ms: int) -> list[Effect]:
        """Admit a command or answer it. One that is being carried out is answered when it ends.

        Who only asks is told that it runs: he waits on.
        """
        if command.kind in UNCOUNTED and command.seq == 0:
            return self._uncounted(device, command)
        if not (0 < command.seq <= MAX_SEQ and 0 < len(command.id) <= MAX_COMMAND_ID):
            return []
        admission = self._actuations.admit(command, device=device, arrived_ms=arrived_ms, now_ms=now_ms)
        if isinstance(admission, Answered):
            return [Reply(device, admission.result)]
        if not isinstance(admission, Act):
            return [] if command.ttl_ms else [_reply(device, command, "unknown", RUNNING)]
        line = self._lines[device]
        obstacle = self._obstacle(line, command)
        if obstacle:
            return [self._end(device, command, "failed", reason=obstacle)]
        line.waiting.append((command, arrived_ms))
        return self._next(device, now_ms=now_ms)

    def _uncounted(self, device: str, command: Command) -> list[Effect]:
        """Hand a wish on that gives no money: no log needs to know it. Said again while it waits, it is the same."""
        line = self._lines[device]
        if any(known.id == command.id for known in line.uncounted):
            return []
        may_hear = self._slots.hub_says(device, command)
        obstacle = "" if line.attached else "device_offline"
        if len(line.uncounted) >= UNCOUNTED_LIMIT:
            obstacle = "busy"
        if obstacle:
            self._slots.unheard(device, command)
            return [_reply(device, command, "failed", obstacle)]
        if not may_hear:
            return [_reply(device, command, "done", "")]
        line.uncounted.append(command)
        return [HandOver(device, command)]

    def keep_slots(self, *, now_ms: int) -> list[Effect]:
        """Shut acceptors while too much waits to be booked, and open them again. Behind every batch, and in between."""
        effects: list[Effect] = [Held(self._slots.held)] if self._slots.look(now_ms) else []
        for device, command in self._slots.due(now_ms):
            line = self._lines[device]
            if line.attached:
                self._slots.tell(device, command)
                line.uncounted.append(command)
                effects.append(HandOver(device, command))
        return effects

    def _uncounted_ended(self, device: str, answer: Answer, now_ms: int) -> list[Effect]:
        line = self._lines[device]
        for command in line.uncounted:
            if command.id == answer.command_id:
                line.uncounted.remove(command)
                if self._slots.is_ours(device, command):
                    self._slots.ended(device, answer.outcome, now_ms)
                    return []
                said = Result(command.id, answer.outcome, answer.amount, answer.reason, answer.counters, answer.answers)
                return [Reply(device, said)]
        return []

    def answer(self, device: str, answer: Answer, *, utc_ms: int, now_ms: int) -> list[Effect]:
        """A driver ended a command. Delivered credit is a value event in the same step; everything else is a result."""
        line = self._lines[device]
        command = line.at_driver
        if command is None or command.id != answer.command_id:
            return self._uncounted_ended(device, answer, now_ms) or self._amended(device, answer, utc_ms=utc_ms)
        line.at_driver = None
        effects: list[Effect] = []
        if answer.outcome == "done" and command.kind not in UNCOUNTED:
            self._finish(device, command, "done", amount=answer.amount)
            effects += self._delivered(device, answer, utc_ms=utc_ms)
        else:
            effects.append(self._end(device, command, answer.outcome, amount=answer.amount, reason=answer.reason))
        return effects + self._next(device, now_ms=now_ms)

    def unfinished(self, device: str) -> tuple[Command, ...]:
        """Return the commands that the device's driver may tell the end of, because nobody heard it."""
        return self._actuations.unfinished(device)

    def _amended(self, device: str, answer: Answer, *, utc_ms: int) -> list[Effect]:
        """A device told what came of a command that had to be called unknown: that counts, once."""
        outcome, amount, reason = answer.outcome, answer.amount, answer.reason
        if not self._actuations.amend(
            answer.command_id, device=device, outcome=outcome, amount=amount, reason=reason or "read_back"
        ):
            return []
        if outcome == "done":
            return self._delivered(device, answer, utc_ms=utc_ms)
        return [Reply(device, Result(id=answer.command_id, outcome=outcome, amount=amount, reason=reason))]

    def _delivered(self, device: str, answer: Answer, *, utc_ms: int) -> list[Effect]:
        body = CreditDelivered(id=answer.command_id, credits=answer.amount)
        return [Publish(kept) for kept in self.values.append([Fact(device, body, utc_ms)])]

    def fact(self, fact: Fact, *, written: asyncio.Event | None = None) -> list[Effect]:
        """Write a value fact down."""
        effects: list[Effect] = [Publish(kept) for kept in self.values.append([fact])]
        return [*effects, *([StopIntake()] if self.values.full else []), *_wrote(written)]

    def counted(self, device: str, counter: int, *, utc_ms: int, written: asyncio.Event | None = None) -> list[Effect]:
        """Note a device's counter. After a lost log, what it is ahead of the hub's is a tamper entry, no credit."""
        self.values.note_counter(device, counter)
        missed = _counted_since(self._baselines.pop(device, counter), counter)
        lost = self.fact(Fact(device, EventsLost(count=missed), utc_ms)) if missed else []
        return [*lost, *_wrote(written)]

    def booked(self, device: str, booked: Booked) -> int:
        """The hub has it; returns how many events went."""
        return self.values.booked(device, booked)

    def _obstacle(self, line: _Line, command: Command) -> str:
        if not self._accepting:
            return "bridge_ending"
        if not line.attached:
            return "device_offline"
        if len(line.waiting) >= WAITING_LIMIT:
            return "busy"
        return "value_log_full" if self.values.full and command.kind not in UNCOUNTED else ""

    def _next(self, device: str, *, now_ms: int) -> list[Effect]:
        """Hand the next command over if the driver is free; one whose time has passed meanwhile is refused."""
        line = self._lines[device]
        effects: list[Effect] = []
        while line.waiting and line.at_driver is None:
            command, arrived_ms = line.waiting.popleft()
            if now_ms - arrived_ms >= command.ttl_ms:
                effects.append(self._end(device, command, "refused", reason="too_late"))
            else:
                line.at_driver = command
                effects.append(HandOver(device, command))
        return effects

    def _end(self, device: str, command: Command, outcome: Outcome, *, amount: int = 0, reason: str = "") -> Reply:
        self._finish(device, command, outcome, amount=amount, reason=reason)
        return Reply(device, Result(id=command.id, outcome=outcome, amount=amount, reason=reason))

    def _finish(self, device: str, command: Command, outcome: Outcome, *, amount: int = 0, reason: str = "") -> None:
        self._actuations.finish(command.id, device=device, outcome=outcome, amount=amount, reason=reason)


def _reply(device: str, command: Command, outcome: Outcome, reason: str) -> Reply:
    return Reply(device, Result(id=command.id, outcome=outcome, amount=0, reason=reason))


def _wrote(event: asyncio.Event | None) -> list[Effect]:
    return [] if event is None else [Wrote(event)]


def _counted_since(booked: int, counter: int) -> int:
    """Return how far a counter of 1..255 went since `booked`; 0, after a reset, says nothing."""
    if counter == 0:
        return 0
    return counter - booked if counter >= booked else counter + COUNTER_TOP - booked
