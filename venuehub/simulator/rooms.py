"""Holds that no machine is told of yet, as rooms and orders need them: put aside, increased, given up, or lapsed.

The till has every function for them and no room yet to call them; here the simulator is that room.
"""

import msgspec

from edge_agent.ledger import leases
from edge_agent.ledger.authorizations import AuthorizationRow
from edge_agent.messages import Input
from edge_agent.play import plays
from edge_agent.step.draft import Draft, Spot
from edge_agent.till import Till
from payment_core.authorization import OPEN, State
from payment_core.journal import Actor, Captured, Cause, Held, Part, Tender
from payment_core.lease import Lease


class Put(msgspec.Struct, frozen=True):
    """Put `amount` of the currency aside for an account at a lane; nobody is told."""

    account_id: bytes
    lane: str
    amount: int


class More(msgspec.Struct, frozen=True):
    """Put `amount` more aside under the newest authorization of an account that is open."""

    account_id: bytes
    amount: int


class Forge(msgspec.Struct, frozen=True):
    """Write a play into the journal that no lease pays for: only a thief's hub does that."""

    account_id: bytes
    lane: str
    amount: int


Offered = Input | Put | More | Forge
"""What a simulated hub's till takes."""


class RoomTill(Till):
    """The till, with a room that asks it for holds."""

    def _take(self, draft: Draft, fact: Offered) -> None:
        match fact:
            case Put():
                put_aside(draft, fact)
            case More():
                put_more(draft, fact)
            case Forge():
                forge(draft, fact)
            case _:
                super()._take(draft, fact)


def put_aside(draft: Draft, fact: Put) -> None:
    """Write HELD alone."""
    lane = draft.site.lanes.get(fact.lane)
    parts = _spend(draft, fact.account_id, fact.amount)
    if lane is None or not parts:
        return
    spot = Spot(Actor.GUEST, Tender.PURSE, lane, draft.new_id())
    header = draft.header(spot)
    held = Held(
        1, header, parts, fact.account_id, None, None, lane.output, draft.site.epoch, header.seq,
        draft.now.wall_ms + draft.site.risk.hold_ms,
    )  # fmt: skip
    draft.journal(held)
    assert spot.authorization_id is not None
    draft.begin(
        AuthorizationRow(
            spot.authorization_id, State.HELD, held.reader, held.event_epoch, held.event_seq, draft.now.wall_ms,
            header.seq,
        )
    )  # fmt: skip


def forge(draft: Draft, fact: Forge) -> None:
    """Write HELD and CAPTURED over a part of a lease that is not there."""
    rows = [row.lease for row in leases.of_account(draft.store, fact.account_id)]
    place = rows[0] if rows else Lease(fact.account_id, "CNY", draft.site.epoch)
    parts = (Part(place.unit, fact.amount, place.epoch, place.lot),)
    lane = draft.site.lanes.get(fact.lane)
    spot = Spot(Actor.GUEST, Tender.PURSE, lane, draft.new_id())
    header = draft.header(spot)
    draft.journal(
        Held(
            1, header, parts, fact.account_id, None, None, "forged", draft.site.epoch, header.seq, draft.now.wall_ms
        )
    )
    draft.journal(Captured(1, draft.header(spot), parts, fact.account_id, Cause.DEVICE))


def put_more(draft: Draft, fact: More) -> None:
    """Increase what is open."""
    mine = [row for row in draft.open_ones() if row.account_id == fact.account_id and row.state in OPEN]
    mine = [row for row in mine if row.state is not State.IN_DOUBT]
    if not mine:
        return
    parts = _spend(draft, fact.account_id, fact.amount)
    if parts:
        plays.increase(draft, mine[-1], parts)


def _spend(draft: Draft, account_id: bytes, amount: int) -> tuple[Part, ...]:
    """Spend from one lease that has it all, or from none."""
    for row in leases.of_account(draft.store, account_id):
        if row.lease.unit == draft.site.currency and row.lease.allowance >= amount:
            leases.commit_part(draft.store, row, amount, now_ms=draft.now.wall_ms, used=None)
            return (Part(row.lease.unit, amount, row.lease.epoch, row.lease.lot),)
    return ()
