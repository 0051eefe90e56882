"""The end of a hub that will not come back, and the way back for one that was frozen: shown first, then done once."""

from collections import defaultdict

import msgspec

from back_office.fleet.bound import terms_at
from back_office.fleet.orders import order_close
from back_office.fleet.restored import heard_whole
from back_office.fleet.trust import keep_trust
from back_office.ledger.desk import Desk
from back_office.ledger.left_behind import (
    Apart,
    Coming,
    Doubt,
    Make,
    given_by,
    left_behind,
    passing_returned,
    unreachable,
)
from back_office.ledger.open_plays import OpenPlay, open_plays
from back_office.ledger.slips_back import may_have, return_slips
from back_office.store import acts, loose_ends, papers, places, slips
from back_office.store.acts import AuditLine
from back_office.store.engine import Transaction
from back_office.store.places import Hub
from payment_core.accounts import Kind
from payment_core.exposure import HubTerms
from payment_core.journal import (
    Entry,
    Header,
    InDoubt,
    OpenSettled,
    Part,
)
from payment_core.lots import tax_within
from payment_core.pricing import Tax


class HubCost(msgspec.Struct, frozen=True, kw_only=True):
    """The most that closing a hub can cost, per unit in minor units.

    `leases`: what it may still have spent unheard; `open`: holds and doubts whose end nobody knows; `coming`: vouchers
    for it that it may have taken; `slips`: those that it may have taken, or still may; `lanes`: coins at its machines
    that have not played; `brought_in` T_h: guests' money it may have taken in unheard; `floor` C_h; `doubt` D_h, per
    day that it was not heard. Of each cap the highest that the hub was ever sent, for a dead hub may not have had the
    newest. Of a hub that is closed: what was left there since, and nothing that was shown before.
    """

    hub: str
    leases: dict[str, int]
    open: dict[str, int]
    coming: dict[str, int]
    slips: dict[str, int]
    lanes: dict[str, int]
    brought_in: int
    floor: int
    doubt: int

    @property
    def left(self) -> bool:
        """Whether anything lies there, or may."""
        return any(amount for sums in (self.leases, self.open, self.coming) for amount in sums.values())


class Closed(msgspec.Struct, frozen=True):
    """The hub is closed: so many leases, vouchers and open authorizations were settled."""

    leases: int
    vouchers: int
    authorizations: int


class _Open(msgspec.Struct):
    authorization_id: bytes
    account_id: bytes | None
    machine: str
    in_doubt: bool
    parts: tuple[Part, ...]
    tax_code: str | None
    taxed: tuple[Part, ...]


def cost(tx: Transaction, tenant_id: bytes, hub: Hub) -> HubCost:
    """Return the most that closing a hub can cost."""
    leases: dict[str, int] = defaultdict(int)
    opened: dict[str, int] = defaultdict(int)
    coming: dict[str, int] = defaultdict(int)
    by_slip: dict[str, int] = defaultdict(int)
    lanes: dict[str, int] = defaultdict(int)
    found = left_behind(tx, tenant_id, hub.hub_id)
    for left in found.leases:
        leases[left.place.unit] += left.back
    for one in open_plays(tx, tenant_id, hub.hub_id):
        for part in found.split(one.entry.account_id, one.parts)[0]:
            opened[part.unit] += part.amount
    for one_way in (*found.coming, *found.unclear, *_given_up(tx, tenant_id, hub)):
        coming[one_way.way.unit] += one_way.back
    for slip in slips.outstanding(tx, tenant_id):
        if any(may.hub_id == hub.hub_id for may in may_have(tx, tenant_id, slip)):
            whole = (Part(slip.unit, slip.amount, 1, slip.lot),)
            by_slip[slip.unit] += sum(part.amount for part in found.split(slip.account_id, whole)[0])
    for credit in loose_ends.balances(tx, tenant_id, Kind.COIN_CREDIT):
        if credit.scope_id == hub.hub_id:
            lanes[credit.unit] += max(-credit.amount, 0)
    terms = terms_at(tx, tenant_id, hub) if hub.closed_ms is None else HubTerms(hub.name, 0, 0, 0, 0)
    return HubCost(
        hub=hub.name, leases=dict(leases), open=dict(opened), coming=dict(coming), slips=dict(by_slip),
        lanes=dict(lanes), brought_in=terms.brought_in, floor=terms.floor, doubt=terms.doubt,
    )  # fmt: skip


