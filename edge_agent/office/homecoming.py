"""What goes back to the office by itself: idle leases, all at closing, what is recalled, and at the epoch's end.

A hub gives; nobody takes. So nothing here happens while the office cannot be reached, but for the end of an epoch.
"""

from sys import maxsize
from typing import Final

import msgspec

from edge_agent.lan.parking import Parking
from edge_agent.ledger import epoch_state, lane_credit, leases, marks, vouchers
from edge_agent.messages import CloseOrdered, FromDevice, Input, Log, Show
from edge_agent.staff_messages import Reply, StaffActed
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.views import view_of
from edge_agent.takings.lease_keeper import give_back, shed
from payment_core.desk import DeskReply
from payment_core.hub_epoch import EPOCH_TABLE, EpochState, EpochStep
from payment_core.identifiers import uuid_text
from payment_core.journal import Actor, EpochClosed, Part, Tender
from payment_core.price_calendar import DAY_MINUTES

LOOK_MS: Final = 1_000
"""How often a slice of the leases is looked at."""
SLICE: Final = 500
"""Rows of one look: a hub with 100,000 leases has gone through them in a few minutes, a millisecond at a time."""
CLOSING_MS: Final = 4 * 3_600_000
"""How long what a closing began waits for the office; after that the guests of the next day are here."""
_START: Final[leases.Place] = (b"", "", 0, b"")
"""Before every lease."""
_ORDERED: Final = "close_order"
"""Under this the ledger keeps why and by whom an epoch ends."""
NAMED: Final = 256
"""Sums of the last record at most: units come from neighbours too, and it must fit a batch."""
AT_ONCE: Final = 64
"""Accounts returned in one commit."""


class Homecoming:
    """Walks through the leases again and again. Volatile: after a restart it begins anew."""

    def __init__(self, parking: Parking, *, risk_version: int) -> None:
        """`risk_version`: of the document whose caps the last run kept: that need not be looked at before a tap."""
        self._parking = parking
        self._next_ms = 0
        self._after = _START
        self._minute: int | None = None
        self._closes_until_ms: int | None = None
        """While all goes back (boottime): until one walk that began at the closing minute has come to its end."""
        self._risk_version = risk_version
        self._shed_ms: int | None = None
        """When what a restart interrupted goes on (boottime)."""

    def pass_time(self, draft: Draft) -> None:
        """Return what is due; called at the end of every step, and nearly always done at once."""
        site, now = draft.site, draft.now
        if self._shed_ms is None:
            self._shed_ms = now.boottime_ms + LOOK_MS
        if site.risk.version != self._risk_version or now.boottime_ms >= self._shed_ms:
            self._risk_version, self._shed_ms = site.risk.version, maxsize
            shed(draft)
        if site.epoch_state is EpochState.CLOSING and not len(self._parking):
            _close(draft)
        if site.frozen or now.boottime_ms < self._next_ms:
            return
        self._next_ms = now.boottime_ms + LOOK_MS
        self._follow_the_day(draft)
        if site.office_up:
            self._walk(draft)

    def _follow_the_day(self, draft: Draft) -> None:
        """Notice the closing minute when it passes: all that lies here then goes back, and nothing that comes later."""
        local, closing = draft.now.local, draft.site.risk.closing_minute
        if self._closes_until_ms is not None and draft.now.boottime_ms >= self._closes_until_ms:
            self._closes_until_ms = None
        if local is None or closing is None:
            self._minute = None
            return
        before, self._minute = self._minute, local.minute
        if before is not None and _passed(closing, before, local.minute):
            self._closes_until_ms, self._after = draft.now.boottime_ms + CLOSING_MS, _START

    def _walk(self, draft: Draft) -> None:
        rows = leases.behind(draft.store, self._after, limit=SLICE)
        closing = self._closes_until_ms is not None
        limit_ms = None if draft.known_ms is None else draft.known_ms - draft.site.risk.idle_return_ms
        due = dict.fromkeys(
            place[0] for place, left, touched_ms in rows
            if left and (closing or (limit_ms is not None and touched_ms <= limit_ms))
        )  # fmt: skip
        done = 0
        for account in due:
            if done == AT_ONCE:
                break
            if not self._parking.waits_for(account) and (closing or _is_idle(draft, account, limit_ms)):
                done += 1
                give_back(draft, account, "closing" if closing else "idle")
        else:
            self._after = rows[-1][0] if len(rows) == SLICE else _START
            if self._after == _START:
                self._closes_until_ms = None


