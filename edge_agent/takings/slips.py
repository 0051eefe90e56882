"""Paid slips at the hub: proven by the office's keys, taken once, also while nobody can be asked.

A slip of an account becomes that account's lease. A slip for one lane is one play: taken and held in the same commit,
and what the machine does not give goes back to the office at once, and from there to the guest by itself.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from cloud_sync.protocol.slips import NoSlip, Slip, judge_slip, read_slip, signed_bytes
from cloud_sync.signing import verify
from edge_agent.ledger import leases, since_receipt, slips_taken
from edge_agent.ledger.leases import LeasePlace
from edge_agent.messages import FromDevice, Log, Show
from edge_agent.play.plays import hold_and_command
from edge_agent.slip_messages import SlipShown
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.quotes import Quote
from edge_agent.step.views import view_of
from edge_agent.takings import lease_keeper
from payment_core.events import CodeScanned
from payment_core.identifiers import uuid_text
from payment_core.journal import Actor, Captured, Expired, Held, Part, SlipTaken, Tender, Voided
from payment_core.lease import LeaseStep
from payment_core.money import Money
from payment_core.policy import Lane

_ENDS: Final = (Voided, Expired, Captured)
UNDELIVERED: Final = "undelivered"
"""Why the money of a play that was not given is returned."""


UNREADABLE: Final = "slip_unreadable"
"""What a page says of a code that is no slip; the log has the reason."""


class Refused(msgspec.Struct, frozen=True):
    """A slip was not taken, and the guest keeps it; `reason` is what the page says."""

    reason: str


def prove(text: str, *, lane: str | None, office_keys: Iterable[bytes]) -> SlipShown | Refused:
    """Return the slip in what a scanner read, once one of the keys of the hub's own office has signed it."""
    found = read_slip(text)
    if isinstance(found, NoSlip):
        return Refused(found.reason)
    claim = signed_bytes(found.message)
    if not any(verify(public, found.signature, claim) for public in office_keys):
        return Refused("slip_signature")
    return SlipShown(found.slip, lane)


def on_code(draft: Draft, fact: FromDevice, body: CodeScanned) -> None:
    """Take a code that a scanner read just now, where it is a slip."""
    lane = draft.site.lane_of_device.get(fact.device)
    shown = prove(body.text, lane=lane.id if lane else None, office_keys=draft.site.office_keys)
    if isinstance(shown, SlipShown):
        take(draft, shown)
        return
    draft.effect(Log("slip.refused", {"scanner": fact.device, "reason": shown.reason}))
    if lane is not None:
        reason = shown.reason if shown.reason == "slip_signature" else UNREADABLE
        draft.effect(Show(lane.id, view_of(draft, lane, "declined", None, reason=reason)))


def take(draft: Draft, fact: SlipShown) -> Refused | None:
    """Take a proven slip, or say why not; a slip for a lane plays there in the same commit."""
    slip = fact.slip
    lane = draft.site.lanes.get(fact.lane) if fact.lane else None
    play = _play_for(draft, slip, lane) if slip.lane else None
    refused = _may_not(draft, slip, fact.lane) or (play if isinstance(play, Refused) else None)
    if refused is not None:
        draft.effect(Log("slip.refused", {"slip": uuid_text(slip.slip_id), "reason": refused.reason}))
        if lane is not None:
            cost = Money(slip.amount, slip.unit)
            draft.effect(Show(lane.id, view_of(draft, lane, "declined", cost, reason=refused.reason)))
        return refused
    _book(draft, slip, lane)
    if isinstance(play, Quote):
        assert lane is not None
        _hold(draft, slip, lane, play)
    return None


def give_back_unplayed(draft: Draft) -> None:
    """Behind all inputs of a step: return what of a slip's play came back, for nobody has a card to spend it with."""
    for entry in list(draft.watched):
        if not isinstance(entry, _ENDS) or (isinstance(entry, Captured) and not entry.released):
            continue
        if entry.account_id is not None and slips_taken.is_taken(draft.store, entry.account_id):
            lease_keeper.give_back(draft, entry.account_id, UNDELIVERED)


