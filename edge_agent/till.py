"""The till: one synchronous object that takes facts in order, writes them down in one commit, and only then acts.

Nothing else writes the ledger. There is no cached balance: every decision reads what the earlier ones wrote.
"""

from collections.abc import Callable, Sequence
from typing import Final, assert_never

import msgspec

from edge_agent.desk import counter_acts, desk_reader, machine_acts
from edge_agent.desk.modules import Modules
from edge_agent.lan.neighbours import Neighbours
from edge_agent.lan.parking import Parking
from edge_agent.ledger import authorizations, leases
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.outbox import read_epoch
from edge_agent.ledger.store import Store
from edge_agent.messages import (
    Answered,
    BatchSealed,
    Born,
    CloseOrdered,
    DeviceIs,
    DocumentArrived,
    Effect,
    FoundElsewhere,
    FromDevice,
    Frozen,
    Input,
    JournalGrew,
    LeaseArrived,
    ListArrived,
    Log,
    Moment,
    OfficeFact,
    OfficeLink,
    Recalled,
    ReceiptTaken,
    Reopened,
)
from edge_agent.office import homecoming, in_force, office_side
from edge_agent.office.homecoming import Homecoming
from edge_agent.peer_messages import FromPeer, LanLink
from edge_agent.play import doubts, plays, reconciler
from edge_agent.slip_messages import SlipShown
from edge_agent.staff_messages import PinRefused, StaffActed
from edge_agent.step import views
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.site import Site
from edge_agent.step.time_floor import TimeFloor
from edge_agent.takings import codes, coins, kiosk, lease_keeper, slips, values
from edge_agent.takings.acceptors import Acceptors
from edge_agent.tap import blocks, taps, vending, verifying
from edge_agent.tap.challenge import Challenges
from edge_agent.tap.tap_facts import Tap
from payment_core.authorization import State
from payment_core.errors import MalformedMessageError
from payment_core.events import (
    ButtonPressed,
    CodeScanned,
    CredentialPresented,
    CredentialRemoved,
    SessionEnded,
    VendRequested,
    Wished,
    event_body,
)
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, Cause, EpochOpened, Tender

WRITING: Final = (FromDevice, Answered, LeaseArrived, SlipShown, StaffActed, PinRefused)
"""Facts that would be written down; a hub that signed its epoch off takes them no more."""