def _passed(minute: int, before: int, now: int) -> bool:
    """Say whether a minute of the day came since `before`; more than half a day forward is a clock that went back."""
    gone = (now - before) % DAY_MINUTES
    return (minute - before - 1) % DAY_MINUTES < gone <= DAY_MINUTES // 2


def _is_idle(draft: Draft, account: bytes, limit_ms: int | None) -> bool:
    return limit_ms is not None and not leases.touched_since(draft.store, account, limit_ms)


def turn_away(draft: Draft, fact: Input) -> None:
    """Say at the lane or desk that this hub is closed; nothing is written behind the last record of its epoch."""
    lane = draft.site.lane_of_device.get(fact.device) if isinstance(fact, FromDevice) else None
    if lane is not None:
        draft.effect(Show(lane.id, view_of(draft, lane, "declined", None, reason="hub_closed")))
    elif isinstance(fact, StaffActed):
        refused = DeskReply(uuid_text(fact.request_id), "refused", "hub_closed")
        draft.effect(Reply(fact.terminal, refused))


def recall(draft: Draft, account_id: bytes) -> None:
    """Give back what the office wants: all of it that no play holds."""
    if not draft.site.frozen:
        give_back(draft, account_id, "recall")


class _Order(msgspec.Struct, frozen=True, array_like=True):
    why: str
    staff: str


def order_close(draft: Draft, fact: CloseOrdered) -> None:
    """Begin to end this epoch: no new sale from here on, also after a restart."""
    site = draft.site
    if fact.epoch != site.epoch or EPOCH_TABLE[site.epoch_state, EpochStep.ORDER] is None:
        draft.effect(Log("close.ignored", {"epoch": fact.epoch}))
        return
    order = msgspec.msgpack.encode(_Order(fact.why, fact.staff))
    marks.write(draft.store, _ORDERED, order)
    _take_step(draft, EpochStep.ORDER)


def _take_step(draft: Draft, step: EpochStep) -> None:
    draft.site.epoch_state = epoch_state.take(draft.store, draft.site.epoch_state, step)
    draft.effect(Log("till.frozen", {"reason": draft.site.epoch_state.value}))


def _close(draft: Draft) -> None:
    """Go on with an end that was begun: once nothing is open, everything goes back, and then the last record."""
    if draft.open_ones():
        return
    accounts = leases.owners(draft.store, limit=AT_ONCE)
    for account_id in accounts:
        give_back(draft, account_id, "hub_closed")
    if len(accounts) == AT_ONCE:
        return
    ordered = marks.read_bytes(draft.store, _ORDERED)
    assert ordered is not None
    order = msgspec.msgpack.decode(ordered, type=_Order)
    header = draft.header(Spot(Actor.HUB, Tender.NONE))
    store = draft.store
    at_lanes, won = (_named(sums) for sums in lane_credit.sums(store))
    untaken = _named(vouchers.untaken_sums(store))
    draft.journal(EpochClosed(1, header, draft.site.epoch, order.why, order.staff, at_lanes, won, untaken))
    leases.close_all(store)
    draft.flush()  # the database takes no entry behind the step
    _take_step(draft, EpochStep.SIGN)


def _named(sums: dict[str, int]) -> tuple[Part, ...]:
    greatest = sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:NAMED]
    return tuple(Part(unit, amount) for unit, amount in greatest if amount)
