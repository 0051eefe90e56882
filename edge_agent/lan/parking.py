"""Taps that wait for money from elsewhere in the venue: neighbours first, then the office, all within the guest's time.

A tap is declined only when everybody worth waiting for has answered, or its time is over; it goes on by itself as soon
as what arrived covers it. Who let a guest wait in vain is asked again, but not waited for, for a while.
"""

from typing import Final

import msgspec

from cloud_sync.protocol.peers import PeerAsk
from edge_agent.lan import passing
from edge_agent.ledger import authorizations
from edge_agent.messages import AskLease, FromDevice, Show
from edge_agent.peer_messages import ToPeer
from edge_agent.step.draft import Draft
from edge_agent.step.views import view_of
from edge_agent.takings import lease_keeper
from edge_agent.tap import tap_facts, taps
from edge_agent.tap.taps import Tap

PARKED_LIMIT: Final = 64
"""Taps that wait at one time; beyond it a tap is decided with what is here."""
PATIENCE_MS: Final = 10_000
"""After a deadline passed without an answer, nobody waits for its debtor for this long, or until he is heard."""
AGAIN_MS: Final = 50
"""When money is on its way between hubs, the neighbours are asked again after this."""


class Waiting(msgspec.Struct):
    """The taps of one account that wait. `ask`: number of the latest ask; `owing`: neighbours that have not answered.

    `room`: how much of the currency they were asked for; of what is left, others ask for theirs.

    Times are boottime ms. `since_ms`: of the first ask; `office_asked_ms`: since when the office owes an answer.
    `office_answered`: it has no more. `coming`: it has none, and has another hub return it.
    `in_vain`: somebody's time is over, so who comes now asks anew.
    `where`: the hall the money is coming from, as far as it is known.
    """

    taps: list[Tap]
    ask: int = 0
    room: int = 0
    owing: set[bytes] = msgspec.field(default_factory=set)
    moving: bool = False
    again_ms: int = 0
    office_from_ms: int | None = 0
    since_ms: int = 0
    office_asked_ms: int | None = None
    office_answered: bool = False
    coming: bool = False
    in_vain: bool = False
    where: str = ""


