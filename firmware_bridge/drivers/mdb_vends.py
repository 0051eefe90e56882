"""Two records of a card reader in a vending machine: what the machine asks for, and the newest yes."""

from typing import Final

import msgspec

from firmware_bridge.drivers.interface import Answer
from firmware_bridge.wire.mdb import UNKNOWN
from firmware_bridge.wire.mdb_cashless import Vend
from firmware_bridge.wire.qibixx import MAX_ITEM, Stands, Status
from payment_core.commands import ApproveVend, DenyVend
from payment_core.events import VendRequested

SAME_S: Final = 0.1
"""A line that comes again so soon is the same one."""


class Asked(msgspec.Struct, frozen=True):
    """What the machine asks for, and in whose session. number: that a yes or no has to name; told: the hub knows."""

    line: Stands
    number: int
    session: str
    at: float
    told: bool

    def fits(self, body: ApproveVend | DenyVend) -> bool:
        """Say whether a yes or no is to this question. A yes names its number; a no may name none, and is to any."""
        match body:
            case ApproveVend(amount, item, number):
                return (amount, number) == (self.line.amount, self.number) and item in {0, self.line.item}
            case DenyVend(number):
                return number in {0, self.number}

    def is_again(self, line: Stands, now: float) -> bool:
        """Say whether a line is the same request again, and not an equal one of later."""
        return line.status is Status.VEND and line == self.line and now - self.at <= SAME_S

    @property
    def request(self) -> VendRequested:
        """What the hub is asked."""
        item = 0 if self.line.item == MAX_ITEM else self.line.item
        return VendRequested(self.line.amount, item, self.session, self.number)


class Yes(msgspec.Struct):
    """The newest yes. end: how its vend ended, None: the board owes its result, until `until` (0: not heard of yet).

    sure: no line is missing since it was said.
    """

    command_id: str
    until: float = 0.0
    sure: bool = True
    end: Vend | None = None

    def is_overdue(self, now: float) -> bool:
        """Say whether the board has not told in its time what became of it."""
        return self.end is None and 0.0 < self.until < now

    def ended(self, vend: Vend, reason: str) -> Answer:
        """Note how it ended; return what to tell: one unit where the machine gave the item."""
        self.end = vend
        match vend:
            case Vend.DONE:
                return Answer(self.command_id, "done", amount=1)
            case Vend.FAILED:
                return Answer(self.command_id, "failed", reason=reason)
            case Vend.UNKNOWN:
                return Answer(self.command_id, "unknown", reason=reason)


def is_priced(line: Stands) -> bool:
    """Say whether a machine knows its price: else it is 0 or FFFF on the bus, times the scale that the board knows."""
    return line.amount % UNKNOWN != 0
