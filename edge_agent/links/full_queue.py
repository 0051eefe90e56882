"""What becomes of a fact that finds the till's queue full: a rule for each kind, and a count of what was dropped.

Nothing here loses money. A device fact is stale, or sent again, or asked for; a neighbour says again what was not
confirmed; a lease or a list is asked of the office again; staff are told `busy` and repeat their request.
"""

from collections import Counter
from typing import Final

from edge_agent.log_lines import log
from edge_agent.messages import (
    Answered,
    Born,
    DeviceIs,
    Effect,
    FoundElsewhere,
    FromDevice,
    Input,
    LeaseArrived,
    ListArrived,
    Recalled,
)
from edge_agent.peer_messages import FromPeer
from edge_agent.slip_messages import SlipShown
from edge_agent.staff_messages import Reply, StaffActed
from payment_core.desk import DeskReply
from payment_core.identifiers import uuid_text

QUEUE_LIMIT: Final = 4_096
"""Device facts beyond it are dropped."""
OTHERS_LIMIT: Final = 2_048
"""Beyond it what others say is dropped: devices keep the other half."""
BUSY: Final = "busy"
_DEVICES: Final = (FromDevice, Answered, Born, DeviceIs)
_OTHERS: Final = (FromPeer, StaffActed, SlipShown, LeaseArrived, FoundElsewhere, ListArrived, Recalled)


class FullQueue:
    """Says who may still come in. Kinds without a rule come one at a time: receipts, documents, orders, links."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        """How many facts of each kind did not fit."""

    def admits(self, fact: Input, waiting: int) -> bool:
        """Say whether a fact may wait behind `waiting` others; one that may not is counted."""
        if waiting < OTHERS_LIMIT:
            return True
        if isinstance(fact, _OTHERS) or (waiting >= QUEUE_LIMIT and isinstance(fact, _DEVICES)):
            self._count(type(fact).__name__)
            return False
        return True

    def _count(self, kind: str) -> None:
        self.dropped[kind] += 1
        count = self.dropped[kind]
        if count & (count - 1) == 0:  # 1, 2, 4, 8: a flood fills no log
            log("till.full", kind=kind, dropped=count)


def refusal(fact: Input) -> list[Effect]:
    """Return what is said to whoever asked for it."""
    if isinstance(fact, StaffActed):
        return [Reply(fact.terminal, DeskReply(uuid_text(fact.request_id), "refused", BUSY))]
    return []
