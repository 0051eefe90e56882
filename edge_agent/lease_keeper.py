"""How much may lie at this hub, and what goes back: X_h kept at every commit, idle leases returned, the close."""

from collections.abc import Iterable

from edge_agent import intake
from edge_agent.draft import Draft, Spot
from edge_agent.ledger import leases
from payment_core.journal import (
    Actor,
    Captured,
    CoinBooked,
    Entry,
    LeaseReturned,
    LeaseTaken,
    Part,
    Tender,
)


def room(draft: Draft) -> int | None:
    """Return how much more of the currency may lie here (X_h less what does), or None where there is no cap."""
    cap = draft.site.risk.lease_cap
    if cap is None:
        return None
    draft.site.most_outstanding = leases.outstanding(draft.store, draft.site.currency)
    return max(cap - draft.site.most_outstanding, 0)


def keep_caps(draft: Draft) -> None:
    """Behind all inputs of a step: count coins towards T_h, and return what lies above X_h in the same commit."""
    for entry in draft.watched:
        if isinstance(entry, CoinBooked):
            intake.note_brought_in(draft, entry.header.seq, entry.amount)
    cap, site = draft.site.risk.lease_cap, draft.site
    if cap is None:
        site.most_outstanding = None
        return
    raised = [raise_ for entry in draft.watched if (raise_ := _raised(entry, site.currency))]
    if not raised:
        return
    if site.most_outstanding is not None:
        site.most_outstanding += sum(amount for _account, amount in raised)
    if site.most_outstanding is None or site.most_outstanding > cap:
        site.most_outstanding = leases.outstanding(draft.store, site.currency)
    accounts = list(dict.fromkeys(account for account, _amount in reversed(raised)))
    for account in accounts:
        excess = site.most_outstanding - cap
        if excess > 0:
            site.most_outstanding -= give_back(draft, account, "over_cap", most=excess)


def shed(draft: Draft) -> None:
    """Return what lies above an X_h that has just been set or lowered, from the accounts that were not here longest."""
    cap, unit = draft.site.risk.lease_cap, draft.site.currency
    if cap is None or draft.site.frozen:
        return
    draft.site.most_outstanding = leases.outstanding(draft.store, unit)
    while (excess := draft.site.most_outstanding - cap) > 0:
        sql = (
            "SELECT account_id FROM leases WHERE unit = ? AND granted - committed + released + refunded > 0 "
            "ORDER BY touched_ms LIMIT 1"
        )
        (row,) = draft.store.rows(sql, (unit,))
        draft.site.most_outstanding -= give_back(draft, row[0], "over_cap", most=excess)


def _raised(entry: Entry, unit: str) -> tuple[bytes, int] | None:
    """Return whose lease an entry raised, and by how much of a unit."""
    account_id: bytes | None = getattr(entry, "account_id", None)
    if isinstance(entry, LeaseTaken):
        amount = entry.added if entry.unit == unit else 0
    elif isinstance(entry, Captured):
        amount = _in_unit(entry.released, unit)
    else:
        amount = _in_unit((*getattr(entry, "parts", ()), *getattr(entry, "gifts", ())), unit)
    return (account_id, amount) if account_id and amount else None


def _in_unit(parts: Iterable[Part], unit: str) -> int:
    return sum(part.amount for part in parts if part.unit == unit and part.lease_epoch)


def give_back(draft: Draft, account_id: bytes, why: str, *, most: int | None = None) -> int:
    """Return an account's idle money to the office: all of it, or up to `most` of the currency alone.

    Returns how much of the currency went. Open holds stay where they are.
    """
    unit, left = draft.site.currency, most
    parts: list[Part] = []
    for row in reversed(leases.of_account(draft.store, account_id)):
        amount = row.lease.allowance
        if left is not None:
            amount = min(amount, left) if row.lease.unit == unit else 0
            left -= amount
        if amount:
            parts.append(Part(row.lease.unit, amount, row.lease.epoch, row.lease.lot))
    if parts:
        header = draft.header(Spot(Actor.HUB, Tender.NONE))
        draft.journal(LeaseReturned(1, header, account_id, tuple(parts), why))
        leases.spend_parts(draft.store, account_id, parts, elsewhere=True)
    return _in_unit(parts, unit)
