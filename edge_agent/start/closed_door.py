"""What guests meet while the hub may not sell: each tap is answered, each lane says so, and no money is taken."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from edge_agent.ledger import office_facts
from edge_agent.ledger.outbox import SealedBatch
from edge_agent.ledger.rescue import Rescue
from edge_agent.ledger.store import LedgerError, Reads
from edge_agent.messages import (
    Answered,
    BatchSealed,
    BatchStored,
    Born,
    DeviceIs,
    Effect,
    FromDevice,
    Frozen,
    Input,
    JournalGrew,
    OfficeLink,
    ReceiptTaken,
    Show,
)
from edge_agent.staff_messages import Reply, StaffActed
from payment_core.bus import View
from payment_core.desk import DeskReply
from payment_core.errors import DECODE_FAULTS
from payment_core.identifiers import uuid_text
from payment_core.policy import DevicesDocument, Lane

REASON: Final = "hub_closed"
SAID_AGAIN_S: Final = 10.0
"""A page shows a refusal for twelve seconds: said again before, it stands."""
PASSES: Final = ("CreditDelivered",)
"""Kinds of events that are the results of commands under way."""


class ClosedDoor:
    """Knows a venue's lanes and turns away whoever comes to one."""

    def __init__(self, lanes: Sequence[Lane], *, wall_ms: Callable[[], int]) -> None:
        self._lanes = {lane.reader: lane for lane in lanes}
        self._wall_ms = wall_ms

    def admits(self, fact: Input) -> bool:
        """Say whether a fact is needed although nothing is sold: results of commands, devices, receipts.

        A coin is not booked: its bridge keeps it and sends it again until it is.
        """
        if isinstance(fact, FromDevice):
            return fact.event.kind in PASSES
        return isinstance(fact, Answered | Born | DeviceIs | ReceiptTaken | OfficeLink | Frozen)

    def answer(self, fact: Input) -> list[Effect]:
        """Return what a fact that was not admitted leads to: the lane or desk says that the hub is closed."""
        if isinstance(fact, StaffActed):
            return [Reply(fact.terminal, DeskReply(uuid_text(fact.request_id), "refused", REASON))]
        if not isinstance(fact, FromDevice) or fact.event.kind != "CredentialPresented":
            return []
        lane = self._lanes.get(fact.device)
        return [self._closed(lane)] if lane is not None else []

    def say(self) -> list[Effect]:
        """Return the closed sign for every lane."""
        return [self._closed(lane) for lane in self._lanes.values()]

    def _closed(self, lane: Lane) -> Show:
        name, now_ms = lane.name or lane.machine, self._wall_ms()
        return Show(lane.id, View(state="declined", at_ms=now_ms, unit="", price=0, machine=name, reason=REASON))


class ClosedDesk:
    """Stands where the till stands while its ledger cannot be used: nobody is served, what is intact goes up."""

    def __init__(
        self, door: ClosedDoor, *, rescue: Rescue | None, deliver: Callable[[list[Effect]], None]
    ) -> None:
        self._door = door
        self._rescue = rescue
        self._deliver = deliver

    def start(self) -> None:
        """Tell the uploader how far the journal may be intact."""
        if self._rescue is not None:
            self._deliver([JournalGrew(self._rescue.end)])

    def offer_together(self, facts: Sequence[Input]) -> None:
        """Take facts as they come; nothing here needs them together."""
        for fact in facts:
            self.offer(fact)

    def offer(self, fact: Input) -> bool:
        """Keep what belongs to the upload, turn guests away, ignore the rest; nothing is dropped for want of room."""
        if isinstance(fact, BatchSealed) and self._rescue is not None:
            batch = SealedBatch(fact.batch_seq, fact.first_rec, fact.rec_count, fact.hash, fact.sealed)
            self._rescue.store_batch(batch)
            self._deliver([BatchStored(fact.batch_seq)])
        elif isinstance(fact, ReceiptTaken) and self._rescue is not None:
            self._rescue.take_receipt(fact.batch_seq, fact.seq)
        elif not self._door.admits(fact):
            self._deliver(self._door.answer(fact))
        return True

    def stop(self, *, as_it_is: bool = False) -> None:
        """Nothing is under way here; the rescue is closed by whoever opened it."""


def known_lanes(store: Reads) -> tuple[Lane, ...]:
    """Return the lanes of the devices document, none where it cannot be read."""
    try:
        held = office_facts.document(store, "devices")
        return msgspec.json.decode(held[1], type=DevicesDocument).lanes if held else ()
    except (LedgerError, TypeError, *DECODE_FAULTS):
        return ()
