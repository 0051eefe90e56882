"""The till: one synchronous object that takes facts in order, writes them down in one commit, and only then acts.

Nothing else writes the ledger. There is no cached balance: every decision reads what the earlier ones wrote.
"""

from collections.abc import Callable, Sequence
from typing import Final, assert_never

import msgspec

from edge_agent import coins, office_side, plays, reconciler, taps, values
from edge_agent.draft import Draft, Spot
from edge_agent.ledger import authorizations, leases
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.outbox import read_epoch
from edge_agent.ledger.store import Store
from edge_agent.messages import (
    Answered,
    BatchSealed,
    Born,
    DeviceIs,
    DocumentArrived,
    Effect,
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
    ReceiptTaken,
)
from edge_agent.site import Site
from edge_agent.taps import Tap
from payment_core.authorization import State
from payment_core.errors import MalformedMessageError
from payment_core.events import (
    CoinInserted,
    CredentialPresented,
    CredentialRemoved,
    CreditDelivered,
    EventsLost,
    event_body,
)
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, Cause, EpochOpened, Tender

PARKED_LIMIT: Final = 64
"""Taps that wait for the office at one time; beyond it a tap is decided with what is here."""
PATIENCE_MS: Final = 10_000
"""After a deadline passed without an answer, nobody waits again for this long, or until the office is heard."""


class Till:
    """The hub's one writer. Time comes with each step; dice and the store through the constructor."""

    def __init__(
        self, store: Store, *, hub_id: bytes, venue_id: bytes, pepper: bytes, dice: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._dice = dice
        self._site = Site(hub_id=hub_id, venue_id=venue_id, pepper=pepper, epoch=read_epoch(store))
        self._tail = read_tail(store)
        self._parked: dict[bytes, list[Tap]] = {}
        self._arrived: list[bytes] = []
        self._patient_from_ms = 0
        self._started = False
        office_side.load_documents(store, self._site)

    @property
    def outstanding(self) -> int:
        """How many devices owe an answer and taps wait for money: step at least every 50 ms while not 0."""
        return self._site.waiting + sum(len(parked) for parked in self._parked.values())

    def step(self, now: Moment, inputs: Sequence[Input]) -> list[Effect]:
        """Take facts in order, commit once, return the effects. CommitUnknownError: stop, reopen, reconcile."""
        self._store.execute("BEGIN IMMEDIATE")
        draft = Draft(store=self._store, site=self._site, now=now, tail=self._tail, dice=self._dice)
        if not self._started:
            self._start(draft)
        for fact in inputs:
            self._take(draft, fact)
        while self._arrived:  # after all grants of a letter, for a price may need two purses
            self._unpark(draft, self._arrived.pop())
        self._pass_time(draft)
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

    def _take(self, draft: Draft, fact: Input) -> None:
        match fact:
            case FromDevice():
                self._from_device(draft, fact)
            case Answered():
                self._answered(draft, fact)
            case Born():
                self._site.births[fact.device] = fact.birth
                reconciler.ask_device(draft, fact.device)
            case DeviceIs():
                self._site.states[fact.device] = fact.state
                coins.on_device(draft, fact.device)
            case _:
                self._from_office(draft, fact)

    def _from_office(self, draft: Draft, fact: OfficeFact) -> None:
        match fact:
            case LeaseArrived():
                office_side.take_lease(draft, fact)
                self._patient_from_ms = 0
                self._arrived.append(fact.account_id)
            case ListArrived():
                office_side.take_list(draft, fact)
            case DocumentArrived():
                office_side.take_document(draft, fact)
            case BatchSealed():
                office_side.store_batch(draft, fact)
            case ReceiptTaken():
                office_side.take_receipt(draft, fact)
                self._patient_from_ms = 0
            case Frozen():
                office_side.freeze(draft, fact)
            case OfficeLink():
                if fact.up != self._site.office_up:
                    self._site.office_up = fact.up
                    plays.show_idle(draft)
            case _:
                assert_never(fact)

    def _from_device(self, draft: Draft, fact: FromDevice) -> None:
        try:
            body = event_body(fact.event)
            match body:
                case CredentialPresented():
                    self._presented(draft, fact, body)
                case CoinInserted():
                    values.on_coin(draft, fact, body)
                case EventsLost():
                    values.on_events_lost(draft, fact, body)
                case CreditDelivered():
                    values.on_credit(draft, fact, body)
                case CredentialRemoved():
                    pass
                case _:
                    assert_never(body)
        except MalformedMessageError as error:
            draft.effect(Log("event.malformed", {"device": fact.device, "why": str(error)}))

    def _presented(self, draft: Draft, fact: FromDevice, body: CredentialPresented) -> None:
        if any(_same_event(tap, fact) for parked in self._parked.values() for tap in parked):
            return
        tap = taps.read_tap(draft, fact, body)
        if tap is None:
            return
        if any(_same_guest(waits, tap) for parked in self._parked.values() for waits in parked):
            authorizations.mark_wish(self._store, tap.reader, tap.event_epoch, tap.event_seq, taps.NO_ANSWER)
            return
        may_ask = draft.now.boottime_ms >= self._patient_from_ms and len(self._parked) < PARKED_LIMIT
        if not taps.answer_tap(draft, tap, may_ask=may_ask):
            assert tap.row is not None
            self._parked.setdefault(tap.row.account_id, []).append(tap)

    def _unpark(self, draft: Draft, account_id: bytes) -> None:
        for tap in self._parked.pop(account_id, ()):
            taps.answer_tap(draft, taps.with_fresh_row(draft, tap), may_ask=False)

    def _answered(self, draft: Draft, fact: Answered) -> None:
        try:
            row = authorizations.by_id(self._store, uuid_bytes(fact.result.id))
        except ValueError as error:
            draft.effect(Log("result.malformed", {"device": fact.device, "why": str(error)}))
            return
        plays.on_answer(draft, fact, draft.load(row) if row else None)

    def _pass_time(self, draft: Draft) -> None:
        now_ms = draft.now.boottime_ms
        plays.follow_the_clock(draft)
        for account_id in [
            account_id for account_id, parked in self._parked.items() if parked[0].deadline_ms <= now_ms
        ]:
            self._patient_from_ms = now_ms + PATIENCE_MS
            self._unpark(draft, account_id)
        for authorization_id in self._site.overdue(now_ms):
            row = authorizations.by_id(self._store, authorization_id)
            if row is not None and row.state in (State.COMMANDED, State.IN_DOUBT):
                silent = draft.load(row)
                plays.doubt(draft, silent, Cause.SILENCE)
                plays.ask(draft, msgspec.structs.replace(silent, state=State.IN_DOUBT))

    def balance(self, account_id: bytes) -> dict[str, int]:
        """Return what an account may spend here, by unit; read from the ledger each time."""
        return leases.allowances(leases.of_account(self._store, account_id), now_ms=None)


def _same_event(tap: Tap, fact: FromDevice) -> bool:
    return (tap.reader, tap.event_epoch, tap.event_seq) == (fact.device, fact.event.epoch, fact.event.seq)


def _same_guest(waits: Tap, tap: Tap) -> bool:
    """Say whether a card bounced at the reader where its first tap still waits for money."""
    return (waits.reader, waits.credential_id) == (tap.reader, tap.credential_id)