class Till:
    """The hub's one writer. Time comes with each step; dice and the store through the constructor."""

    def __init__(
        self, store: Store, *, hub_id: bytes, venue_id: bytes, pepper: bytes, dice: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._dice = dice
        self._site = Site(hub_id=hub_id, venue_id=venue_id, pepper=pepper, epoch=read_epoch(store))
        self._tail = read_tail(store)
        self._parking = Parking()
        self._challenges = Challenges()
        self._neighbours = Neighbours(self._parking)
        self._acceptors = Acceptors()
        self._modules = Modules()
        self._time_floor = TimeFloor()
        self._started = False
        office_side.load_documents(store, self._site)
        self._homecoming = Homecoming(self._parking, risk_version=self._site.risk.version)

    @property
    def outstanding(self) -> int:
        """How many devices and cards owe an answer and taps wait for money: step at least every 50 ms while not 0."""
        return self._site.waiting + len(self._parking) + len(self._challenges)

    def step(self, now: Moment, inputs: Sequence[Input]) -> list[Effect]:
        """Take facts in order, commit once, return the effects. CommitUnknownError: stop, reopen, reconcile."""
        self._store.execute("BEGIN IMMEDIATE")
        draft = Draft(store=self._store, site=self._site, now=now, tail=self._tail, dice=self._dice)
        if not self._started:
            self._start(draft)
        self._site.day_count.follow(self._store, now)
        in_force.follow(draft)
        for fact in inputs:
            self._take(draft, fact)
        self._parking.settle(draft)
        self._pass_time(draft)
        coins.go_on(draft)
        slips.give_back_unplayed(draft)
        lease_keeper.keep_caps(draft)
        self._homecoming.pass_time(draft)
        self._acceptors.pass_time(draft)
        self._modules.pass_time(draft)
        self._time_floor.pass_time(draft)
        blocks.tell_neighbours(draft)
        draft.flush()
        # At the start too: what the last run wrote and never sealed goes up although nothing new is written.
        if draft.seq > self._tail.seq or not self._started:
            draft.effect(JournalGrew(draft.seq))
        self._store.commit()
        self._tail = draft.tail
        self._started = True
        return draft.effects

    def _start(self, draft: Draft) -> None:
        if draft.seq == 0:
            header = draft.header(Spot(Actor.HUB, Tender.NONE))
            draft.journal(EpochOpened(1, header, self._site.epoch))
        reconciler.at_start(draft)
        doubts.at_start(draft)

    def _take(self, draft: Draft, fact: Input) -> None:
        if self._site.closed and isinstance(fact, WRITING):
            homecoming.turn_away(draft, fact)
            return
        match fact:
            case FromDevice():
                self._from_device(draft, fact)
            case Answered():
                self._answered(draft, fact)
            case Born():
                self._site.births[fact.device] = fact.birth
                self._acceptors.on_birth(fact.device)
                reconciler.ask_device(draft, fact.device)
            case DeviceIs():
                self._site.states[fact.device] = fact.state
                coins.on_device(draft, fact.device)
            case LanLink():
                self._neighbours.on_link(draft, fact)
            case FromPeer():
                self._neighbours.on_message(draft, fact)
            case SlipShown():
                slips.take(draft, fact)
            case StaffActed() | PinRefused():
                counter_acts.take(draft, fact)
                self._modules.look_again()
            case _:
                self._from_office(draft, fact)

    def _from_office(self, draft: Draft, fact: OfficeFact) -> None:  # noqa: C901, PLR0912 - one case per fact
        match fact:
            case LeaseArrived():
                office_side.take_lease(draft, fact)
                self._parking.heard_office(draft.now.boottime_ms)
                self._parking.office_answered(fact.account_id)
            case FoundElsewhere():
                self._parking.heard_office(draft.now.boottime_ms)
                self._parking.found_elsewhere(fact.account_id, coming=fact.coming)
            case ListArrived():
                if office_side.take_list(draft, fact):
                    blocks.on_list(draft, fact)
                    self._modules.look_again()
            case DocumentArrived():
                office_side.take_document(draft, fact)
            case BatchSealed():
                office_side.store_batch(draft, fact)
            case ReceiptTaken():
                office_side.take_receipt(draft, fact)
                self._acceptors.on_receipt()
                self._parking.heard_office(draft.now.boottime_ms)
            case Frozen():
                office_side.freeze(draft, fact)
            case Reopened():
                office_side.reopen(draft, fact)
            case Recalled():
                homecoming.recall(draft, fact.account_id)
            case CloseOrdered():
                homecoming.order_close(draft, fact)
            case OfficeLink():
                if fact.up:
                    self._parking.heard_office(draft.now.boottime_ms)
                if fact.up != self._site.office_up:
                    self._site.office_up = fact.up
                    views.show_idle(draft)
            case _:
                assert_never(fact)

    def _from_device(self, draft: Draft, fact: FromDevice) -> None:
        try:
            body = event_body(fact.event)
            if isinstance(body, Wished):
                self._wished(draft, fact, body)
            else:
                values.take(draft, fact, body)
        except MalformedMessageError as error:
            draft.effect(Log("event.malformed", {"device": fact.device, "why": str(error)}))

    def _wished(self, draft: Draft, fact: FromDevice, body: Wished) -> None:
        match body:
            case CredentialPresented():
                self._presented(draft, fact, body)
            case CodeScanned():
                shown = codes.sort_code(draft, fact, body)
                if shown is not None:
                    self._presented(draft, fact, shown)
            case VendRequested():
                self._decide(draft, vending.requested(draft, fact, body))
            case SessionEnded():
                self._decide(draft, vending.ended(draft, fact, body))
            case ButtonPressed():
                draft.effect(Log("button.pressed", {"device": fact.device, "button": body.button}))
            case CredentialRemoved():
                pass
            case _:
                assert_never(body)

    def _presented(self, draft: Draft, fact: FromDevice, body: CredentialPresented) -> None:
        if verifying.concerns(draft, fact, body):
            self._decide(draft, verifying.presented(draft, fact, body))
            return
        if kiosk.presented(draft, fact, body) or self._parking.has_event(fact) or self._challenges.has_event(fact):
            return
        read = desk_reader.read_card if desk_reader.serves(draft, fact.device) else taps.read_tap
        tap = read(draft, fact, body)
        if tap is None or self._parking.take_bounce(draft, tap) or self._challenges.take_bounce(draft, tap):
            return
        self._is_there(draft, self._challenges.begin(draft, tap, body))

    def _is_there(self, draft: Draft, tap: Tap | None) -> None:
        """Take a card that has proven itself as far as it must; None: it still owes an answer."""
        if tap is not None and desk_reader.serves(draft, tap.reader):
            desk_reader.tell(draft, tap)
        elif tap is not None and not taps.take_factor(draft, tap):
            self._decide(draft, tap)

    def _decide(self, draft: Draft, tap: Tap | None) -> None:
        """Decide a tap, or let it wait for its money; None: there is none."""
        tap = vending.meant(draft, tap) if tap is not None else None
        if tap is not None:
            self._parking.answer(draft, tap)

    def _answered(self, draft: Draft, fact: Answered) -> None:
        if self._acceptors.has_answered(fact) or self._modules.has_answered(draft, fact):
            return
        if vending.has_answered(draft, fact) or verifying.has_answered(draft, fact):
            return
        if machine_acts.has_answered(draft, fact):
            return
        if self._challenges.has_answered(fact):
            self._is_there(draft, self._challenges.hear(draft, fact))
            return
        try:
            row = authorizations.by_id(self._store, uuid_bytes(fact.result.id))
        except ValueError as error:
            draft.effect(Log("result.malformed", {"device": fact.device, "why": str(error)}))
            return
        plays.on_answer(draft, fact, draft.load(row) if row else None)

    def _pass_time(self, draft: Draft) -> None:
        now_ms = draft.now.boottime_ms
        self._site.list_age.keep(self._store, draft.now)
        views.follow_the_clock(draft)
        for tap in self._challenges.pass_time(draft):
            self._is_there(draft, tap)
        self._parking.pass_time(draft)
        for tap in vending.pass_time(draft):
            self._decide(draft, tap)
        self._neighbours.pass_time(draft, before_seq=self._tail.seq)
        doubts.pass_time(draft)
        counter_acts.pass_time(draft)
        for authorization_id in self._site.overdue(now_ms):
            row = authorizations.by_id(self._store, authorization_id)
            if row is not None and row.state in (State.COMMANDED, State.IN_DOUBT):
                silent = draft.load(row)
                plays.doubt(draft, silent, Cause.SILENCE)
                plays.ask(draft, msgspec.structs.replace(silent, state=State.IN_DOUBT))

    def balance(self, account_id: bytes) -> dict[str, int]:
        """Return what an account may spend here, by unit; read from the ledger each time."""
        return leases.balance(self._store, account_id, now_ms=None)