def _may_not(draft: Draft, slip: Slip, lane: str | None) -> Refused | None:
    site, now = draft.site, draft.now
    if site.frozen:
        return Refused("hub_closed")
    used = {slip.slip_id} if slips_taken.is_taken(draft.store, slip.slip_id) else frozenset[bytes]()
    why = judge_slip(
        slip, venue_id=site.venue_id, hub_id=site.hub_id, lane=lane, now_ms=now.wall_ms, quality=now.quality,
        used=used,
    )  # fmt: skip
    if why is not None:
        return Refused(why)
    return None if _is_covered(draft, slip) else Refused("offline_limit")


def _may_be_taken_twice(draft: Draft, slip: Slip) -> bool:
    """Say whether another hub of the venue, which we may not hear now, could take this very slip too."""
    return slip.hub_id is None and bool(draft.site.peers)


def _is_covered(draft: Draft, slip: Slip) -> bool:
    """Say whether the venue stands for this slip: there is room under X_h, also for what was spent here unheard.

    What two hubs apart could both take counts into the floor (C_h) too.
    """
    if slip.unit == draft.site.currency and slip.amount > lease_keeper.room_to_take(draft):
        return False
    if not _may_be_taken_twice(draft, slip):
        return True
    at_risk = since_receipt.on_floor(draft.store).amount
    return slip.unit == draft.site.currency and at_risk + slip.amount <= draft.site.risk.floor_per_hub


def _play_for(draft: Draft, slip: Slip, lane: Lane | None) -> Quote | Refused:
    """Return what the play costs now; nothing is taken for a machine that cannot give it."""
    if lane is None:
        return Refused("slip_lane")
    quote = draft.site.quote(lane, draft.now.local)
    if quote is None or quote.price.asks:
        return Refused("no_price")
    if not draft.site.ready(lane.output):
        return Refused("machine_off")
    cost = quote.price.in_unit(slip.unit)
    return quote if 0 < cost <= slip.amount else Refused("not_enough")


def _book(draft: Draft, slip: Slip, lane: Lane | None) -> None:
    draft.flush()  # a slip shown twice in one step is looked up in the table
    epoch, lot = draft.site.epoch, slip.lot
    header = draft.header(Spot(Actor.GUEST, Tender.PAYMENT_ORDER, lane))
    parts = (Part(slip.unit, slip.amount, epoch, lot.lot),)
    draft.journal(SlipTaken(1, header, slip.account, parts, slip.slip_id, (lot,)))
    slips_taken.remember(draft.store, slip.slip_id, header.seq)
    if _may_be_taken_twice(draft, slip):
        since_receipt.note(draft.store, slip.slip_id, slip.amount, seq=header.seq)
    place = LeasePlace(slip.account, slip.unit, epoch, lot)
    leases.add_to(draft.store, place, slip.amount, LeaseStep.TAKE, now_ms=draft.now.wall_ms)
    draft.effect(Log("slip.taken", {"slip": uuid_text(slip.slip_id), "amount": slip.amount, "unit": slip.unit}))


def _hold(draft: Draft, slip: Slip, lane: Lane, quote: Quote) -> None:
    """Hold the play's price out of the slip's own lease. Its event is the journal entry itself, as a coin's is."""
    price, now = quote.price, draft.now
    part = Part(slip.unit, price.in_unit(slip.unit), draft.site.epoch, slip.lot_id)
    row = next(row for row in leases.live(draft.store, slip.account) if row.lease.lot == slip.lot_id)
    leases.commit_part(draft.store, row, part.amount, now_ms=now.wall_ms)
    spot = Spot(Actor.GUEST, Tender.PAYMENT_ORDER, lane, draft.new_id(), price.tax_code or None, stamp=quote.stamp)
    header = draft.header(spot)
    expires_ms = now.wall_ms + draft.site.risk.hold_ms
    held = Held(1, header, (part,), slip.account, None, None, lane.output, draft.site.epoch, header.seq, expires_ms)
    hold_and_command(draft, held, spot, credits=price.credits)
    draft.effect(Show(lane.id, view_of(draft, lane, "held", Money(part.amount, slip.unit))))
