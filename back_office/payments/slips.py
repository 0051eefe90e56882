"""Paid slips at the office: issued out of a purse, shown while outstanding, returned when no hub can have them."""

import msgspec

from back_office.ledger.desk import Desk
from back_office.ledger.slips_back import CLOCK_MARGIN_MS, return_slips, waits_for
from back_office.store import lots, papers, places, slips
from back_office.store.slips import SlipRow
from cloud_sync.protocol.slips import (
    MAX_SLIP_BYTES,
    VALID_MS,
    Slip,
    encode_slip,
    join_slip,
    signed_bytes,
    slip_text,
)
from cloud_sync.signing import Signer
from payment_core.journal import LotKind, Part, SlipIssued
from payment_core.lots import spend_order
from payment_core.policy import DevicesDocument

__all__ = ["CLOCK_MARGIN_MS", "SlipRefused", "SlipWish", "hub_of_lane", "issue_slip", "return_slips", "waits_for"]


class SlipWish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go onto a slip. account_id equal to slip_id: whoever holds it. lane: empty for any.

    hub_id: the one hub that takes it. None: any of the venue; two that are apart could then both take it, so hubs count
    such slips into their floors.
    """

    slip_id: bytes
    account_id: bytes
    unit: str
    amount: int
    lane: str = ""
    hub_id: bytes | None = None


class SlipRefused(msgspec.Struct, frozen=True):
    """No slip was issued; `why` says why not."""

    why: str


def issue_slip(desk: Desk, signer: Signer, wish: SlipWish) -> SlipRow | SlipRefused:
    """Put money of a purse onto a slip for the desk's venue. The same slip id again is answered.

    A slip holds one lot: it is the first in the order of spending that has enough, after what the guest owes was
    settled out of the purse.
    """
    known = slips.slip(desk.tx, desk.tenant_id, wish.slip_id)
    if known is not None:
        same = (wish.account_id, wish.unit, wish.amount, wish.lane, wish.hub_id)
        if same == (known.account_id, known.unit, known.amount, known.lane, known.hub_id):
            return known
        return SlipRefused(f"slip {wish.slip_id.hex()} is known with {known.amount} {known.unit}")
    if wish.amount < 1:
        return SlipRefused(f"{wish.amount} {wish.unit} is nothing to put on a slip")
    if desk.learning and wish.account_id != wish.slip_id:  # whoever pays for a play at once has nothing elsewhere
        return SlipRefused("the books were restored from a backup: no slip before every hub was heard")
    desk.settle_debt(wish.account_id, wish.unit)
    held = {
        key.lot: row
        for key, row in lots.live_lots(desk.tx, desk.tenant_id, {wish.account_id: ()}).items()
        if key.unit == wish.unit and key.lot
    }
    shares = [row.share(lot) for lot, row in held.items()]
    fits = [share for share in spend_order(shares, "paid_first", now_ms=desk.now_ms) if share.amount >= wish.amount]
    if not fits:
        most = max((share.amount for share in shares), default=0)
        return SlipRefused(f"no top-up in the purse has {wish.amount} {wish.unit} left; the most is {most}")
    row = held[fits[0].lot]
    slip = Slip(
        tenant_id=desk.tenant_id,
        venue_id=desk.venue.venue_id,
        hub_id=wish.hub_id,
        slip_id=wish.slip_id,
        account_id=None if wish.account_id == wish.slip_id else wish.account_id,
        unit=wish.unit,
        amount=wish.amount,
        lane=wish.lane,
        valid_until_ms=desk.now_ms + VALID_MS,
        lot_id=fits[0].lot,
        lot_kind=LotKind(row.kind),
        lot_opened_ms=row.opened_ms,
        lot_expires_ms=row.expires_ms,
        lot_terms=row.terms,
    )
    return _sign_and_book(desk, signer, slip)


def _sign_and_book(desk: Desk, signer: Signer, slip: Slip) -> SlipRow | SlipRefused:
    message = encode_slip(slip)
    data = join_slip(message, signer.sign(signed_bytes(message)))
    if len(data) > MAX_SLIP_BYTES:
        return SlipRefused(f"the slip would have {len(data)} bytes, and no code holds more than {MAX_SLIP_BYTES}")
    parts = (Part(slip.unit, slip.amount, None, slip.lot_id),)
    desk.append(
        lambda header: SlipIssued(1, header, slip.account, parts, slip.slip_id, slip.venue_id, slip.valid_until_ms)
    )
    row = SlipRow(
        slip_id=slip.slip_id,
        venue_id=slip.venue_id,
        hub_id=slip.hub_id,
        account_id=slip.account,
        unit=slip.unit,
        amount=slip.amount,
        lot=slip.lot_id,
        lane=slip.lane,
        issued_ms=desk.now_ms,
        valid_until_ms=slip.valid_until_ms,
        text=slip_text(data),
    )
    slips.add_slip(desk.tx, desk.tenant_id, row)
    return row


def hub_of_lane(desk: Desk, lane: str) -> bytes | None:
    """Return the hub of the desk's venue that has this lane; None where none or several do."""
    found = [
        hub.hub_id
        for hub in places.hubs(desk.tx, desk.tenant_id)
        if hub.venue_id == desk.venue.venue_id and hub.closed_ms is None
        if (kept := papers.newest(desk.tx, desk.tenant_id, hub.hub_id, "devices")) is not None
        if any(known.id == lane for known in msgspec.json.decode(kept.body, type=DevicesDocument).lanes)
    ]
    return found[0] if len(found) == 1 else None
