"""The end of a hub that will not come back, and the way back for one that was frozen: shown first, then done once."""

from collections import defaultdict
from collections.abc import Callable

import msgspec

from back_office.fleet.orders import order_close
from back_office.fleet.restored import heard_whole
from back_office.fleet.trust import keep_trust
from back_office.ledger.desk import Desk
from back_office.store import acts, grants, loose_ends, lots, papers, places
from back_office.store.acts import AuditLine
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey
from back_office.store.lots import PassKey, PassRow
from back_office.store.places import Hub
from payment_core.accounts import Kind
from payment_core.journal import (
    Entry,
    Header,
    Held,
    Increased,
    InDoubt,
    LeaseClosed,
    OpenSettled,
    Part,
    PassingReturned,
    decode_entry,
)
from payment_core.policy import Caps

Make = Callable[[Header], Entry]
_HUB_BYTES = 16
_NUMBER_BYTES = 8


class HubCost(msgspec.Struct, frozen=True, kw_only=True):
    """The most that closing a hub can cost, per unit in minor units.

    `leases`: what it may still have spent unheard; `open`: holds and doubts whose end nobody knows; `coming`: vouchers
    for it that it may have taken; `lanes`: coins at its machines that have not played; `brought_in` T_h: guests' money
    it may have taken in unheard; `floor` C_h.
    """

    hub: str
    leases: dict[str, int]
    open: dict[str, int]
    coming: dict[str, int]
    lanes: dict[str, int]
    brought_in: int
    floor: int


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


def cost(tx: Transaction, tenant_id: bytes, hub: Hub) -> HubCost:
    """Return the most that closing a hub can cost."""
    leases: dict[str, int] = defaultdict(int)
    opened: dict[str, int] = defaultdict(int)
    coming: dict[str, int] = defaultdict(int)
    lanes: dict[str, int] = defaultdict(int)
    for place, amount, _passed in _leases(tx, tenant_id, hub.hub_id):
        leases[place.unit] += amount
    for one in _open(tx, tenant_id, hub.hub_id):
        for part in one.parts:
            opened[part.unit] += part.amount
    for key, row in _coming(tx, tenant_id, hub.hub_id):
        coming[key.unit] += row.waiting
    for credit in loose_ends.balances(tx, tenant_id, Kind.COIN_CREDIT):
        if credit.scope_id == hub.hub_id:
            lanes[credit.unit] += max(-credit.amount, 0)
    document = papers.newest(tx, tenant_id, hub.hub_id, "risk")
    risk = Caps() if document is None else msgspec.json.decode(document.body, type=Caps)
    return HubCost(
        hub=hub.name, leases=dict(leases), open=dict(opened), coming=dict(coming), lanes=dict(lanes),
        brought_in=risk.top_up_cap, floor=risk.floor_per_hub,
    )  # fmt: skip


def close(desk: Desk, hub: Hub, *, by: str, note: str, captured: bool) -> Closed | None:
    """Close a hub for good; None where it was closed before. captured: what is open counts as delivered.

    What it held is the guests' again, at the venue's risk. What others took of it by its vouchers is theirs: that is
    settled in its stead. What it passed on beyond its leases stays open until it is heard.
    """
    if hub.closed_ms is not None:
        return None
    tx, tenant_id = desk.tx, desk.tenant_id
    leases = _leases(tx, tenant_id, hub.hub_id)
    vouchers = _coming(tx, tenant_id, hub.hub_id)
    opened = _open(tx, tenant_id, hub.hub_id)
    makes: list[Make] = [_lease_closed(place, amount, passed, by) for place, amount, passed in leases]
    makes += [_passing_returned(key, row, by) for key, row in vouchers]
    makes += [_open_settled(hub.hub_id, one, by=by, note=note, captured=captured) for one in opened]
    if makes:
        desk.append_all(makes)
    places.close(tx, tenant_id, hub.hub_id, now_ms=desk.now_ms)
    heard_whole(tx, tenant_id, hub.hub_id, now_ms=desk.now_ms)
    order_close(tx, tenant_id, hub, why=note, by=by, now_ms=desk.now_ms)  # in case it comes back
    keep_trust(tx, tenant_id, hub.venue_id, now_ms=desk.now_ms)
    acts.audit(tx, tenant_id, AuditLine(desk.now_ms, by, "hub closed", hub.hub_id, note))
    return Closed(len(leases), len(vouchers), len(opened))


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


