"""Money that a batch or a hello sets free: given to hubs that are closed, signed under one number twice, left behind.

A hub that a person has closed may say later what it took in, gave back, or took of others: from its own safe mode, or
because it was not so dead. Batch by batch nobody knows what became of that, so nothing of it moves before the hub says
that it holds nothing back. Then what is left goes home by itself, as far as the hub can be believed.
"""

from collections import defaultdict
from collections.abc import Sequence

from back_office.ledger.caps import highest_top_up_cap
from back_office.ledger.desk import Desk
from back_office.ledger.findings import Finding
from back_office.ledger.left_behind import OFFICE, LeftBehind, left_behind, passing_returned, unreachable
from back_office.ledger.slips_back import return_slips
from back_office.store import chains, places, slips
from back_office.store.engine import Transaction
from back_office.store.lots import pass_id
from back_office.store.places import Hub
from payment_core.journal import BroughtIn, Entry, LeasePassed, Refunded, VoucherTaken, decode_entry

_OWN_WORD = (BroughtIn, Refunded)
"""What puts money into a closed hub's leases by its word alone."""


def settle_passed(desk: Desk, hub: Hub, epoch: int, entries: Sequence[Entry]) -> None:
    """Settle at once what no hub will ever take of what a batch passed on: nobody else ever will.

    What was passed on to hubs that were closed meanwhile; and what its taker can never take, because it has told of the
    same number with another content.
    """
    named = {entry.to_hub for entry in entries if isinstance(entry, LeasePassed)}
    ids = {pass_id(hub.hub_id, epoch, entry.header.seq) for entry in entries if isinstance(entry, LeasePassed)}
    ids |= {pass_id(e.from_hub, e.from_epoch, e.from_seq) for e in entries if isinstance(e, VoucherTaken)}
    for other in places.hubs_by_id(desk.tx, desk.tenant_id, sorted(named)).values() if named else ():
        if other.closed_ms is not None:
            coming = left_behind(desk.tx, desk.tenant_id, other.hub_id).coming
            _append(desk, LeftBehind([], coming, {}))
    stuck = unreachable(desk.tx, desk.tenant_id, ids) if ids else []
    if stuck:
        desk.append_all([passing_returned(one, OFFICE) for one in stuck])


def told_whole(desk: Desk, hub: Hub, *, said_ms: int) -> None:
    """Hear that a hub holds nothing back: what only waited for that goes home.

    Slips that no hub can have taken; and of a hub that is closed what is left of what it said since, where by its own
    word alone that is no more than was shown as the cost of closing it. Beyond that a person looks first.
    """
    slips.note_clear(desk.tx, desk.tenant_id, hub.hub_id, now_ms=said_ms)
    if hub.closed_ms is not None and not _beyond_belief(desk.tx, desk.tenant_id, hub):
        _append(desk, left_behind(desk.tx, desk.tenant_id, hub.hub_id))
    return_slips(desk)


def late_beyond(tx: Transaction, tenant_id: bytes, hub: Hub, entries: Sequence[Entry]) -> list[Finding]:
    """Return whether a closed hub's batch says of what it took in or gave back more than anybody could foresee."""
    if hub.closed_ms is None or not any(isinstance(entry, _OWN_WORD) for entry in entries):
        return []
    why = _beyond_belief(tx, tenant_id, hub)
    return [Finding("late", why)] if why else []


# ---- inside ----


def _append(desk: Desk, found: LeftBehind) -> None:
    makes = found.makes(OFFICE)
    if makes:
        desk.append_all(makes)


def _beyond_belief(tx: Transaction, tenant_id: bytes, hub: Hub) -> str:
    """Return why what a closed hub says of itself does not go home by itself, or nothing.

    Whoever stole it can write what he likes: that may be a guest's, but not more than the hub may have taken in.
    """
    sums: dict[str, int] = defaultdict(int)
    records = chains.records_since(
        tx, tenant_id, hub.hub_id, types=[kind.number() for kind in _OWN_WORD], since_ms=hub.closed_ms or 0
    )
    for record in records:
        entry = decode_entry(record)
        for part in entry.parts if isinstance(entry, _OWN_WORD) else ():
            sums[part.unit] += part.amount if part.lease_epoch else 0
    cap = highest_top_up_cap(tx, tenant_id, hub, wrote=0)
    unit, most = max(sums.items(), key=lambda item: item[1], default=("", 0))
    if most <= cap:
        return ""
    return f"it says that it took in or gave back {most} {unit} since it was closed; {cap} may be: close it once more"
