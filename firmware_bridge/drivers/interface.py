"""What a driver and the bridge say to each other: an inbox of commands, an outbox of observations.

A driver is one coroutine, `await driver.run(inbox, outbox)`. It returns or raises only when it cannot go on; the bridge
restarts it with back-off. At-most-once is the bridge's work (actuation log), done before a command reaches an inbox.
"""

import asyncio
from typing import Final, Literal, Protocol

import msgspec

from payment_core.commands import Command
from payment_core.events import Body

INBOX_LIMIT: Final = 64
OUTBOX_LIMIT: Final = 256


class Wish(msgspec.Struct, frozen=True):
    """Something a person wants, seen at `at` (seconds of `time.monotonic()`); dropped when the outbox is full."""

    body: Body
    at: float


class ValueFact(msgspec.Struct, frozen=True):
    """Something that is worth money. `counter`: the device's own event counter after it, -1 where it has none.

    `written`: set by the bridge as soon as the fact is on the disk, for a device that may only then be told so.
    """

    body: Body
    at: float
    counter: int = -1
    written: asyncio.Event | None = None


class Condition(msgspec.Struct, frozen=True):
    """How the device is; `noise`: bytes thrown away since the driver started. Only the bridge says `quarantined`."""

    state: Literal["online", "offline", "fault", "quarantined"]
    reason: str = ""
    noise: int = 0
    serial: str = ""
    firmware: str = ""


class Answer(msgspec.Struct, frozen=True):
    """How a command ended. `amount`: units that certainly left the device; `answers`, `counters`: as in a Result."""

    command_id: str
    outcome: Literal["done", "failed", "refused", "unknown"]
    amount: int = 0
    reason: str = ""
    answers: tuple[str, ...] = ()
    counters: dict[str, int] = {}


class Counted(msgspec.Struct, frozen=True):
    """The device's own event counter, where it moved without money (first contact, an error event, a reset).

    Everything up to it has been said. It is kept, so that a coin right after a restart is told from an old one. A
    dispenser's driver keeps in it whatever tells later what came of a command (`written`: as in a ValueFact).
    """

    counter: int
    written: asyncio.Event | None = None


Observation = Wish | ValueFact | Counted | Condition | Answer
Inbox = asyncio.Queue[Command]
Outbox = asyncio.Queue[Observation]


class Driver(Protocol):
    """One device."""

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Pump until the device is gone (raises TransportClosedError or a driver fault) or the task is cancelled."""