class Parking:
    """All taps that wait. Volatile: after a restart a guest taps again."""

    def __init__(self) -> None:
        self.waits: dict[bytes, Waiting] = {}
        """By account."""
        self._touched: dict[bytes, bool] = {}
        self._office_from_ms = 0
        self._office_heard_ms = 0
        self._silent_ms: dict[bytes, int] = {}
        self._heard_ms: dict[bytes, int] = {}
        self._last_ask = 0

    def __len__(self) -> int:
        return sum(len(waits.taps) for waits in self.waits.values())

    def waits_for(self, account_id: bytes) -> bool:
        """Say whether a guest of this account waits here."""
        return account_id in self.waits

    def has_event(self, fact: FromDevice) -> bool:
        """Say whether this very event waits already."""
        if not self.waits:
            return False
        key = (fact.device, fact.event.epoch, fact.event.seq)
        return any((tap.reader, tap.event_epoch, tap.event_seq) == key for tap in self._taps())

    def take_bounce(self, draft: Draft, tap: Tap) -> bool:
        """Answer a card that bounced at the reader where its first tap waits: with nothing of its own."""
        if not self.waits:
            return False
        if not any((waits.reader, waits.credential_id) == (tap.reader, tap.credential_id) for waits in self._taps()):
            return False
        authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, taps.NO_ANSWER)
        return True

    def _taps(self) -> list[Tap]:
        return [tap for waits in self.waits.values() for tap in waits.taps]

    # ------------------------------------------------------------------------------------------------------ asking
    def _may_wait(self, draft: Draft) -> bool:
        """Say whether somebody is worth waiting for."""
        if len(self) >= PARKED_LIMIT:
            return False
        return draft.now.boottime_ms >= self._office_from_ms or bool(self._worth_waiting(draft))

    def _worth_waiting(self, draft: Draft) -> set[bytes]:
        if not draft.site.lan_up:
            return set()
        now_ms = draft.now.boottime_ms
        return {hub for hub in draft.site.peers if self._silent_ms.get(hub, 0) <= now_ms}

    def answer(self, draft: Draft, tap: Tap) -> None:
        """Decide a tap, or keep it and ask for its account's money; its lane says so at once."""
        if taps.answer_tap(draft, tap, may_ask=True):
            return
        assert tap.row is not None
        waits = self.waits.get(tap.row.account_id)
        if waits is not None and len(self) < PARKED_LIMIT:  # its answer may be in this very step
            waits.taps.append(tap)
            if waits.in_vain:
                self._ask(draft, tap.row.account_id, waits)
            _show_fetching(draft, tap, waits.where)
            return
        if not self._may_wait(draft):
            self._ask_neighbours(draft, tap.row.account_id, Waiting([tap]))
            taps.answer_tap(draft, tap, may_ask=False)
            return
        account_id = tap.row.account_id
        waits = self.waits[account_id] = Waiting([tap])
        self._ask(draft, account_id, waits)
        _show_fetching(draft, tap, waits.where)

    def _ask(self, draft: Draft, account_id: bytes, waits: Waiting) -> None:
        waits.since_ms, waits.in_vain = draft.now.boottime_ms, False
        self._ask_neighbours(draft, account_id, waits)
        waits.office_from_ms = draft.now.boottime_ms + draft.site.risk.peer_ms
        if not waits.owing:
            self._ask_office(draft, account_id, waits)

    def _ask_neighbours(self, draft: Draft, account_id: bytes, waits: Waiting) -> None:
        waits.owing = self._worth_waiting(draft)
        if not draft.site.lan_up or not draft.site.peers:
            return
        # Who asks again asks for his price at least: nobody is refused because a silent hub still owes another guest.
        price = _price_of(draft, waits) if waits.ask else 0
        self._last_ask = waits.ask = max(self._last_ask + 1, draft.now.wall_ms)
        others = [other for other in self.waits.values() if other is not waits and other.owing]
        room = lease_keeper.room_to_take(draft)
        waits.room = max(room - sum(other.room for other in others), min(price, room))
        waits.moving |= waits.room < room  # what is promised may not come: ask again soon
        for hub in draft.site.peers:
            trust = passing.trust_room(draft, hub)
            free = trust - sum(other.room for other in others if hub in other.owing)
            asked = min(waits.room, max(free, min(price, trust)))
            draft.effect(ToPeer(hub, waits.ask, PeerAsk(account_id, draft.site.currency, asked)))
        names = list(draft.site.peers.values())
        waits.where = names[0] if len(names) == 1 else waits.where

    def _ask_office(self, draft: Draft, account_id: bytes, waits: Waiting) -> None:
        waits.office_from_ms = None
        if draft.now.boottime_ms >= self._office_from_ms:
            waits.office_asked_ms = draft.now.boottime_ms
            draft.effect(AskLease(account_id))

    # --------------------------------------------------------------------------------------------------- answering
    def heard_office(self, now_ms: int) -> None:
        """The office is there: it is worth waiting for."""
        self._office_from_ms, self._office_heard_ms = 0, now_ms

    def heard_neighbour(self, hub: bytes, now_ms: int) -> None:
        """A neighbour is there."""
        self._silent_ms.pop(hub, None)
        self._heard_ms[hub] = now_ms

    def office_answered(self, account_id: bytes) -> None:
        """A grant came, be it of nothing new."""
        waits = self.waits.get(account_id)
        if waits is not None:
            waits.office_asked_ms, waits.office_answered = None, True
            self._touched[account_id] = True

    def found_elsewhere(self, account_id: bytes, *, coming: bool) -> None:
        """The office has nothing: what there is comes from another hub, or lies where nobody hears of it."""
        waits = self.waits.get(account_id)
        if waits is None:
            return
        waits.coming = coming
        if not coming:
            waits.office_asked_ms = None
            self._touched.setdefault(account_id, False)

    def neighbour_answered(self, hub: bytes, account_id: bytes, ask: int, *, moving: bool = False) -> None:
        """A neighbour answered an ask; one that is not the latest says nothing about who still owes."""
        waits = self.waits.get(account_id)
        if waits is not None and waits.ask == ask:
            waits.owing.discard(hub)
            waits.moving |= moving
            self._touched.setdefault(account_id, False)

    def money_came(self, account_id: bytes, where: str) -> None:
        """Something arrived from a neighbour: what waits for it is decided again."""
        waits = self.waits.get(account_id)
        if waits is not None:
            waits.where = where
            self._touched[account_id] = True

    def settle(self, draft: Draft) -> None:
        """Behind all inputs of a step, for a price may need two purses: go on with what has been answered."""
        while self._touched:
            account_id, came = self._touched.popitem()
            waits = self.waits.get(account_id)
            if waits is None:
                continue
            if came:
                self._retry(draft, waits)
            if waits.taps and not waits.owing and waits.office_from_ms is not None:
                self._ask_office(draft, account_id, waits)
            self._conclude(draft, account_id, waits)
            if came and account_id in self.waits:
                for tap in waits.taps:
                    _show_fetching(draft, tap, waits.where)

    def _retry(self, draft: Draft, waits: Waiting) -> None:
        fresh = [_fresh(draft, tap, waits) for tap in waits.taps]
        waits.taps = [tap for tap in fresh if not taps.answer_tap(draft, tap, may_ask=True)]

    def _conclude(self, draft: Draft, account_id: bytes, waits: Waiting) -> None:
        if waits.taps and (waits.owing or waits.office_asked_ms is not None or waits.moving):
            if waits.moving and not waits.again_ms:
                waits.again_ms = draft.now.boottime_ms + AGAIN_MS
            return
        del self.waits[account_id]
        for tap in waits.taps:
            taps.answer_tap(draft, _fresh(draft, tap, waits), may_ask=False)

    def pass_time(self, draft: Draft) -> None:
        """Ask the office where neighbours are slow, ask again for what is moving, and decide what has no time left."""
        now_ms = draft.now.boottime_ms
        for account_id, waits in list(self.waits.items()):
            if any(tap.deadline_ms <= now_ms for tap in waits.taps):
                self._give_up(draft, account_id, waits)
                continue
            if waits.office_from_ms is not None and now_ms >= waits.office_from_ms:
                self._ask_office(draft, account_id, waits)
            if waits.again_ms and now_ms >= waits.again_ms:
                waits.again_ms, waits.moving = 0, False
                self._ask_neighbours(draft, account_id, waits)
                self._conclude(draft, account_id, waits)

    def _give_up(self, draft: Draft, account_id: bytes, waits: Waiting) -> None:
        """Decide the taps whose time is over with what is here; who was silent all the while is not waited for again.

        Who owes an answer and was heard is there: the office waits for another hub, a neighbour was asked just now. The
        taps whose own time is not over wait for him.
        """
        now_ms = draft.now.boottime_ms
        late = [tap for tap in waits.taps if tap.deadline_ms <= now_ms]
        waits.taps = [tap for tap in waits.taps if tap.deadline_ms > now_ms]
        unheard = waits.office_asked_ms is not None and self._office_heard_ms <= waits.office_asked_ms
        if unheard and not waits.coming:
            self._office_from_ms, waits.office_asked_ms = now_ms + PATIENCE_MS, None
        silent = {hub for hub in waits.owing if self._heard_ms.get(hub, 0) <= waits.since_ms}
        self._silent_ms |= dict.fromkeys(silent, now_ms + PATIENCE_MS)
        waits.owing, waits.in_vain = waits.owing - silent, True
        if not waits.taps:
            del self.waits[account_id]
        for tap in late:
            taps.answer_tap(draft, _fresh(draft, tap, waits), may_ask=False)
        if waits.taps:
            self._conclude(draft, account_id, waits)


def _price_of(draft: Draft, waits: Waiting) -> int:
    """Return what the waiting taps of an account cost together, of the currency."""
    quotes = (tap_facts.quote_of(draft, tap) for tap in waits.taps)
    prices = (money for quote in quotes if quote is not None for money in quote.price.price)
    return sum(money.minor for money in prices if money.unit == draft.site.currency)


def _fresh(draft: Draft, tap: Tap, waits: Waiting) -> Tap:
    return taps.with_fresh_row(draft, tap, office_answered=waits.office_answered or waits.coming)


def _show_fetching(draft: Draft, tap: Tap, where: str) -> None:
    """Tell the guest that his money is on its way, from where as far as that is known, and by when it is decided."""
    if tap.lane is None or tap.row is None:
        return
    until_ms = draft.now.wall_ms + max(tap.deadline_ms - draft.now.boottime_ms, 0)
    view = view_of(draft, tap.lane, "fetching", None)
    row = tap.row
    view = msgspec.structs.replace(
        view, where=where, until_ms=until_ms, masked_name=row.masked_name, language=row.language
    )
    draft.effect(Show(tap.lane.id, view))