def _leases(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[tuple[LeaseKey, int, int]]:
    """Return what each lease of a hub has left for its guest, and what other hubs took of it by vouchers unheard.

    A voucher that no lease covers whole holds back what there is: it is never given back twice.
    """
    gone: dict[tuple[bytes, str, bytes], list[int]] = defaultdict(list)
    for key, row in lots.ahead_of(hub_id, lots.passing(tx, tenant_id, open_only=True)):
        gone[row.account_id, key.unit, key.lot].append(-row.waiting)
    found: list[tuple[LeaseKey, int, int]] = []
    for place, lease in sorted(grants.leases_of_hub(tx, tenant_id, hub_id).items()):
        taken, left, passed = gone[place.account_id, place.unit, place.lot], lease.left, 0
        for one in tuple(taken):
            if one <= left - passed:
                passed += one
                taken.remove(one)
        kept = min(left - passed, sum(taken))
        if left > kept:
            found.append((place, left - passed - kept, passed))
    return found


def _coming(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[tuple[PassKey, PassRow]]:
    open_ones = lots.passing(tx, tenant_id, open_only=True)
    return [(key, row) for key, row in sorted(open_ones.items()) if key.to_hub == hub_id and row.waiting > 0]


def _open(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[_Open]:
    found: dict[bytes, _Open] = {}
    rows = [*loose_ends.holds(tx, tenant_id, hub_id)]
    rows += [row for row in loose_ends.doubts(tx, tenant_id) if row.hub_id == hub_id]
    for row in rows:
        entry = decode_entry(row.record)
        number = entry.header.authorization_id
        if number is None or not isinstance(entry, Held | InDoubt):
            continue
        parts = entry.parts if isinstance(entry, InDoubt) else (*entry.parts, *_increases(tx, tenant_id, row, number))
        machine = entry.header.machine or ""
        found[number] = _Open(number, entry.account_id, machine, isinstance(entry, InDoubt), parts)
    return list(found.values())


def _increases(tx: Transaction, tenant_id: bytes, row: loose_ends.LooseEntry, number: bytes) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = ()
    for record in loose_ends.records(tx, tenant_id, row.hub_id, number):
        entry = decode_entry(record)
        parts += entry.parts if isinstance(entry, Increased) else ()
    return parts


def _lease_closed(place: LeaseKey, amount: int, passed: int, by: str) -> Make:
    return lambda header: LeaseClosed(
        1, header, place.account_id, place.unit, place.hub_id, place.epoch, place.lot, amount, by, passed
    )


def _passing_returned(key: PassKey, row: PassRow, by: str) -> Make:
    epoch = int.from_bytes(key.pass_id[_HUB_BYTES : _HUB_BYTES + _NUMBER_BYTES], "big")
    seq = int.from_bytes(key.pass_id[_HUB_BYTES + _NUMBER_BYTES :], "big")
    part = Part(key.unit, row.waiting, None, key.lot)
    return lambda header: PassingReturned(1, header, row.account_id, (part,), row.from_hub, epoch, seq, by)


def _open_settled(hub_id: bytes, one: _Open, *, by: str, note: str, captured: bool) -> Make:
    def make(header: Header) -> Entry:
        named = msgspec.structs.replace(header, authorization_id=one.authorization_id)
        return OpenSettled(
            1, named, hub_id, one.authorization_id, one.account_id, one.parts, captured, one.in_doubt, one.machine, by,
            note,
        )  # fmt: skip

    return make