def close(desk: Desk, hub: Hub, *, by: str, note: str, captured: bool) -> Closed | None:
    """Close a hub for good. captured: what is open counts as delivered.

    What it held is the guests' again, at the venue's risk. What others took of it by its vouchers is theirs: that is
    settled in its stead. What it passed on beyond all that the office knows of stays open until more is heard, and so
    do vouchers of which nobody can say whether it took them.

    Of a hub that was closed before this settles what is left there since, and decides what stayed open: captured, it
    had taken it; else it is the guests'. None where nothing was left.
    """
    tx, tenant_id = desk.tx, desk.tenant_id
    again = hub.closed_ms is not None
    doubt: Doubt = ("venue" if captured else "guest") if again else "open"
    found = left_behind(tx, tenant_id, hub.hub_id, doubt=doubt)
    opened = [_opened(tx, tenant_id, hub.hub_id, one) for one in open_plays(tx, tenant_id, hub.hub_id)]
    given = _given_up(tx, tenant_id, hub)
    makes = [*found.makes(by), *(passing_returned(one, by) for one in given)]
    for one in opened:
        apart = (one.parts, ()) if captured else found.split(one.account_id, one.parts)
        makes.append(_open_settled(hub.hub_id, one, apart, by=by, note=note, captured=captured))
    if makes:
        desk.append_all(makes)
    decided = return_slips(desk, doubt=doubt) if again else []
    if again and not (makes or decided):
        return None
    if not again:
        places.close(tx, tenant_id, hub.hub_id, now_ms=desk.now_ms)
        heard_whole(tx, tenant_id, hub.hub_id, now_ms=desk.now_ms)
        order_close(tx, tenant_id, hub, why=note, by=by, now_ms=desk.now_ms)  # in case it comes back
        keep_trust(tx, tenant_id, hub.venue_id, now_ms=desk.now_ms)
    what = "what was left at a closed hub settled" if again else "hub closed"
    acts.audit(tx, tenant_id, AuditLine(desk.now_ms, by, what, hub.hub_id, note))
    return Closed(len(found.leases), len(found.coming) + len(given), len(opened))


def reopen(tx: Transaction, tenant_id: bytes, hub: Hub, *, by: str, note: str, now_ms: int) -> str:
    """Take from a frozen hub again, in the epoch it has or a new one; return why not, or nothing."""
    if hub.closed_ms is not None:
        return f"hub {hub.name} is closed for good: enroll the machine as a new hub"
    if not hub.frozen:
        return f"hub {hub.name} is not frozen"
    places.reopen(tx, tenant_id, hub.hub_id, allowed_epoch=max(hub.allowed_epoch, hub.epoch + 1))
    keep_trust(tx, tenant_id, hub.venue_id, now_ms=now_ms)
    acts.audit(tx, tenant_id, AuditLine(now_ms, by, f"hub reopened, it was frozen: {hub.frozen}", hub.hub_id, note))
    return ""


# ---- inside ----


def _given_up(tx: Transaction, tenant_id: bytes, hub: Hub) -> list[Coming]:
    """Return what a hub passed on that can never be taken.

    The taker has told of the same number with another content; or it has said since this hub was closed that it holds
    nothing the office does not know, and takes nothing more that a closed hub signed.
    """
    closed_ms = hub.closed_ms
    given = given_by(tx, tenant_id, hub.hub_id)
    if not given:
        return []
    clear = slips.clear_ms(tx, tenant_id) if closed_ms is not None else {}
    gave_up = {
        way.to_hub: hub.hub_id for way, _ in given if closed_ms is not None and clear.get(way.to_hub, 0) > closed_ms
    }
    return unreachable(tx, tenant_id, {way.pass_id for way, _ in given}, gave_up=gave_up)


def _opened(tx: Transaction, tenant_id: bytes, hub_id: bytes, one: OpenPlay) -> _Open:
    header = one.entry.header
    taxed = _taxed(tx, tenant_id, hub_id, header, one.parts)
    in_doubt = isinstance(one.entry, InDoubt)
    return _Open(
        one.authorization_id, one.entry.account_id, header.machine or "", in_doubt, one.parts, header.tax_code, taxed
    )


class _Taxes(msgspec.Struct):
    unit: str
    taxes: dict[str, Tax] = {}


def _taxed(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, header: Header, parts: tuple[Part, ...]
) -> tuple[Part, ...]:
    """Return the tax in what was put aside, by the price list that its hold names."""
    if header.tax_code is None:
        return ()
    lists = papers.versions(tx, tenant_id, hub_id, "prices")
    body = next((one.body for one in lists if one.version == header.price_list_version), None)
    if body is None:
        return ()
    prices = msgspec.json.decode(body, type=_Taxes)
    return tax_within(parts, unit=prices.unit, tax=prices.taxes.get(header.tax_code))


def _open_settled(hub_id: bytes, one: _Open, parts: Apart, *, by: str, note: str, captured: bool) -> Make:
    back, onward = parts

    def make(header: Header) -> Entry:
        named = msgspec.structs.replace(header, authorization_id=one.authorization_id, tax_code=one.tax_code)
        return OpenSettled(
            1, named, hub_id, one.authorization_id, one.account_id, back, captured, one.in_doubt, one.machine, by,
            note, one.taxed if captured else (), onward,
        )  # fmt: skip

    return make
